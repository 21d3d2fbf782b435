"""Contenders of one problem in turns: each in a process of its own, never two measuring at once.

They are prepared and judged one after the other, and then measured round by round, so that a
drift of the machine hits all alike: in one generation of processes forwards, in the next
backwards (AB AB, then BA BA). What they did in one generation are pairs for `suite.statistics`.

Where a schedule has a screen, those that a round shows to be too slow take part in no further one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from suite.company import Staff
from suite.contenders import Contender
from suite.load import LoadGuard
from suite.meter import Sample
from suite.outcome import Take
from suite.process import WorkerError
from suite.screen import NO_SCREEN, Screen
from suite.verify import Check
from suite.works import AnyReferee, Work

__all__ = ["LONGEST_REASON", "Entrant", "Schedule", "admit", "reason_of", "take_turns"]

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
        Seconds of samples a visit.
    rounds : int
        Most visits a process.
    spend_s : float
        After so many seconds a process, no further round begins, but for the second.
    cold_bytes : int
        With more than 0, so much is written to before every call, to empty the caches.
    retries : int
        How often a disturbed visit is repeated.
    settle_s : float
        How long it is waited for the machine to become quiet.
    screen : Screen
        Who leaves after a round.
    """

    visit_s: float = 0.01
    rounds: int = 6
    spend_s: float = float("inf")
    cold_bytes: int = 0
    retries: int = 3
    settle_s: float = 2.0
    screen: Screen = NO_SCREEN


@dataclass
class Entrant:
    """A contender in one process, on one problem, and what it did.

    ``slowdown`` is a fraction of its own time that is spent idly within every timed call:
    a slowdown whose size is known, to find out whether it is seen. ``told`` hears in a word what
    it is doing.
    """

    contender: Contender
    staff: Staff
    take: Take
    slowdown: float = 0.0
    told: Callable[[str], None] = lambda phase: None


def admit(
    entrant: Entrant,
    problem: Work,
    referee: AnyReferee,
    *,
    integers: bool = True,
    judged: Callable[[Take], bool] = lambda take: False,
) -> None:
    """Prepare and judge; the take says what came of it.

    Whole numbers are asked for only where ``integers``, and of no peer. Times are those of
    normal values. What another process computed and ``judged`` says was right, is not judged again.
    """
    contender, take = entrant.contender, entrant.take
    fills = referee.fills if integers and not contender.is_peer else referee.fills[-1:]
    try:
        for fill in fills:
            entrant.told("preparing")
            # What was prepared on another fill has nothing left to compile: once is enough to time it.
            reply = entrant.staff.ask(
                "prepare", contender=contender.name, problem=str(problem), fill=fill, twice=len(fills) == 1,
                told=entrant.told,
            )  # fmt: skip
            # The first preparation of all compiles, whichever fill it has.
            take.first_s = reply["first_s"] if take.first_s is None else take.first_s
            take.first_call_s = reply["first_call_s"] if take.first_call_s is None else take.first_call_s
            take.prepare_s = reply["prepare_s"]
            take.chosen, take.workspace_bytes = reply["chosen"], reply["workspace_bytes"]
            if judged(take):
                continue
            entrant.told("verifying")
            check = _judge(entrant, problem, referee, fill)
            if not np.isnan(check.rel_error):
                take.rel_error = check.rel_error
            if check.status != "ok":
                take.status, take.reason = check.status, check.reason
                return
    except WorkerError as error:
        take.status, take.reason = "failed", str(error)[:LONGEST_REASON]


def _judge(entrant: Entrant, problem: Work, referee: AnyReferee, fill: str) -> Check:
    result = entrant.staff.ask("result")
    if result["touched"]:
        return Check("wrong", float("nan"), f"{result['touched'][0]} was written to, expected to be only read")
    return referee.judge(entrant.contender.standard(problem, entrant.take.chosen), fill, result["array"])


def take_turns(
    entrants: Sequence[Entrant],
    schedule: Schedule,
    guard: LoadGuard,
    *,
    backwards: bool = False,
    before: Callable[[Entrant], None] = lambda entrant: None,
) -> None:
    """Measure those that are ok, round by round; a process that crashes is out from then on.

    Parameters
    ----------
    entrants : sequence of Entrant
    schedule : Schedule
    guard : LoadGuard
    backwards : bool
        Whether rounds begin with the last: so that nobody is always the first.
    before : callable
        Told of each before it is visited.
    """
    running = [each for each in entrants if each.take.status == "ok"]
    visits: dict[int, list[_Visit]] = {id(each): [] for each in running}
    spent = dict.fromkeys(visits, 0.0)
    guard.settle(schedule.settle_s)
    end = time.perf_counter() + schedule.spend_s * len(running)
    # Everybody comes after somebody else: who came after himself, as at the turn of ABBA, would
    # find warm caches. (Whoever stood in the middle was 2.5 % slower than the same code at an end.)
    order = running[::-1] if backwards else [*running]
    for number in range(schedule.rounds):
        if number > 1 and time.perf_counter() > end:
            break
        for entrant in order:
            if entrant.take.status != "ok":
                continue
            before(entrant)
            entrant.told("timing")
            begun = time.perf_counter()
            try:
                visits[id(entrant)].append(_visit(entrant, schedule, guard))
            except WorkerError as error:
                entrant.take.status, entrant.take.reason = "failed", str(error)[:LONGEST_REASON]
            spent[id(entrant)] += time.perf_counter() - begun
        slow = _slow(order, visits, schedule.screen)
        for entrant in [each for each in order if each.contender.name in slow]:
            order.remove(entrant)
            # What a slow one spent is not the others'.
            if math.isfinite(end):
                end += spent[id(entrant)] - schedule.spend_s
    for entrant in running:
        if entrant.take.status == "ok":
            _sum_up(entrant.take, visits[id(entrant)])


@dataclass(frozen=True)
class _Visit:
    every: list[Sample]
    quiet: list[Sample]
    complaint: str


def _slow(entrants: Sequence[Entrant], visits: dict[int, list[_Visit]], screen: Screen) -> set[str]:
    """Who is too slow for another round, of those that had enough undisturbed samples."""
    times = {}
    for each in entrants:
        quiet = [sample.seconds for visit in visits[id(each)] for sample in visit.quiet]
        if each.take.status == "ok" and len(quiet) >= _LEAST:
            times[each.contender.name] = float(np.median(quiet))
    return screen.slow(times, {each.contender.name for each in entrants if each.contender.is_peer})


def _visit(entrant: Entrant, schedule: Schedule, guard: LoadGuard) -> _Visit:
    """Samples; taken again, for as long as that is allowed, until some are undisturbed."""
    found = _Visit([], [], "")
    for _ in range(1 + schedule.retries):
        guard.begin()
        reply = entrant.staff.ask(
            "time", budget_s=schedule.visit_s, least=_LEAST, most=_MOST, cold_bytes=schedule.cold_bytes,
            slowdown=entrant.slowdown,
        )  # fmt: skip
        every = [Sample(*each) for each in reply["samples"]]
        quiet, complaint = guard.sift(every, reply["own_s"])
        found = _Visit(found.every + every, found.quiet + quiet, complaint or found.complaint)
        if len(found.quiet) >= _LEAST:
            break
    return found


def _sum_up(take: Take, visits: Sequence[_Visit]) -> None:
    quiet = [sample.seconds for each in visits for sample in each.quiet]
    take.visits = [
        float(np.median([each.seconds for each in visit.quiet])) if visit.quiet else None for visit in visits
    ]
    enough = len(quiet) >= _LEAST
    take.seconds = quiet if enough else [sample.seconds for each in visits for sample in each.every]
    take.disturbed = "" if enough else visits[-1].complaint
