"""Results: of a contender in one process, and over all its processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from suite.check.statistics import paired_log_ratios

__all__ = ["ProcessResult", "Result", "log_ratio"]


@dataclass
class ProcessResult:
    """What was found of one contender in one process.

    Attributes
    ----------
    status : {"ok", "skipped", "wrong", "failed"}
    reason : str
    version, chosen : str
        Of the library; the algorithm that ran, of a contender that chooses one.
    rel_error : float or None
    digest : int or None
        Of the values that were found to be right.
    workspace_bytes : int or None
    first_s, first_call_s : float or None
        Seconds of the first preparation and call, compiling or loading compiled code included;
        of that call alone.
    prepare_s : float or None
        Preparing alone, once nothing is left to compile.
    seconds : list of float
        Undisturbed samples; all if those are too few.
    visits : list of float or None
        Seconds of one call in each visit, of its undisturbed samples; ``None`` if there were none.
    disturbed : str
        Why hardly a sample was undisturbed; empty if enough were.
    """

    status: str = "ok"
    reason: str = ""
    version: str = ""
    chosen: str = ""
    rel_error: float | None = None
    workspace_bytes: int | None = None
    first_s: float | None = None
    first_call_s: float | None = None
    prepare_s: float | None = None
    seconds: list[float] = field(default_factory=list)
    visits: list[float | None] = field(default_factory=list)
    disturbed: str = ""
    digest: int | None = None

    @property
    def median_s(self) -> float:
        """Seconds of one call; NaN if it has none."""
        return float(np.median(self.seconds)) if self.seconds else float("nan")

    @property
    def quiet(self) -> bool:
        """Whether it has a time that can be trusted."""
        return self.status == "ok" and bool(self.seconds) and not self.disturbed

    def as_dict(self) -> dict[str, Any]:
        """Every attribute, in types that JSON knows."""
        return asdict(self)


@dataclass(frozen=True)
class Result:
    """What was found of one contender in all its processes.

    Attributes
    ----------
    processes : sequence of ProcessResult
        One per generation of processes; fewer if the first ones were already not ``ok``.
    """

    processes: Sequence[ProcessResult]

    @property
    def _faulty(self) -> ProcessResult | None:
        return next((each for each in self.processes if each.status != "ok"), None)

    @property
    def _trusted(self) -> bool:
        """Whether the median stands on undisturbed processes: those are more than half."""
        return 2 * sum(each.quiet for each in self.processes) > len(self.processes)

    @property
    def status(self) -> str:
        """``ok``, ``mistrusted``, ``skipped``, ``wrong`` or ``failed``."""
        if self._faulty is not None:
            return self._faulty.status
        return "ok" if self._trusted else "mistrusted"

    @property
    def reason(self) -> str:
        """Why it is not ok, or what a contender that chooses chose."""
        if self._faulty is not None:
            return self._faulty.reason
        if not self._trusted:
            disturbed = [each.disturbed for each in self.processes if each.disturbed]
            return f"{len(disturbed)} of {len(self.processes)} processes were disturbed: {disturbed[-1]}"
        return f"chose {self.processes[-1].chosen}" if self.processes[-1].chosen else ""

    @property
    def timed(self) -> list[ProcessResult]:
        """Processes that its time is made of: the undisturbed ones if they suffice, else all; none if not right."""
        if self._faulty is not None:
            return []
        return [each for each in self.processes if each.quiet or not self._trusted]

    @property
    def time_s(self) -> float:
        """Seconds of one call: the median over processes; NaN if it was not timed."""
        return float(np.median([each.median_s for each in self.timed])) if self.timed else float("nan")

    def log_ratios_to(self, other: Result) -> np.ndarray:
        """`log_ratio` to another, of the generations in which both were undisturbed."""
        pairs = zip(self.processes, other.processes, strict=False)
        return np.array([log_ratio(mine, theirs) for mine, theirs in pairs if mine.quiet and theirs.quiet])


def log_ratio(mine: ProcessResult, theirs: ProcessResult) -> float:
    """Logarithm of the ratio of two results of one generation: the median over visits in the same round.

    Visits of a round are milliseconds apart: what slows the machine for longer slows both.
    Results that have no round in common are compared by their medians.
    """
    rounds = [(a, b) for a, b in zip(mine.visits, theirs.visits, strict=False) if a and b]
    ours, others = zip(*rounds, strict=True) if rounds else ((mine.median_s,), (theirs.median_s,))
    return float(np.median(paired_log_ratios(ours, others)))
