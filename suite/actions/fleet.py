"""The work of ``convmark fleet``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import typer

from suite.actions.report import complete
from suite.console import fail, print_table, stdout, warn
from suite.fleet.client import Fleet, carry_out, open_fleet, start_fleet
from suite.fleet.worker import serve
from suite.report.load import stored_of, together
from suite.report.machines import machine_tables
from suite.report.terminal import print_report
from suite.report.terminal import print_table as print_tidy
from suite.report.write import write_report
from suite.results.files import adding_to
from suite.results.runs import Run

__all__ = ["fleet"]


def fleet(
    action: str,
    scheduler: str,
    workers: str,
    hosts: int,
    revision: str,
    environment: str,
    patience: float,
    poll: float,
    resume: str | None,
    results: Path,
    arguments: list[str],
) -> None:
    """See `suite.commands.fleet.fleet`."""
    if environment not in ("own", "current"):
        fail(f"--environment is {environment!r}, expected 'own' or 'current'")
    if action in ("run", "worker") and not scheduler:
        fail(f"fleet {action} has no --scheduler, expected the address of one, like tcp://10.0.0.1:8786")
    if arguments and (action != "run" or resume):
        fail(f"{' '.join(arguments)!r} is given with {action}, expected it with a new run alone")
    actions: dict[str, Callable[[], None]] = {
        "worker": lambda: serve(scheduler),
        "status": lambda: _status(open_fleet(results, resume or "latest")),
        "report": lambda: _report(open_fleet(results, resume or "latest")),
    }
    if action == "run":
        here = open_fleet(results, resume) if resume else start_fleet(results, arguments, revision, environment)
        with adding_to(here.folder):
            carry_out(here, scheduler, workers, hosts, patience, poll, warn)
        _report(here)
    elif action in actions:
        actions[action]()
    else:
        fail(f"ACTION is {action!r}, expected run, status, report or worker")


def _status(here: Fleet) -> None:
    runs = {run.name: run for run in here.runs(warn)}
    lines = []
    for host, known in here.hosts.items():
        own = [runs[name] for name in known["runs"]]
        count = f"{sum(run.expected - run.missing for run in own)} of {sum(run.expected for run in own)}"
        state = "under way" if known["code"] is None else "done" if known["code"] in (0, 1) else "failed"
        lines.append((host, state, count, ", ".join(known["runs"]), known["said"] if state == "failed" else ""))
    print_table(("host", "state", "rows", "run", ""), lines)


def _report(here: Fleet) -> None:
    runs = here.runs(warn)
    for run in runs:
        run.finish()
    stored = [stored_of(run) for run in runs]
    frame = together([each.frame for each in stored])
    for table in machine_tables(frame):
        print_tidy(stdout(), table)
    print_report(stdout(), frame)
    page = write_report(frame, stored, here.folder)[0]
    stdout().print(f"Report: {page}", soft_wrap=True, markup=False)
    raise typer.Exit(0 if _all_done(here, runs) else 1)


def _all_done(here: Fleet, runs: list[Run]) -> bool:
    whole = [complete(run) for run in runs]
    return bool(whole) and all(whole) and all(known["code"] == 0 for known in here.hosts.values())
