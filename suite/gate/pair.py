"""Revision pairs: one generation of the gate, fresh processes of both revisions on one benchmark after another.

A side is one process for all its algorithms. The base has a second one, the control, which takes part in
some of the benchmarks: if base differs from itself, no difference of this generation means anything.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from kernels import Conv2dProblem
from suite.check.tolerance import Tolerance
from suite.gate.findings import Benchmark
from suite.gate.revisions import Revision
from suite.measure.interleave import Participant, Schedule, check_last, measure_in_turns, prepare_and_check
from suite.measure.load_guard import LoadGuard
from suite.measure.oracle_cache import OracleCache
from suite.measure.pool import WorkerLike
from suite.measure.result import ProcessResult
from suite.measure.worker import Worker, WorkerError

__all__ = ["BASE", "CONTROL", "HEAD", "Offer", "RevisionPair", "StartSide", "offer_of", "start_side"]

BASE, HEAD, CONTROL = "base", "head", "control"

#: For all generations: each asks for the same problems.
_ORACLES = OracleCache()

#: Makes a worker of a revision, a number of threads, and a folder for compiled code.
StartSide = Callable[[Revision, int, Path | None], WorkerLike]


def start_side(revision: Revision, threads: int, compiled: Path | None = None) -> WorkerLike:
    """A fresh process of a revision's sources in its environment; its compiled code is kept in ``compiled``."""
    return Worker("auto", threads, compiled, sources=revision.sources, python=revision.python)


@dataclass(frozen=True)
class Offer:
    """What one revision offers: by algorithm its refusals, a reason or ``None`` per problem, and its promise."""

    refusals: dict[str, dict[str, str | None]]
    tolerances: dict[str, Tolerance]

    def absence(self, algorithm: str, problem: str) -> str | None:
        """Why there is no such benchmark; ``None`` if there is."""
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
    worker = start(revision, 1, None)
    try:
        known: dict[str, Any] = worker.ask("offers", problems=list(problems))["algorithms"]
    finally:
        worker.close()
    return Offer(
        {name: dict(zip(problems, each["refusals"], strict=True)) for name, each in known.items()},
        {name: Tolerance(**each["tolerance"]) for name, each in known.items()},
    )


@dataclass(frozen=True)
class _SideAlgorithm:
    """An algorithm of a revision: its promise is that revision's, not that of the running sources."""

    name: str
    promise: Tolerance

    is_peer = False

    def tolerance(self, problem: Any, chosen: str) -> Tolerance:
        return self.promise


@dataclass
class RevisionPair:
    """The processes of one generation; used in a ``with`` block.

    Parameters
    ----------
    number : int
        Of the generation: every other one takes turns in reversed order.
    revisions : dict
        By side; without a control if there is none.
    offers : dict
        By side.
    schedule : Schedule
    start : callable
    guard : callable
        Makes a load guard for a number of threads.
    compile_anew : bool
        Whether each process has an empty folder for compiled code, so that compiling is measured.
    """

    number: int
    revisions: dict[str, Revision]
    offers: dict[str, Offer]
    schedule: Schedule
    start: StartSide = start_side
    guard: Callable[[int], LoadGuard] = LoadGuard
    compile_anew: bool = False
    _compiled: list[tempfile.TemporaryDirectory[str]] = field(default_factory=list)
    _workers: dict[tuple[str, int], WorkerLike] = field(default_factory=dict)

    def measure(
        self, benchmark: Benchmark, *, control: bool = False, slowdowns: Sequence[float] = ()
    ) -> dict[str, list[ProcessResult]]:
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
        dict of str to list of ProcessResult
            By side one; of base and head one more for each slowdown, measured in turns of
            their own, as the gate measures.
        """
        problem = Conv2dProblem.parse(benchmark.problem)
        participants: dict[str, list[Participant]] = {}
        # In every other generation head is started and prepared first, too: what one process has of being the
        # first, such as its pages of memory, is not always base's.
        sides = (BASE, HEAD, CONTROL) if self.number % 2 == 0 else (CONTROL, HEAD, BASE)
        for side in sides:
            if side not in self.revisions or (side == CONTROL and not control):
                continue
            contender = _SideAlgorithm(benchmark.algorithm, self.offers[side].tolerances[benchmark.algorithm])
            try:
                participant = Participant(contender, self._worker(side, benchmark.threads), ProcessResult())
            except WorkerError as error:
                return {side: [ProcessResult("failed", str(error))]}
            # Whole numbers once: they are slow for what they add.
            prepare_and_check(participant, problem, _ORACLES(problem), integers=self.number == 0)
            participants[side] = [participant]
        # Rounds are reversed by themselves.
        participants = {side: participants[side] for side in (BASE, HEAD, CONTROL) if side in participants}
        self._measure([own[0] for own in participants.values()], benchmark, problem)
        for slowdown in slowdowns:
            again = {
                side: Participant(
                    own[0].contender,
                    own[0].worker,
                    ProcessResult(own[0].result.status, digest=own[0].result.digest),
                    slowdown if side == HEAD else 0.0,
                )
                for side, own in participants.items()
                if side != CONTROL
            }
            self._measure([*again.values()], benchmark, problem)
            for side, participant in again.items():
                participants[side].append(participant)
        for side, own in participants.items():
            if any(each.result.status == "failed" for each in own):
                self._workers.pop((side, benchmark.threads)).close()
        return {side: [each.result for each in own] for side, own in participants.items()}

    def _measure(self, participants: Sequence[Participant], benchmark: Benchmark, problem: Conv2dProblem) -> None:
        if all(each.result.status == "ok" for each in participants):
            measure_in_turns(participants, self.schedule, self.guard(benchmark.threads), backwards=self.number % 2 == 1)
            check_last(participants, problem, _ORACLES(problem))

    def _worker(self, side: str, threads: int) -> WorkerLike:
        key = side, threads
        if key not in self._workers:
            compiled = None
            if self.compile_anew:
                self._compiled.append(tempfile.TemporaryDirectory(prefix="convmark-gate-"))
                compiled = Path(self._compiled[-1].name)
            worker = self.start(self.revisions[side], threads, compiled)
            try:
                worker.ask("load", contender="auto", threads=threads, plain=True)
            except WorkerError:
                worker.close()
                raise
            self._workers[key] = worker
        return self._workers[key]

    def __enter__(self) -> RevisionPair:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()
        for folder in self._compiled:
            folder.cleanup()
        self._compiled.clear()
