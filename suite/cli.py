"""The command line: ``convmark``, or ``python -m suite``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NoReturn

import typer

from kernels import ProblemError, UnknownAlgorithm, algorithms, get_algorithm
from suite import options
from suite.catalogue import UnknownNetwork, WorkloadError, layers, networks
from suite.console import fail, print_json, print_table, stderr, stdout, warn
from suite.environment import measure_limits, this_machine
from suite.probes import resolve_threads
from suite.progress import Watch
from suite.report.foreign import ForeignError, read_asv, read_pytest_benchmark
from suite.report.gather import combine, write_report
from suite.report.terminal import machine_lines, print_report
from suite.report.verdicts import print_verdicts
from suite.rows import Row
from suite.runner import run_tasks, verify_tasks
from suite.selection import Request, Task, select_networks
from suite.store import Run, StoreError, open_run, require_writable, start_run

__all__ = ["app", "main"]

#: What a person can ask for wrongly; everything else that is raised is a bug and shows itself.
_BAD_INPUT = (UnknownNetwork, UnknownAlgorithm, ProblemError, WorkloadError, StoreError, ForeignError)

_EXIT_CODES = """
\b
Exit codes:
  0    everything asked for was measured and right (skipped with a reason is fine)
  1    something is wrong, failed or missing
  2    what was asked for cannot be done; one sentence on stderr says why
  130  interrupted; what was measured is stored
"""

app = typer.Typer(
    name="convmark",
    help="Verify, time and compare convolutions on this machine.",
    epilog=_EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.command("list", epilog=options.examples("convmark list", "convmark list -n resnet50", "convmark list --json"))
def list_(network: options.Networks = None, as_json: options.Json = False) -> None:
    """List networks and algorithms, or the layers of networks."""
    chosen = {name: layers(name) for name in network or networks()}
    known = algorithms()
    if as_json:
        print_json(
            {
                "networks": {
                    name: [
                        {"layer": each.name, "problem": str(each.problem), "occurs": each.occurs} for each in of_network
                    ]
                    for name, of_network in chosen.items()
                },
                "algorithms": [{"name": a.name, "family": a.family, "summary": a.summary} for a in known],
            }
        )
    elif network:
        lines = [(name, each.name, str(each.problem), str(each.occurs)) for name in chosen for each in chosen[name]]
        print_table(("network", "layer", "problem", "occurs"), lines)
    else:
        print_table(("network", "layers"), [(name, str(len(of_network))) for name, of_network in chosen.items()])
        print_table(("algorithm", "family", "what it is"), [(a.name, a.family, a.summary) for a in known])


@app.command(epilog=options.examples("convmark machine", "convmark machine -t 1 -t 2 --json"))
def machine(threads: options.Threads = None, as_json: options.Json = False) -> None:
    """Describe this machine and measure its limits."""
    counts = [_threads(n) for n in threads or ()] or sorted({1, this_machine().threads})
    limits = measure_limits(counts, ("float32", "float64"))
    if as_json:
        print_json({"stamp": this_machine().stamp, "machine": this_machine().as_dict(), "limits": limits.as_dict()})
    else:
        print_table(("machine", ""), machine_lines(this_machine(), limits))


@app.command(epilog=options.examples("convmark verify --all", "convmark verify -a fft_tile16 -p ic8ih20oc8kh5ph2"))
def verify(
    network: options.Networks = None,
    every: options.Every = False,
    algorithm: options.Algorithms = None,
    problem: options.Problems = None,
    mb: options.Batch = "1",
    threads: options.Threads = None,
    as_json: options.Json = False,
) -> None:
    """Check every algorithm against the float64 oracle, without timing."""
    tasks = _request(network, every, algorithm, problem, mb, threads, 0.0).tasks()
    watch = Watch(stderr(), len(tasks))
    rows = list(watch.follow(verify_tasks(tasks, watch.before)))
    if as_json:
        print_json({"counts": _counts(rows), "rows": rows})
    else:
        print_verdicts(stdout(), rows)
    raise typer.Exit(0 if _all_right(row["status"] for row in rows) else 1)


@app.command(epilog=options.examples("convmark run", "convmark run -n vgg19 -t 2", "convmark run --resume latest"))
def run(
    network: options.Networks = None,
    every: options.Every = False,
    algorithm: options.Algorithms = None,
    problem: options.Problems = None,
    mb: options.Batch = "1",
    threads: options.Threads = None,
    seconds: options.Seconds = 0.2,
    resume: options.Resume = None,
    results: options.Results = Path("results"),
    as_json: options.Json = False,
) -> None:
    """Verify, time, store and report. Without arguments: basics and resnet50 at mb=1 on one thread."""
    if resume is not None:
        if network or every or algorithm or problem or threads:
            fail("--resume goes on with what its run was asked for, expected no other selection beside it")
        here = open_run(results, resume, warn)
        here.require(this_machine())
        tasks = here.request.tasks()
    else:
        request = _request(network, every, algorithm, problem, mb, threads, seconds)
        tasks = request.tasks()
        # Made before anything is measured: a folder that cannot be written costs no time.
        require_writable(results)
        stderr().print("Measuring this machine's limits.")
        limits = measure_limits(request.threads, {task.layer.problem.dtype for task in tasks})
        here = start_run(results, this_machine(), limits, request, len(tasks))
    _measure(here, [task for task in tasks if task.key not in here.done()])
    _finish(here, as_json)


@app.command(
    epilog=options.examples("convmark report", "convmark report latest --asv .asv/results --pytest-benchmark out.json")
)
def report(
    name: options.RunName = None,
    results: options.Results = Path("results"),
    asv: options.Asv = None,
    pytest_benchmark: options.PytestBenchmark = None,
    output: options.Output = None,
    as_json: options.Json = False,
) -> None:
    """Print a run, and write its report. With --asv or --pytest-benchmark and no RUN: only theirs."""
    others = read_asv(asv) if asv else [], read_pytest_benchmark(pytest_benchmark) if pytest_benchmark else []
    alone = name is None and (asv is not None or pytest_benchmark is not None)
    here = None if alone else open_run(results, name or "latest", warn)
    frame = combine(here.rows if here else [], *others)
    if as_json:
        print_json({"rows": json.loads(frame.to_json(orient="records"))})
    else:
        print_report(stdout(), frame)
    folder = output or (here.folder if here else None)
    if folder is not None:
        stderr().print(f"Report: {write_report(frame, here, folder)[0]}", soft_wrap=True, markup=False)
    raise typer.Exit(0 if _complete(here) and _all_right(frame["status"]) else 1)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit; bad input is one sentence on stderr."""
    try:
        app(args=arguments, prog_name="convmark")
    except _BAD_INPUT as error:
        print(f"convmark: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)


def _measure(here: Run, tasks: list[Task]) -> None:
    watch = Watch(stderr(), len(tasks))
    try:
        for row in watch.follow(run_tasks(tasks, here.limits, budget_s=here.request.budget_s, before=watch.before)):
            here.append(row)
    except KeyboardInterrupt:
        # Read again: the interrupt may have come between the file's row and the list's.
        stored = len(open_run(here.folder.parent.parent, here.name, warn).rows)
        warn(f"interrupted with {stored} of {here.expected} rows stored; go on with: convmark run --resume {here.name}")
        raise typer.Exit(130) from None


def _finish(here: Run, as_json: bool) -> None:
    here.finish()
    frame = combine(here.rows)
    page = write_report(frame, here, here.folder)[0]
    if as_json:
        print_json({"run": here.name, "folder": str(here.folder), "counts": _counts(here.rows), "rows": here.rows})
    else:
        print_report(stdout(), frame)
        stdout().print(f"Report: {page}", soft_wrap=True, markup=False)
    raise typer.Exit(0 if _complete(here) and _all_right(row["status"] for row in here.rows) else 1)


def _request(
    network: list[str] | None, every: bool, algorithm: list[str] | None, problem: list[str] | None, mb: str,
    threads: list[int] | None, seconds: float,
) -> Request:  # fmt: skip
    if mb != "listed" and not mb.isdecimal():
        fail(f"--mb is {mb!r}, expected a whole number or 'listed'")
    if not seconds >= 0:
        fail(f"--seconds is {seconds}, expected at least 0")
    return Request(
        networks=select_networks(network or (), problem or (), every=every),
        problems=tuple(problem or ()),
        algorithms=tuple(get_algorithm(name).name for name in algorithm or (each.name for each in algorithms())),
        mb=None if mb == "listed" else int(mb),
        threads=tuple(_threads(n) for n in threads or (1,)),
        budget_s=seconds,
    )


def _threads(count: int) -> int:
    try:
        return resolve_threads(count)
    except ValueError as error:
        fail(str(error))


def _complete(here: Run | None) -> bool:
    if here is None or not here.missing:
        return True
    warn(
        f"{here.missing} of {here.expected} rows are missing in run {here.name}; "
        f"go on with: convmark run --resume {here.name}"
    )
    return False


def _all_right(statuses: Iterable[str]) -> bool:
    return set(statuses) <= {"ok", "skipped"}


def _counts(rows: list[Row]) -> dict[str, int]:
    states = [row["status"] for row in rows]
    return {name: states.count(name) for name in dict.fromkeys(states)}
