"""Contenders of one problem in turns: each in a process of its own, never two measuring at once.

They are prepared and checked one after the other, and then measured round by round, so that a
drift of the machine affects all alike: in one generation of processes forwards, in the next
backwards (AB AB, then BA BA). Their results of one generation are pairs for `suite.check.statistics`.

If a schedule has a screen, contenders that a round shows to be too slow take part in no further one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from suite.check.checker import Check
from suite.check.tolerance import Tolerance
from suite.measure.load_guard import LoadGuard
from suite.measure.pool import WorkerLike
from suite.measure.result import ProcessResult
from suite.measure.sampling import Sample
from suite.measure.screen import NO_SCREEN, Screen
from suite.measure.worker import WorkerError
from suite.oracles import AnyOracle
from suite.workload import Workload

__all__ = [
    "LONGEST_REASON",
    "Participant",
    "Schedule",
    "Timed",
    "check_last",
    "measure_in_turns",
    "prepare_and_check",
    "reason_of",
]

#: Samples of one visit: least and most.
_LEAST, _MOST = 2, 200

#: Compilers explain themselves over pages; a reason keeps the beginning.
LONGEST_REASON = 500


def reason_of(error: Exception) -> str:
    """An exception as the reason of a status: its kind and its words in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:LONGEST_REASON]


@dataclass(frozen=True)
class Schedule:
    """How much is measured.

    Attributes
    ----------
    visit_s : float
        Seconds of samples per visit.
    rounds : int
        Most visits per process.
    spend_s : float
        After so many seconds per process, no further round begins, except the second.
    cold_bytes : int
        If more than 0, so much is written to before every call, to empty the caches.
    retries : int
        How often a disturbed visit is repeated.
    settle_s : float
        How long to wait for the machine to become quiet.
    screen : Screen
        Which contenders leave after a round.
    """

    visit_s: float = 0.01
    rounds: int = 6
    spend_s: float = float("inf")
    cold_bytes: int = 0
    retries: int = 3
    settle_s: float = 2.0
    screen: Screen = NO_SCREEN


class Timed(Protocol):
    """What measuring needs of a contender: its name, whose it is, and what its results are held to."""

    @property
    def name(self) -> str:
        """Unique name."""

    @property
    def is_peer(self) -> bool:
        """Whether it is another project's."""

    def tolerance(self, problem: Any, chosen: str) -> Tolerance:
        """What its results are held to, if it chose ``chosen``."""


@dataclass
class Participant:
    """A contender in one process, on one problem, and its result.

    ``slowdown`` is a fraction of its own time that is spent idly within every timed call:
    a slowdown of known size, to find out whether it is seen. ``told`` is called with what
    it is doing, in a word.
    """

    contender: Timed
    worker: WorkerLike
    result: ProcessResult
    slowdown: float = 0.0
    told: Callable[[str], None] = lambda phase: None


def prepare_and_check(
    participant: Participant,
    problem: Workload,
    oracle: AnyOracle,
    *,
    integers: bool = True,
    earlier: Sequence[ProcessResult] = (),
) -> None:
    """Prepare and check; status and reason are in the participant's result.

    Parameters
    ----------
    participant : Participant
    problem : Workload
    oracle : AnyOracle
    integers : bool
        Whether whole numbers are checked too; they are of no peer. Times are those of normal values.
    earlier : sequence of ProcessResult
        Of the same contender in other processes: what was right with the same algorithm is not checked again.
    """
    contender, result = participant.contender, participant.result
    fills = oracle.fills if integers and not contender.is_peer else oracle.fills[-1:]
    try:
        for fill in fills:
            participant.told("preparing")
            # What was prepared on another fill has nothing left to compile: once is enough to time it.
            reply = participant.worker.ask(
                "prepare", contender=contender.name, problem=str(problem), fill=fill, twice=len(fills) == 1,
                told=participant.told,
            )  # fmt: skip
            # The first preparation of all compiles, whichever fill it has.
            result.first_s = reply["first_s"] if result.first_s is None else result.first_s
            result.first_call_s = reply["first_call_s"] if result.first_call_s is None else result.first_call_s
            result.prepare_s = reply["prepare_s"]
            result.chosen, result.workspace_bytes = reply["chosen"], reply["workspace_bytes"]
            right = next((each for each in earlier if each.status == "ok" and each.chosen == result.chosen), None)
            if right is not None:
                result.digest = right.digest
                continue
            participant.told("verifying")
            reply = participant.worker.ask("result")
            result.digest = reply["digest"]
            check = _check(participant, problem, oracle, fill, reply)
            if not np.isnan(check.rel_error):
                result.rel_error = check.rel_error
            if check.status != "ok":
                result.status, result.reason = check.status, check.reason
                return
    except WorkerError as error:
        result.status, result.reason = "failed", str(error)[:LONGEST_REASON]


def check_last(participants: Sequence[Participant], problem: Workload, oracle: AnyOracle) -> None:
    """Check what the last timed call of each computed: what went wrong in the course of timing is not fast.

    Parameters
    ----------
    participants : sequence of Participant
        As `measure_in_turns` left them.
    problem : Workload
    oracle : AnyOracle
    """
    for each in participants:
        result = each.result
        if result.status != "ok":
            continue
        each.told("verifying")
        try:
            reply = each.worker.ask("last", known=[] if result.digest is None else [result.digest])
            if "array" in reply or reply["touched"]:
                check = _check(each, problem, oracle, oracle.fills[-1], reply)
                if check.status != "ok":
                    result.status, result.reason = check.status, f"after it was timed: {check.reason}"
        except WorkerError as error:
            result.status, result.reason = "failed", str(error)[:LONGEST_REASON]


def _check(participant: Participant, problem: Workload, oracle: AnyOracle, fill: str, reply: dict[str, Any]) -> Check:
    if reply["touched"]:
        return Check("wrong", float("nan"), f"{reply['touched'][0]} was written to, expected to be only read")
    tolerance = participant.contender.tolerance(problem, participant.result.chosen)
    return oracle.compare(tolerance, fill, reply["array"])


def measure_in_turns(
    participants: Sequence[Participant],
    schedule: Schedule,
    guard: LoadGuard,
    *,
    backwards: bool = False,
    before: Callable[[Participant], None] = lambda participant: None,
) -> None:
    """Measure those that are ok, round by round; a process that crashes is out from then on.

    Parameters
    ----------
    participants : sequence of Participant
    schedule : Schedule
    guard : LoadGuard
    backwards : bool
        Whether rounds begin with the last, so that none is always the first.
    before : callable
        Called with each before it is visited.
    """
    running = [each for each in participants if each.result.status == "ok"]
    visits: dict[int, list[_Visit]] = {id(each): [] for each in running}
    spent = dict.fromkeys(visits, 0.0)
    guard.settle(schedule.settle_s)
    end = time.perf_counter() + schedule.spend_s * len(running)
    # Each comes after another: one that comes after itself, as at the turn of ABBA, finds warm caches.
    # (The one in the middle was 2.5 % slower than the same code at an end.)
    order = running[::-1] if backwards else [*running]
    for number in range(schedule.rounds):
        if number > 1 and time.perf_counter() > end:
            break
        for participant in order:
            if participant.result.status != "ok":
                continue
            before(participant)
            participant.told("timing")
            begun = time.perf_counter()
            try:
                visits[id(participant)].append(_visit(participant, schedule, guard))
            except WorkerError as error:
                participant.result.status, participant.result.reason = "failed", str(error)[:LONGEST_REASON]
            spent[id(participant)] += time.perf_counter() - begun
        slow = _slow(order, visits, schedule.screen)
        for participant in [each for each in order if each.contender.name in slow]:
            order.remove(participant)
            # What a slow one spent is not taken from the others.
            if math.isfinite(end):
                end += spent[id(participant)] - schedule.spend_s
    for participant in running:
        if participant.result.status == "ok":
            _sum_up(participant.result, visits[id(participant)])


@dataclass(frozen=True)
class _Visit:
    every: list[Sample]
    quiet: list[Sample]
    complaint: str


def _slow(participants: Sequence[Participant], visits: dict[int, list[_Visit]], screen: Screen) -> set[str]:
    """Names of those that are too slow for another round and had enough undisturbed samples."""
    times = {}
    for each in participants:
        quiet = [sample.seconds for visit in visits[id(each)] for sample in visit.quiet]
        if each.result.status == "ok" and len(quiet) >= _LEAST:
            times[each.contender.name] = float(np.median(quiet))
    return screen.slow(times, {each.contender.name for each in participants if each.contender.is_peer})


def _visit(participant: Participant, schedule: Schedule, guard: LoadGuard) -> _Visit:
    """Samples; repeated, as often as that is allowed, until some are undisturbed."""
    found = _Visit([], [], "")
    for _ in range(1 + schedule.retries):
        guard.begin()
        reply = participant.worker.ask(
            "time", budget_s=schedule.visit_s, least=_LEAST, most=_MOST, cold_bytes=schedule.cold_bytes,
            slowdown=participant.slowdown,
        )  # fmt: skip
        every = [Sample(*each) for each in reply["samples"]]
        quiet, complaint = guard.sift(every, reply["own_s"])
        found = _Visit(found.every + every, found.quiet + quiet, complaint or found.complaint)
        if len(found.quiet) >= _LEAST:
            break
    return found


def _sum_up(result: ProcessResult, visits: Sequence[_Visit]) -> None:
    quiet = [sample.seconds for each in visits for sample in each.quiet]
    result.visits = [
        float(np.median([each.seconds for each in visit.quiet])) if visit.quiet else None for visit in visits
    ]
    enough = len(quiet) >= _LEAST
    result.seconds = quiet if enough else [sample.seconds for each in visits for sample in each.every]
    result.disturbed = "" if enough else visits[-1].complaint
