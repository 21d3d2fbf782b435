"""The work of ``convmark tune``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import typer

from kernels import choose, measured_limits, remember_limits, tuned
from suite.actions.arguments import batch_of, directions_of, threads_of
from suite.actions.fleet import tune as tune_fleet
from suite.catalogue import Layer
from suite.console import fail, print_json, print_table, stderr, warn
from suite.format import circumstances
from suite.machine.environment import measure_limits
from suite.machine.host_lock import measuring_alone
from suite.machine.probes import vector_bytes
from suite.measure.result import ProcessResult
from suite.measure.tuning import TuningCase, TuningResult, distinct, run_tuning, worth_timing
from suite.progress import Watch, brief_rows
from suite.report.tuning import TUNING_HEADINGS, agreement, tuning_lines
from suite.selection import select_layers, select_networks

__all__ = ["tune"]


def tune(
    network: list[str] | None,
    every: bool,
    problem: list[str] | None,
    mb: str,
    direction: str,
    threads: list[str] | None,
    seconds: float,
    processes: int,
    within: float,
    again: bool,
    forget: bool,
    no_wait: bool,
    fleet: str,
    hosts: int,
    results: Path,
    as_json: bool,
) -> None:
    """See `suite.commands.tune.tune`."""
    if forget:
        if network or every or problem or fleet:
            fail("--forget removes all that was measured on this CPU, expected no selection with it")
        _forget(as_json)
        return
    if not seconds >= 0 or not processes >= 1 or not within >= 1:
        fail(f"--seconds is {seconds}, --processes {processes}, --within {within}, expected at least 0, 1 and 1")
    if not (network or every or problem):
        fail("nothing is asked for, expected --network, --problem or --all")
    # Made before anything is measured: a file that cannot be written costs no time.
    tuned.require_writable()
    if fleet:
        chosen = {"-n": network, "-p": problem, "-t": threads}
        arguments = [word for option, values in chosen.items() for value in values or () for word in (option, value)]
        arguments += ["--all"] * every + ["--again"] * again + ["--mb", mb, "--direction", direction]
        arguments += [f"--seconds={seconds}", f"--processes={processes}", f"--within={within}"]
        tune_fleet(fleet, hosts, arguments, results, as_json)
    names = select_networks(network or (), problem or (), every=every)
    layers = distinct(select_layers(names, problem or (), mb=batch_of(mb), directions=directions_of(direction)))
    asked = [(layer, count) for layer in layers for count in threads_of(threads) or (1,)]
    unknown = [(layer, count) for layer, count in asked if again or not tuned.recall(layer.problem, count)]
    known = len(asked) - len(unknown)
    if known:
        stderr().print(f"{known} of {len(asked)} are known already; --again measures them as well.")
    done: list[TuningResult] = []
    interrupted = False
    with measuring_alone(wait=not no_wait):
        if unknown and (again or measured_limits() is None):
            _measure_limits()
        tuning_cases = [_tuning_case(layer, count, within) for layer, count in unknown]
        try:
            _measure(tuning_cases, seconds, processes, done)
        except KeyboardInterrupt:
            interrupted = True
    kept = sum(not each.doubt for each in done)
    if as_json:
        counts = {"asked": len(asked), "known": known, "remembered": kept}
        print_json({"database": str(tuned.database()), **counts, "problems": [each.as_dict() for each in done]})
    elif done:
        _print(done)
    for each in done:
        if each.doubt:
            where = f"{each.case.problem}, {circumstances(each.case.threads, 'warm')}"
            warn(f"{where} is not remembered: {each.doubt}")
    if interrupted:
        warn(f"interrupted with {kept} of {len(tuning_cases)} remembered; the same command goes on with the rest")
        raise typer.Exit(130)
    raise typer.Exit(1 if any(each.is_bad for each in done) else 0)


def _measure_limits() -> None:
    """The rates that the cost model divides by are this machine's from now on."""
    found = measure_limits((1,))
    lanes = vector_bytes() // np.dtype(np.float32).itemsize
    remember_limits(1e9 * found.fma_gflops["float32"][1] / (2 * lanes), 1e9 * found.bandwidth_gb_s[1])


def _tuning_case(layer: Layer[Any], threads: int, within: float) -> TuningCase:
    choice = choose(layer.problem, threads, tuned=False)
    return TuningCase(layer, threads, choice, worth_timing(choice, within))


def _measure(tuning_cases: list[TuningCase], seconds: float, processes: int, results: list[TuningResult]) -> None:
    """Remember each as soon as it is done, and note it in ``results``: an interrupt takes away neither."""
    with Watch(stderr(), len(tuning_cases) * processes) as watch:

        def step(tuning_case: TuningCase, found: dict[str, ProcessResult]) -> None:
            where = (tuning_case.layer.network, tuning_case.layer.name, circumstances(tuning_case.threads, "warm"))
            watch.done_with(where, brief_rows(found))

        def done(result: TuningResult) -> None:
            if not result.doubt:
                tuned.remember(result.case.problem, result.case.threads, result.seconds)
            results.append(result)

        run_tuning(
            tuning_cases, seconds, processes, done, step=step,
            before=lambda case, generation, name: watch.at(case.layer, name),
        )  # fmt: skip


def _print(results: list[TuningResult]) -> None:
    print_table(TUNING_HEADINGS, tuning_lines(results))
    for each in results:
        for name, fault in each.faults.items():
            print(f"{each.case.problem} {name}: {fault}")
    print(agreement(results))
    print(f"Remembered in {tuned.database()}.")


def _forget(as_json: bool) -> None:
    count = tuned.forget()
    if as_json:
        print_json({"database": str(tuned.database()), "forgotten": count})
    else:
        print(f"{count} row{'' if count == 1 else 's'} of {tuned.database()} removed.")
