"""One generation of the gate: fresh processes of both revisions meet on benchmark after benchmark.

A side is one process for all its algorithms. The base has a second one, the control, which
takes part in some of the benchmarks: what differs from itself says that nothing of this
generation means anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from kernels import Conv2dProblem
from suite.company import Staff
from suite.gate.findings import Benchmark
from suite.gate.revisions import Revision
from suite.interleave import Entrant, Schedule, admit, take_turns
from suite.load import LoadGuard
from suite.outcome import Take
from suite.process import Worker, WorkerError
from suite.referees import Referees
from suite.verify import Standard

__all__ = ["BASE", "CONTROL", "HEAD", "Duel", "Offer", "StartSide", "offer_of", "start_side"]

BASE, HEAD, CONTROL = "base", "head", "control"

#: Of all generations: each asks for the same problems.
_REFEREES = Referees()

#: Makes a worker of a revision and a number of threads.
StartSide = Callable[[Revision, int], Staff]


def start_side(revision: Revision, threads: int) -> Staff:
    """A fresh process of a revision's sources in its environment."""
    return Worker("auto", threads, sources=revision.sources, python=revision.python)


@dataclass(frozen=True)
class Offer:
    """What one revision offers: by algorithm its refusals, a reason or ``None`` a problem, and its promise."""

    refusals: dict[str, dict[str, str | None]]
    standards: dict[str, Standard]

    def absence(self, algorithm: str, problem: str) -> str | None:
        """Why there is no such benchmark; ``None`` where there is."""
        if algorithm not in self.refusals:
            return f"there is no algorithm {algorithm}"
        return self.refusals[algorithm][problem]


def offer_of(revision: Revision, problems: Sequence[str], start: StartSide = start_side) -> Offer:
    """Ask a revision what it offers.

    Raises
    ------
    WorkerError
        It cannot be started, or does not understand the problems.
    """
    staff = start(revision, 1)
    try:
        known: dict[str, Any] = staff.ask("offers", problems=list(problems))["algorithms"]
    finally:
        staff.close()
    return Offer(
        {name: dict(zip(problems, each["refusals"], strict=True)) for name, each in known.items()},
        {name: Standard(**each["standard"]) for name, each in known.items()},
    )


@dataclass(frozen=True)
class _SideContender:
    """An algorithm of a revision: its promise is that revision's, not that of the running sources."""

    name: str
    promise: Standard

    family, library, is_peer, apart = "", "convmark", False, False

    def version(self) -> str | None:
        return ""

    def install(self) -> str:
        return ""

    def unsupported(self, problem: Conv2dProblem, threads: int = 1) -> str | None:
        return None

    def load(self, threads: int) -> None:
        pass

    def prepare(self, problem: Conv2dProblem, inputs: Any, threads: int) -> Any:
        raise NotImplementedError

    def standard(self, problem: Conv2dProblem, chosen: str) -> Standard:
        return self.promise


@dataclass
class Duel:
    """The processes of one generation; used in a ``with`` block.

    Parameters
    ----------
    number : int
        Of the generation: every other one takes turns in reversed order.
    revisions : dict
        By side; without a control where there is none.
    offers : dict
        By side.
    schedule : Schedule
    start : callable
    guard : callable
        Makes a load guard for a number of threads.
    """

    number: int
    revisions: dict[str, Revision]
    offers: dict[str, Offer]
    schedule: Schedule
    start: StartSide = start_side
    guard: Callable[[int], LoadGuard] = LoadGuard
    _staff: dict[tuple[str, int], Staff] = field(default_factory=dict)

    def play(
        self, benchmark: Benchmark, *, control: bool = False, slowdowns: Sequence[float] = ()
    ) -> dict[str, list[Take]]:
        """Measure one benchmark on every side.

        Parameters
        ----------
        benchmark : Benchmark
        control : bool
            Whether the control takes part.
        slowdowns : sequence of float
            Slowdowns with which head is measured as well, fractions of its own time.

        Returns
        -------
        dict of str to list of Take
            By side one take; of base and head one more for each slowdown, taken in turns of
            their own, so that what is measured is what the gate measures.
        """
        problem = Conv2dProblem.parse(benchmark.problem)
        entrants: dict[str, list[Entrant]] = {}
        for side in (BASE, HEAD, CONTROL):
            if side not in self.revisions or (side == CONTROL and not control):
                continue
            contender = _SideContender(benchmark.algorithm, self.offers[side].standards[benchmark.algorithm])
            try:
                entrant = Entrant(contender, self._hire(side, benchmark.threads), Take())
            except WorkerError as error:
                return {side: [Take("failed", str(error))]}
            # Whole numbers once: they are slow for what they add.
            admit(entrant, problem, _REFEREES(problem), integers=self.number == 0)
            entrants[side] = [entrant]
        self._measure([own[0] for own in entrants.values()], benchmark)
        for slowdown in slowdowns:
            again = {
                side: Entrant(
                    own[0].contender, own[0].staff, Take(own[0].take.status), slowdown if side == HEAD else 0.0
                )
                for side, own in entrants.items()
                if side != CONTROL
            }
            self._measure([*again.values()], benchmark)
            for side, entrant in again.items():
                entrants[side].append(entrant)
        for side, own in entrants.items():
            if any(each.take.status == "failed" for each in own):
                self._staff.pop((side, benchmark.threads)).close()
        return {side: [each.take for each in own] for side, own in entrants.items()}

    def _measure(self, entrants: Sequence[Entrant], benchmark: Benchmark) -> None:
        if all(each.take.status == "ok" for each in entrants):
            take_turns(entrants, self.schedule, self.guard(benchmark.threads), backwards=self.number % 2 == 1)

    def _hire(self, side: str, threads: int) -> Staff:
        key = side, threads
        if key not in self._staff:
            staff = self.start(self.revisions[side], threads)
            try:
                staff.ask("load", contender="auto", threads=threads)
            except WorkerError:
                staff.close()
                raise
            self._staff[key] = staff
        return self._staff[key]

    def __enter__(self) -> Duel:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for staff in self._staff.values():
            staff.close()
        self._staff.clear()
