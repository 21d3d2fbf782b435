"""Contenders of one problem in turns: each in several fresh processes, never two measuring at once.

A generation is one process of every contender. They are started together, prepared one after
the other, and then measured round by round, forwards and backwards (ABBA), so that a drift
of the machine hits all alike. The processes of one generation are pairs for `suite.statistics`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from kernels import Conv2dProblem
from suite.contenders import Contender, absence
from suite.load import LoadGuard
from suite.meter import Sample
from suite.process import Worker, WorkerError
from suite.verify import Check, Referee

__all__ = ["Outcome", "Schedule", "Stretch", "interleave"]

#: Samples of one visit: least and most.
_LEAST, _MOST = 2, 200

#: Compilers explain themselves over pages; a reason keeps the beginning.
_LONGEST_REASON = 500


@dataclass(frozen=True)
class Schedule:
    """How much is measured.

    Attributes
    ----------
    threads : int
    processes : int
        Fresh processes a contender.
    budget_s : float
        Seconds of samples a contender, all its processes together.
    cold_bytes : int
        With more than 0, so much is written to before every call, to empty the caches.
    rounds : int
        Visits a process; even, to be forwards as often as backwards.
    retries : int
        How often a disturbed visit is repeated.
    settle_s : float
        How long a generation waits for the machine to become quiet.
    compiled : Path, optional
        Where our kernels' compiled code is kept; empty at first, the first process compiles.
    """

    threads: int
    processes: int = 3
    budget_s: float = 0.2
    cold_bytes: int = 0
    rounds: int = 2
    retries: int = 2
    settle_s: float = 2.0
    compiled: Path | None = None


@dataclass
class Stretch:
    """What one process of a contender did.

    Attributes
    ----------
    first_s : float
        Preparing and calling for the first time: compilation, or loading compiled code, is in it.
    first_call_s, prepare_s : float
        The call alone; preparing alone, once nothing is left to compile.
    seconds : list of float
        Undisturbed samples; where there are none, all.
    disturbed : str
        Why hardly a sample was undisturbed; empty where enough were.
    """

    first_s: float
    first_call_s: float
    prepare_s: float
    seconds: list[float] = field(default_factory=list)
    disturbed: str = ""

    @property
    def median_s(self) -> float:
        """Seconds of one call."""
        return float(np.median(self.seconds))


@dataclass
class Outcome:
    """What came of one contender.

    Attributes
    ----------
    contender : Contender
    status : {"ok", "mistrusted", "skipped", "wrong", "failed"}
    reason : str
    version, chosen : str
        Of the library; the algorithm that ran, of a contender that chooses one.
    rel_error : float or None
    workspace_bytes : int or None
    stretches : list of Stretch
        One a process, those of one generation at the same place in every outcome that has times.
    """

    contender: Contender
    status: str = "ok"
    reason: str = ""
    version: str = ""
    chosen: str = ""
    rel_error: float | None = None
    workspace_bytes: int | None = None
    stretches: list[Stretch] = field(default_factory=list)

    @property
    def timed(self) -> bool:
        """Whether it has times."""
        return self.status in ("ok", "mistrusted")

    @property
    def medians(self) -> list[float]:
        """Seconds of one call, of each process."""
        return [each.median_s for each in self.stretches]


class _Asked(Protocol):
    def ask(self, do: str, **request: Any) -> dict[str, Any]: ...
    def close(self) -> None: ...


Start = Callable[[str, int, Path | None], _Asked]


def interleave(
    contenders: Sequence[Contender],
    problem: Conv2dProblem,
    schedule: Schedule,
    referee: Referee,
    *,
    start: Start = Worker,
    guard: LoadGuard | None = None,
    before: Callable[[Contender], None] = lambda contender: None,
) -> list[Outcome]:
    """Verify and time contenders on one problem.

    Parameters
    ----------
    contenders : sequence of Contender
    problem : Conv2dProblem
    schedule : Schedule
    referee : Referee
        Of the problem.
    start : callable
        Makes a worker of a contender's name, a number of threads and a folder.
    guard : LoadGuard, optional
    before : callable
        Told of each contender before it is worked with.

    Returns
    -------
    list of Outcome
        As many, in the same order.
    """
    guard = guard or LoadGuard(schedule.threads)
    outcomes = [_entry(each, problem, schedule.threads) for each in contenders]
    for generation in range(schedule.processes):
        _Generation(generation, problem, schedule, referee, guard, before).run(outcomes, start)
    for outcome in outcomes:
        if outcome.status == "ok":
            _settle_trust(outcome)
    return outcomes


def _entry(contender: Contender, problem: Conv2dProblem, threads: int) -> Outcome:
    refusal = absence(contender) or contender.unsupported(problem, threads)
    if refusal is not None:
        return Outcome(contender, "skipped", refusal, contender.version() or "")
    return Outcome(contender, version=contender.version() or "")


def _settle_trust(outcome: Outcome) -> None:
    disturbed = [each.disturbed for each in outcome.stretches if each.disturbed]
    if disturbed:
        counts = f"{len(disturbed)} of {len(outcome.stretches)}"
        outcome.status, outcome.reason = "mistrusted", f"{counts} processes were disturbed: {disturbed[-1]}"
    elif outcome.chosen:
        outcome.reason = f"chose {outcome.chosen}"


@dataclass(frozen=True)
class _Visit:
    every: list[Sample]
    quiet: list[Sample]
    complaint: str


@dataclass
class _Generation:
    number: int
    problem: Conv2dProblem
    schedule: Schedule
    referee: Referee
    guard: LoadGuard
    before: Callable[[Contender], None]

    def run(self, outcomes: Iterable[Outcome], start: Start) -> None:
        running = [each for each in outcomes if each.status == "ok"]
        with ExitStack() as stack:
            pairs: list[tuple[Outcome, _Asked]] = []
            for outcome in running:
                worker = start(outcome.contender.name, self.schedule.threads, self.schedule.compiled)
                stack.callback(worker.close)
                pairs.append((outcome, worker))
            # All have loaded before the first prepares: that is timed as well.
            for step in (self._load, self._admit):
                pairs = [pair for pair in pairs if self._in_after(step, *pair)]
            self.guard.settle(self.schedule.settle_s)
            self._measure(pairs)

    def _in_after(self, step: Callable[[Outcome, _Asked], None], outcome: Outcome, worker: _Asked) -> bool:
        """Whether the contender is still in after the step; one that is not ends its process at once."""
        self.before(outcome.contender)
        try:
            step(outcome, worker)
        except WorkerError as error:
            outcome.status, outcome.reason = "failed", str(error)[:_LONGEST_REASON]
        if outcome.status != "ok":
            worker.close()
        return outcome.status == "ok"

    def _load(self, outcome: Outcome, worker: _Asked) -> None:
        worker.ask("load", contender=outcome.contender.name, threads=self.schedule.threads)

    def _admit(self, outcome: Outcome, worker: _Asked) -> None:
        """Prepare and judge."""
        # Whole numbers are asked for once; the times are those of normal values.
        fills = ("normal",) if self.number or outcome.contender.is_peer else ("integer", "normal")
        replies = []
        for fill in fills:
            reply = worker.ask("prepare", problem=str(self.problem), fill=fill)
            replies.append(reply)
            outcome.chosen, outcome.workspace_bytes = reply["chosen"], reply["workspace_bytes"]
            result = worker.ask("result")
            standard = outcome.contender.standard(self.problem, outcome.chosen)
            check = self.referee.judge(standard, fill, result["array"])
            if result["touched"]:
                check = Check("wrong", float("nan"), f"{result['touched'][0]} was written to, expected to be only read")
            if not np.isnan(check.rel_error):
                outcome.rel_error = check.rel_error
            if check.status != "ok":
                outcome.status, outcome.reason = check.status, check.reason
                return
        first, last = replies[0], replies[-1]
        outcome.stretches.append(Stretch(first["first_s"], first["first_call_s"], last["prepare_s"]))

    def _measure(self, pairs: list[tuple[Outcome, _Asked]]) -> None:
        visits: dict[str, list[_Visit]] = {outcome.contender.name: [] for outcome, _ in pairs}

        def visit(outcome: Outcome, worker: _Asked) -> None:
            visits[outcome.contender.name].append(self._visit(worker))

        for round_ in range(self.schedule.rounds):
            # Every other generation begins backwards: nobody is always the first.
            for outcome, worker in pairs if (round_ + self.number) % 2 == 0 else pairs[::-1]:
                if outcome.status == "ok":
                    self._in_after(visit, outcome, worker)
        for outcome, _ in pairs:
            if outcome.status == "ok":
                found = visits[outcome.contender.name]
                quiet = [sample.seconds for each in found for sample in each.quiet]
                enough = len(quiet) >= _LEAST
                stretch = outcome.stretches[-1]
                stretch.seconds = quiet if enough else [sample.seconds for each in found for sample in each.every]
                stretch.disturbed = "" if enough else found[-1].complaint

    def _visit(self, worker: _Asked) -> _Visit:
        """Samples; taken again, for as long as that is allowed, until some are undisturbed."""
        schedule = self.schedule
        budget_s = schedule.budget_s / (schedule.processes * schedule.rounds)
        found = _Visit([], [], "")
        for _ in range(1 + schedule.retries):
            self.guard.begin()
            reply = worker.ask("time", budget_s=budget_s, least=_LEAST, most=_MOST, cold_bytes=schedule.cold_bytes)
            every = [Sample(*each) for each in reply["samples"]]
            quiet, complaint = self.guard.sift(every, reply["own_s"])
            found = _Visit(found.every + every, found.quiet + quiet, complaint or found.complaint)
            if len(found.quiet) >= _LEAST:
                break
        return found
