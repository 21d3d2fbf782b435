"""The work of ``convmark gate``."""

from __future__ import annotations

import secrets
import shlex
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import typer

from kernels import get_algorithm
from suite.actions.arguments import directions_of, threads_of
from suite.console import fail, print_json, stderr, stdout, warn
from suite.format import printable
from suite.gate.findings import MARGIN, METRICS, UNMEASURED, Benchmark, Findings
from suite.gate.outputs import announce, write_outputs
from suite.gate.pair import BASE, CONTROL, HEAD, RevisionPair
from suite.gate.revisions import WORKING_TREE, Revision, RevisionBuilder, RevisionError, revision_builder
from suite.gate.run import SCHEDULE, GateRun, benchmarks_of, offers_of
from suite.machine.environment import this_machine
from suite.machine.host_lock import measuring_alone
from suite.measure.worker import WorkerError
from suite.progress import Tally
from suite.report.gate import print_findings
from suite.results.files import adding_to, unwritable
from suite.results.jsonl import append_line
from suite.selection import select_layers

__all__ = ["NETWORK", "RISK", "UNGUARDED", "gate"]

#: What is measured if nothing is asked for.
NETWORK = "quick"

#: Algorithms that are not guarded unless named: the plain loops are there to be read, not to be fast.
UNGUARDED = ("direct_naive",)

#: One benchmark is decided within so many minutes, whatever it takes.
_DECIDING_MINUTES = 30

#: How often a run of the gate may call slower what did not change.
RISK = 0.01


def gate(
    base: str,
    head: str,
    network: list[str] | None,
    problem: list[str] | None,
    algorithm: list[str] | None,
    direction: str,
    threads: list[str] | None,
    margin: float,
    minutes: float,
    metrics: str,
    environment: str,
    results: Path,
    output: Path | None,
    no_wait: bool,
    as_json: bool,
) -> None:
    """See `suite.commands.gate.gate`."""
    begun = time.monotonic()
    if not minutes > 0:
        fail(f"--minutes is {minutes}, expected more than 0")
    if not 0 < margin < 1:
        fail(f"--margin is {margin}, expected a fraction between 0 and 1")
    if environment not in ("own", "current"):
        fail(f"--environment is {environment!r}, expected 'own' or 'current'")
    chosen = tuple(dict.fromkeys(word.strip() for word in metrics.split(",")))
    if not set(chosen) <= set(METRICS):
        fail(f"--metrics is {metrics!r}, expected some of {', '.join(METRICS)} with commas")
    layers = select_layers(
        network or (() if problem else (NETWORK,)), problem or (), directions=directions_of(direction)
    )
    counts = threads_of(threads) or (1,)
    folder = output or _new_folder(results)
    store = _storing(folder)
    try:
        with measuring_alone(wait=not no_wait), adding_to(folder), revision_builder(Path.cwd()) as here:
            own = environment == "own"
            stderr().print(f"Building {printable(base)} and {printable(head)}.", markup=False)
            sides = {side: _built(here, side, name, own) for side, name in ((BASE, base), (HEAD, head))}
            sides[CONTROL] = sides[BASE]
            offers = offers_of(sides, [str(layer.problem) for layer in layers])
            both, others = benchmarks_of(
                layers, counts, offers, algorithm or (), without=() if algorithm else UNGUARDED
            )
            for name in algorithm or ():
                if not any(name in offer.refusals for offer in offers.values()):
                    get_algorithm(name)  # says what there is
            decider = partial(_decider, base, head, margin, environment)
            run = GateRun(
                both, margin, RISK, begun + 60 * minutes, store, metrics=chosen, decider=decider
            )  # fmt: skip
            with Tally(stderr(), len(both), "decided") as tally:
                run.run(
                    partial(
                        RevisionPair,
                        revisions=sides,
                        offers=offers,
                        schedule=SCHEDULE,
                        compile_anew="compile" in chosen,
                    ),
                    before=_progress(tally, len(both)),
                )
    except (RevisionError, WorkerError) as error:
        warn(str(error))
        raise typer.Exit(UNMEASURED) from None
    machine = {"stamp": this_machine().stamp, "cpu": this_machine().cpu, "cores": this_machine().cores}
    found = Findings(
        sides[BASE].name, sides[HEAD].name, (*run.findings(), *others), tuple(run.control_findings()), margin,
        RISK, time.monotonic() - begun, machine,
    )  # fmt: skip
    write_outputs(found, folder)
    announce(found, sys.stderr if as_json else sys.stdout)
    if as_json:
        print_json({"folder": str(folder), **found.as_dict()})
    else:
        print_findings(stdout(), found)
        stdout().print(f"Files: {folder}", soft_wrap=True, markup=False)
    raise typer.Exit(found.exit_code)


def _decider(base: str, head: str, margin: float, environment: str, benchmark: Benchmark) -> str:
    """The command that measures one benchmark for as long as it takes."""
    parts = ["convmark", "gate", "--base", base]
    parts += [] if head == WORKING_TREE else ["--head", head]
    parts += ["-p", benchmark.problem, "-a", benchmark.algorithm, "-t", str(benchmark.threads)]
    parts += [] if benchmark.metric == "time" else ["--metrics", benchmark.metric]
    parts += [] if margin == MARGIN else ["--margin", f"{margin:g}"]
    parts += [] if environment == "own" else ["--environment", environment]
    return shlex.join([*parts, "--minutes", str(_DECIDING_MINUTES)])


def _built(here: RevisionBuilder, side: str, name: str, own_environment: bool) -> Revision:
    try:
        return here.build(name, own_environment=own_environment)
    except RevisionError as error:
        raise RevisionError(f"{side}: {error}") from error


def _progress(tally: Any, total: int) -> Callable[[Benchmark, int, int], None]:
    def before(benchmark: Benchmark, generation: int, waiting: int) -> None:
        words = f"pair {generation + 1}, {waiting} open: {benchmark.layer} {benchmark.algorithm}"
        tally.at(words, total - waiting if generation else 0)

    return before


def _new_folder(results: Path) -> Path:
    name = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(2)}"
    return results / "gates" / name


def _storing(folder: Path) -> Callable[[dict[str, Any]], None]:
    """Every pair goes to the disk at once: a gate that is killed loses none."""

    def store(line: dict[str, Any]) -> None:
        try:
            append_line(folder / "pairs.jsonl", line)
        except OSError as error:
            raise unwritable(folder, error) from error

    return store
