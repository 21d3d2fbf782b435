"""``convmark run``: verify, time, store and report."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import typer

from suite import options
from suite.commands.asked import all_right, counts, request_of
from suite.commands.report import complete
from suite.console import fail, print_json, stderr, stdout, warn
from suite.environment import evicting_bytes, measure_limits, this_machine
from suite.frames import latest_of
from suite.interleave import Schedule
from suite.outcome import Take
from suite.progress import Watch
from suite.report.blocks import block_tables
from suite.report.gather import combine, write_report
from suite.report.groups import circumstances
from suite.report.terminal import print_report
from suite.run_folder import Run
from suite.runner import run_bouts
from suite.selection import Bout, Request, bouts_of
from suite.store import open_run, require_writable, start_run
from suite.summary import rows_of_bout

__all__ = ["begin", "carry_out", "run"]


def run(
    network: options.Networks = None,
    every: options.Every = False,
    contender: options.Contenders = None,
    problem: options.Problems = None,
    mb: options.Batch = "1",
    threads: options.Threads = None,
    seconds: options.Seconds = 0.2,
    processes: options.Processes = 3,
    cache: options.Cache = "warm",
    reference: options.Reference = "",
    resume: options.Resume = None,
    results: options.Results = Path("results"),
    as_json: options.Json = False,
) -> None:
    """Verify, time, store and report. Without arguments: basics and resnet50 at mb=1 on one thread."""
    if resume is not None:
        changed = (mb, seconds, processes, cache, reference) != ("1", 0.2, 3, "warm", "")
        if network or every or contender or problem or threads or changed:
            fail("--resume goes on with what its run was asked for, expected no other selection beside it")
        here = open_run(results, resume, warn)
        here.require(this_machine())
    else:
        request = request_of(
            network, every, contender, problem, mb, threads,
            seconds=seconds, processes=processes, cache=cache, reference=reference,
        )  # fmt: skip
        here = begin(request, results)
    carry_out(here, as_json)


def begin(request: Request, results: Path) -> Run:
    """Measure this machine's limits and make a run's folder; whatever can be wrong with a request shows before."""
    tasks = request.tasks()
    # Made before anything is measured: a folder that cannot be written costs no time.
    require_writable(results)
    stderr().print("Measuring this machine's limits.")
    limits = measure_limits(request.threads, {task.layer.problem.dtype for task in tasks})
    return start_run(results, this_machine(), limits, request, len(tasks))


def carry_out(here: Run, as_json: bool) -> NoReturn:
    """Measure what a run lacks, report, and exit."""
    try:
        _measure(here)
    except KeyboardInterrupt:
        # Read again: the interrupt may have come between the file's row and the list's.
        stored = len(open_run(here.folder.parent.parent, here.name, warn).rows)
        warn(f"interrupted with {stored} of {here.expected} rows stored; go on with: convmark run --resume {here.name}")
        raise typer.Exit(130) from None
    _finish(here, as_json)


def _measure(here: Run) -> None:
    request = here.request
    bouts = bouts_of(request.tasks())
    ledger = here.ledger(warn)
    rounds = Schedule().rounds
    visit_s = request.budget_s / (request.processes * rounds)
    total = len(bouts) * request.processes

    def schedule(bout: Bout) -> Schedule:
        return Schedule(visit_s, rounds, evicting_bytes() if bout.cache == "cold" else 0)

    def settle(bout: Bout) -> None:
        """Rows of a bout that all generations have played."""
        if all(ledger.has(bout, generation, bouts[bout]) for generation in range(request.processes)):
            missing = {task.key for task in bouts[bout]} - here.done()
            if not missing:
                return
            for task, row in zip(
                bouts[bout], rows_of_bout(bout, bouts[bout], ledger, here.limits, request.reference), strict=True
            ):
                if task.key in missing:
                    here.append(row)

    done = sum(ledger.has(bout, n, own) for bout, own in bouts.items() for n in range(request.processes))
    for bout in bouts:
        settle(bout)
    with Watch(stderr(), total, done) as watch:

        def store(bout: Bout, generation: int, found: dict[str, Take]) -> None:
            here.append_takes(bout, generation, found)
            settle(bout)
            words = f"process {generation + 1} of {request.processes}, {_described(bout)}"
            watch.done_with((words,), [{"algorithm": n, "status": t.status, "time_s": t.median_s if t.seconds else None}
                                       for n, t in found.items()])  # fmt: skip

        run_bouts(
            (task for own in bouts.values() for task in own), ledger, processes=request.processes, schedule=schedule,
            store=store, compiled=here.folder / "compiled",
            before=lambda bout, generation, name: watch.at(bout.layer, name),
        )  # fmt: skip


def _described(bout: Bout) -> str:
    return f"{bout.layer.network}/{bout.layer.name}, {circumstances(bout.threads, bout.cache)}"


def _finish(here: Run, as_json: bool) -> NoReturn:
    here.finish()
    rows = latest_of(here.rows)
    frame = combine(rows)
    page = write_report(frame, here, here.folder)[0]
    if as_json:
        found = {"run": here.name, "folder": str(here.folder), "counts": counts(rows), "rows": rows}
        blocks = [each.as_dict() for each in block_tables(frame)]
        print_json({**found, "blocks": blocks} if blocks else found)
    else:
        print_report(stdout(), frame)
        stdout().print(f"Report: {page}", soft_wrap=True, markup=False)
    raise typer.Exit(0 if complete(here) and all_right(row["status"] for row in rows) else 1)
