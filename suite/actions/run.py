"""The work of ``convmark run``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import typer

from suite.actions.arguments import all_right, counts, request_of
from suite.actions.report import complete
from suite.console import fail, print_json, stderr, stdout, warn
from suite.contenders import Contender
from suite.format import circumstances
from suite.machine.environment import commit_of_sources, evicting_bytes, measure_limits, this_machine
from suite.machine.host_lock import measuring_alone
from suite.measure.interleave import Schedule
from suite.measure.result import ProcessResult
from suite.measure.runner import run_cases
from suite.measure.screen import SCREEN
from suite.progress import Watch, brief_rows
from suite.report.blocks import block_dicts
from suite.report.layers import OVERVIEW, overview_table
from suite.report.load import stored_of, tidy, together
from suite.report.terminal import print_report
from suite.report.write import write_report
from suite.results.rows import COLUMNS, Row, key_of, latest_of
from suite.results.runs import Run, open_run, require_writable, start_run
from suite.results.summary import rows_of_case
from suite.selection import Case, Request

__all__ = ["begin", "carry_out", "run"]

#: In times of the seconds asked for: after so long no further round of visits begins. Samples of calls that take
#: longer than a visit would cost many times that.
_PATIENCE = 3.0

#: How many times as long as a later process the first one takes a layer: it compiles and verifies.
_FIRST = 4.0


def run(
    network: list[str] | None,
    every: bool,
    contender: list[str] | None,
    problem: list[str] | None,
    mb: str,
    direction: str,
    threads: list[str] | None,
    seconds: float,
    processes: int,
    slower: float,
    cache: str,
    reference: str,
    part: str,
    resume: str | None,
    results: Path,
    details: bool,
    no_wait: bool,
    as_json: bool,
) -> None:
    """See `suite.commands.run.run`."""
    if resume is not None:
        asked = (mb, direction, seconds, processes, slower, cache, reference, part)
        changed = asked != ("1", "fwd", 0.2, 3, SCREEN, "warm", "", "1/1")
        if network or every or contender or problem or threads or changed:
            fail("--resume goes on with what its run was asked for, expected no other selection with it")
        here = open_run(results, resume, warn)
        here.require(this_machine())
        with measuring_alone(wait=not no_wait):
            carry_out(here, as_json, details)
    else:
        request = request_of(
            network, every, contender, problem, mb, threads,
            seconds=seconds, processes=processes, cache=cache, reference=reference, slower=slower, direction=direction,
            part=part,
        )  # fmt: skip
        with measuring_alone(wait=not no_wait):
            carry_out(begin(request, results), as_json, details)


def begin(request: Request, results: Path) -> Run:
    """Measure this machine's limits and make a run's folder; whatever can be wrong with a request shows before."""
    cases = request.cases()
    # Made before anything is measured: a folder that cannot be written costs no time.
    require_writable(results)
    stderr().print("Measuring this machine's limits.")
    if reason := commit_of_sources()[2]:
        warn(f"rows will have no commit: {reason}")
    limits = measure_limits(request.threads, {case.layer.problem.dtype for case in cases})
    return start_run(results, this_machine(), limits, request, sum(map(len, cases.values())))


def carry_out(here: Run, as_json: bool, details: bool = False) -> NoReturn:
    """Measure what a run lacks, report, and exit."""
    try:
        with here.measuring():
            _measure(here)
    except KeyboardInterrupt:
        # Read again: the interrupt may have come between the file's row and the list's.
        stored = len(open_run(here.folder.parent.parent, here.name, warn).rows)
        warn(f"interrupted with {stored} of {here.expected} rows stored; go on with: convmark run --resume {here.name}")
        raise typer.Exit(130) from None
    _finish(here, as_json, details)


def _measure(here: Run) -> None:
    request = here.request
    cases = request.cases()
    measurements = here.measurements(warn)
    rounds = Schedule().rounds
    visit_s = request.budget_s / (request.processes * rounds)
    total = len(cases) * request.processes

    def schedule(case: Case) -> Schedule:
        spend_s = _PATIENCE * request.budget_s / request.processes
        return Schedule(visit_s, rounds, spend_s, evicting_bytes() if case.cache == "cold" else 0)

    def settle(case: Case) -> None:
        """Store the rows of a case that all generations have measured."""
        contenders = cases[case]
        if not all(measurements.has(case, generation, contenders) for generation in range(request.processes)):
            return
        missing = {case.row_key(each.name) for each in contenders} - here.done()
        if missing:
            for row in rows_of_case(case, contenders, measurements, here.limits, request.reference):
                if key_of(row) in missing:
                    here.append(row)

    able = {
        case: [each for each in contenders if each.unsupported(case.layer.problem, case.threads) is None]
        for case, contenders in cases.items()
    }

    def weight(case: Case, generation: int) -> float:
        """About how long a case takes, relative to others."""
        if not generation:
            return _FIRST * len(able[case])
        # Before the first process has screened it is not known how many are left.
        due = float(len(measurements.due(case, generation, able[case])))
        return due * (1.0 if measurements.has(case, 0, cases[case]) else 0.5)

    def weigh(case: Case) -> None:
        for n in range(request.processes):
            left[case, n] = 0.0 if measurements.has(case, n, cases[case]) else weight(case, n)

    left: dict[tuple[Case, int], float] = {}
    table = _Screened(cases, request)
    done = sum(measurements.has(case, n, own) for case, own in cases.items() for n in range(request.processes))
    for case in cases:
        settle(case)
        weigh(case)
    with Watch(stderr(), total, done, sum(left.values())) as watch:

        def store(case: Case, generation: int, found: dict[str, ProcessResult]) -> None:
            here.append_results(case, generation, found)
            settle(case)
            if generation == 0 and request.processes > 1:
                if not table.begun:
                    watch.say(table.head())
                rows = rows_of_case(case, cases[case], measurements, here.limits, request.reference)
                watch.done_and_said(table.line(case, rows), weight(case, generation))
            else:
                words = f"process {generation + 1} of {request.processes}, {_described(case)}"
                watch.done_with((words,), brief_rows(found), weight(case, generation))
            weigh(case)
            watch.expect(sum(left.values()))

        run_cases(
            cases, measurements, processes=request.processes, schedule=schedule, store=store,
            compiled=here.folder / "compiled", told=watch.doing,
            before=lambda case, generation, name: watch.at(case.layer, name),
        )  # fmt: skip


class _Screened:
    """The table that grows while the first process of each contender goes from layer to layer."""

    def __init__(self, cases: Mapping[Case, Sequence[Contender[Any, Any]]], request: Request) -> None:
        self.begun = False
        self._several = len({(case.threads, case.cache) for case in cases}) > 1
        self._processes = request.processes
        self._steps = len(cases) * request.processes
        names = [each.name for contenders in cases.values() for each in contenders]
        self._widths = (
            max(map(len, map(self._name, cases)), default=0), max(map(len, names), default=0), 7, 10,
            max(map(len, names), default=0), 6,
        )  # fmt: skip

    def _name(self, case: Case) -> str:
        name = f"{case.layer.network}/{case.layer.name}"
        return f"{name}, {circumstances(case.threads, case.cache)}" if self._several else name

    def head(self) -> str:
        """The line above the first."""
        self.begun = True
        # Below it every line has a count such as [1/105] in front.
        indent = " " * (2 * len(str(self._steps)) + 4)
        return (
            f"After one process of {self._processes}:\n{indent}{self._joined([column.heading for column in OVERVIEW])}"
        )

    def line(self, case: Case, rows: Sequence[Row]) -> str:
        """One layer."""
        bad = [row for row in rows if row["status"] in ("wrong", "failed")]
        names = ", ".join(f"{row['status']} {row['algorithm']}" for row in bad)
        [(_, *cells)] = overview_table(together([tidy({**dict.fromkeys(COLUMNS), **row} for row in rows)])).lines
        return f"{self._joined((self._name(case), *cells))}  {names}".rstrip()

    def _joined(self, cells: Sequence[str]) -> str:
        sides = ("<", "<", ">", ">", "<", ">")
        return "  ".join(
            f"{cell:{side}{width}}" for cell, side, width in zip(cells, sides, self._widths, strict=True)
        ).rstrip()


def _described(case: Case) -> str:
    return f"{case.layer.network}/{case.layer.name}, {circumstances(case.threads, case.cache)}"


def _finish(here: Run, as_json: bool, details: bool) -> NoReturn:
    here.finish()
    rows = latest_of(here.rows)
    stored = stored_of(here)
    frame = together([stored.frame])
    page = write_report(frame, [stored], here.folder)[0]
    if as_json:
        found = {"run": here.name, "folder": str(here.folder), "counts": counts(rows), "rows": rows}
        blocks = block_dicts(frame)
        print_json({**found, "blocks": blocks} if blocks else found)
    else:
        print_report(stdout(), frame, details=details)
        stdout().print(f"Report: {page}", soft_wrap=True, markup=False)
    raise typer.Exit(0 if complete(here) and all_right(row["status"] for row in rows) else 1)
