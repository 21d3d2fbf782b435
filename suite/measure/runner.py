"""The runner: measures, generation by generation, everything that was asked for and is not stored yet.

A generation is one fresh process per contender and number of threads, kept over all layers: starting
processes is paid for once per generation, not once per layer. The first generation verifies and screens;
in the others, contenders that are too slow do not take part, and what was right is not verified again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from suite.contenders import Contender, absence
from suite.measure.interleave import (
    LONGEST_REASON,
    Participant,
    Schedule,
    check_last,
    measure_in_turns,
    prepare_and_check,
)
from suite.measure.load_guard import LoadGuard
from suite.measure.measurements import Measurements
from suite.measure.oracle_cache import OracleCache
from suite.measure.pool import Start, WorkerPool
from suite.measure.result import ProcessResult
from suite.measure.screen import NO_SCREEN
from suite.measure.worker import Worker, WorkerError
from suite.oracles import AnyOracle
from suite.selection import Case
from suite.workload import Workload

__all__ = ["run_cases"]


def run_cases(
    cases: Mapping[Case, Sequence[Contender[Any, Any]]],
    measurements: Measurements,
    *,
    processes: int,
    schedule: Callable[[Case], Schedule],
    store: Callable[[Case, int, dict[str, ProcessResult]], None],
    compiled: Path | None = None,
    before: Callable[[Case, int, str], None] = lambda case, generation, contender: None,
    told: Callable[[str], None] = lambda phase: None,
    start: Start = Worker,
    guard: Callable[[int], LoadGuard] = LoadGuard,
) -> None:
    """Verify and time; what was measured already is not measured again.

    Parameters
    ----------
    cases : mapping of Case to sequence of Contender
    measurements : Measurements
        Is added to.
    processes : int
        Generations.
    schedule : callable
        How much to measure in a case.
    store : callable
        Called with the results of each case, before the next begins.
    compiled : Path, optional
        Where our kernels' compiled code is kept; empty at first, the first process compiles.
    before : callable
        Called with case, generation and contender before each step.
    told : callable
        Called with what goes on in that step: loading, preparing, compiling, verifying, timing.
    start, guard : callable
        Make a worker; make a load guard for a number of threads.
    """
    oracles = OracleCache()
    for generation in range(processes):
        for threads in dict.fromkeys(case.threads for case in cases):
            due = {
                case: measurements.due(case, generation, contenders)
                for case, contenders in cases.items()
                if case.threads == threads and not measurements.has(case, generation, contenders)
            }
            with WorkerPool(threads, compiled, start) as pool:
                for case, contenders in due.items():
                    one = _CaseRun(case, generation, pool, guard(threads), before, told)
                    found = one.measure(contenders, measurements, schedule(case), oracles)
                    measurements.add(case, generation, found)
                    store(case, generation, found)


@dataclass
class _CaseRun:
    """One case in one generation."""

    case: Case
    generation: int
    pool: WorkerPool
    guard: LoadGuard
    before: Callable[[Case, int, str], None]
    told: Callable[[str], None]

    def measure(
        self,
        contenders: list[Contender[Any, Any]],
        measurements: Measurements,
        schedule: Schedule,
        oracles: Callable[[Workload], AnyOracle],
    ) -> dict[str, ProcessResult]:
        """The result of each contender, by its name."""
        found: dict[str, ProcessResult] = {}
        participants: list[Participant] = []
        problem = self.case.layer.problem
        for contender in contenders:
            earlier = measurements.of(self.case, contender.name)
            refusal = absence(contender) or contender.unsupported(problem, self.case.threads)
            if refusal is not None:
                found[contender.name] = ProcessResult("skipped", refusal, contender.version() or "")
            elif earlier and earlier[0].status != "ok":
                # What was wrong once is not timed again.
                found[contender.name] = earlier[0]
            else:
                found[contender.name] = ProcessResult(version=contender.version() or "")
        # All have loaded before the first prepares: that is timed as well.
        self.pool.start(name for name, result in found.items() if result.status == "ok")
        for contender in contenders:
            name, result = contender.name, found[contender.name]
            if result.status != "ok":
                continue
            self.before(self.case, self.generation, name)
            self.told("loading")
            try:
                participants.append(Participant(contender, self.pool.get(name), result, told=self.told))
            except WorkerError as error:
                result.status, result.reason = "failed", str(error)[:LONGEST_REASON]
        for each in participants:
            self.before(self.case, self.generation, each.contender.name)
            earlier = measurements.of(self.case, each.contender.name) if self.generation else []
            prepare_and_check(each, problem, oracles(problem), integers=self.generation == 0, earlier=earlier)
        screen = NO_SCREEN if self.generation else measurements.screen
        measure_in_turns(
            participants, replace(schedule, screen=screen), self.guard, backwards=self.generation % 2 == 1,
            before=lambda each: self.before(self.case, self.generation, each.contender.name),
        )  # fmt: skip
        check_last(participants, problem, oracles(problem))
        for each in participants:
            if each.result.status == "failed":
                self.pool.stop(each.contender.name)
        return found
