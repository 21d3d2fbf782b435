"""The work of ``convmark fleet``."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any, NoReturn

import typer

from kernels import tuned
from suite.actions.arguments import all_right
from suite.console import fail, print_json, print_table, stderr, stdout, warn
from suite.fleet.client import attend, stop_all
from suite.fleet.costs import collect
from suite.fleet.fleet import Fleet, open_fleet, start_fleet
from suite.fleet.local import local_fleet
from suite.fleet.sources import pack
from suite.fleet.split import whole_runs
from suite.fleet.tasks import ENVIRONMENTS
from suite.fleet.worker import serve
from suite.options import PATIENCE_S, POLL_S
from suite.report.load import stored_of, together
from suite.report.machines import machine_tables
from suite.report.terminal import print_report
from suite.report.terminal import print_table as print_tidy
from suite.report.write import write_report
from suite.results.files import adding_to
from suite.results.rows import latest_of

__all__ = ["fleet", "tune"]

_ACTIONS = ("run", "status", "stop", "report", "worker")


def fleet(
    action: str,
    scheduler: str,
    local: int,
    name: str,
    workers: str,
    hosts: int,
    split: bool,
    revision: str,
    ship: Path | None,
    environment: str,
    patience: float,
    poll: float,
    resume: str | None,
    results: Path,
    arguments: list[str],
    as_json: bool,
) -> None:
    """See `suite.commands.fleet.fleet`."""
    if action not in _ACTIONS:
        fail(f"ACTION is {action!r}, expected {', '.join(_ACTIONS[:-1])} or {_ACTIONS[-1]}")
    if environment and environment not in ENVIRONMENTS:
        fail(f"--environment is {environment!r}, expected {', '.join(ENVIRONMENTS)}")
    if local < 0 or (local and (scheduler or action != "run")):
        fail(f"--local is {local}, expected a number of workers, with run and without a --scheduler")
    if action in ("run", "stop", "worker") and not scheduler and not local:
        fail(f"fleet {action} has no --scheduler, expected the address of one, like tcp://10.0.0.1:8786")
    if (arguments or split or revision or ship) and (action != "run" or resume):
        fail(f"{' '.join(arguments) or 'a selection'!r} is given with {action}, expected it with a new run alone")
    if revision and ship:
        fail(f"--revision {revision} and --ship {ship} are given, expected one of them")
    if action == "worker":
        serve(scheduler, name)
    elif action == "run":
        if resume:
            here = open_fleet(results, resume)
        else:
            kind = environment or ("current" if local else "own")
            here = start_fleet(results, "run", arguments, pack(revision, ship), kind, split)
        _finish(_see_through(here, scheduler, local, workers, hosts, patience, poll), as_json)
    else:
        here = open_fleet(results, resume or "latest")
        if action == "stop":
            print(f"fleet {here.name} ends on {', '.join(stop_all(here, scheduler)) or 'no machine'}.")
        elif action == "status":
            _status(here, as_json)
        else:
            _finish(here, as_json)


def tune(scheduler: str, hosts: int, arguments: list[str], results: Path, as_json: bool) -> NoReturn:
    """Tune on every machine of a fleet, and collect what was measured."""
    here = start_fleet(results, "tune", arguments, pack(), "own")
    _finish(_see_through(here, scheduler, 0, "*", hosts, PATIENCE_S, POLL_S), as_json)


def _finish(here: Fleet, as_json: bool) -> NoReturn:
    (_collect if here.command == "tune" else _report)(here, as_json)


def _see_through(
    here: Fleet, scheduler: str, local: int, workers: str, hosts: int, patience: float, poll: float
) -> Fleet:
    """Have every machine carry out its command; an interrupt says how to go on, and exits."""
    where = f"--local {local}" if local else f"--scheduler {scheduler}"
    try:
        with adding_to(here.folder), local_fleet(local) if local else nullcontext(scheduler) as address:
            # What another client stored since this one looked.
            here = open_fleet(here.results, here.name)
            attend(here, address, workers, local or hosts, patience, poll, warn, _told)
    except KeyboardInterrupt:
        ended = "" if local else f"; machines go on until: convmark fleet stop {where} --resume {here.name}"
        warn(f"interrupted; go on with: convmark fleet run {where} --resume {here.name}{ended}")
        raise typer.Exit(130) from None
    return here


def _told(sentence: str) -> None:
    stderr().print(sentence, soft_wrap=True, markup=False)


def _status(here: Fleet, as_json: bool) -> None:
    lines: list[dict[str, Any]] = []
    for name, machine in here.machines.items():
        run = here.run(name, warn)
        lines.append(
            {
                "machine": name, "platform": machine.platform, "part": f"{machine.part[0]}/{machine.part[1]}",
                "state": machine.state, "rows": run.expected - run.missing if run else 0,
                "expected": run.expected if run else None, "run": run.name if run else None,
                "said": machine.said if machine.state == "failed" else "",
            }
        )  # fmt: skip
    if as_json:
        print_json({"fleet": here.name, "command": here.command, "arguments": here.arguments, "machines": lines})
        return
    cells = [
        (each["machine"], each["part"], each["state"], f"{each['rows']} of {each['expected'] or '?'}",
         each["run"] or "", each["said"])
        for each in lines
    ]  # fmt: skip
    print_table(("machine", "part", "state", "rows", "run", ""), cells)


def _report(here: Fleet, as_json: bool) -> NoReturn:
    runs, is_whole = whole_runs(here, warn)
    for run in runs:
        run.finish()
    stored = [stored_of(run) for run in runs]
    frame = together([each.frame for each in stored])
    page = write_report(frame, stored, here.folder)[0]
    if as_json:
        rows = [row for run in runs for row in latest_of(run.rows)]
        print_json({"fleet": here.name, "folder": str(here.folder), "runs": [run.name for run in runs], "rows": rows})
    else:
        for table in machine_tables(frame):
            print_tidy(stdout(), table)
        print_report(stdout(), frame)
        stdout().print(f"Report: {page}", soft_wrap=True, markup=False)
    lacking = sum(run.missing for run in runs)
    if lacking or here.due:
        warn(f"{lacking} rows are missing, of {', '.join(here.due) or 'no machine that is due'}; --resume goes on")
    is_whole = bool(runs) and is_whole and not lacking and not here.due
    raise typer.Exit(0 if is_whole and all_right(frame["status"]) else 1)


def _collect(here: Fleet, as_json: bool) -> NoReturn:
    lines = collect(here)
    if as_json:
        print_json({"fleet": here.name, "database": str(tuned.database()), "machines": lines})
    else:
        cells = [(each["machine"], each["kind"], str(each["times"]), each["folder"]) for each in lines]
        print_table(("machine", "kind of CPU", "times", "rows for the cost model"), cells)
        print(f"Remembered in {tuned.database()}.")
    if here.due:
        warn(f"{', '.join(here.due)} not through; go on with: convmark fleet run --resume {here.name}")
    raise typer.Exit(0 if lines and all(machine.code == 0 for machine in here.machines.values()) else 1)
