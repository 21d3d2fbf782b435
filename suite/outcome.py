"""What comes of contenders: a take of each in one process, and an outcome over all its processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from suite.statistics import paired_log_ratios

__all__ = ["Outcome", "Take", "log_ratio"]


@dataclass
class Take:
    """What one contender did in one process.

    Attributes
    ----------
    status : {"ok", "skipped", "wrong", "failed"}
    reason : str
    version, chosen : str
        Of the library; the algorithm that ran, of a contender that chooses one.
    rel_error : float or None
    workspace_bytes : int or None
    first_s, first_call_s : float or None
        Seconds of the first preparation and call, compiling or loading compiled code included;
        of that call alone.
    prepare_s : float or None
        Preparing alone, once nothing is left to compile.
    seconds : list of float
        Undisturbed samples; where there are too few, all.
    visits : list of float or None
        Seconds of one call in each visit, of its undisturbed samples; ``None`` where there were none.
    disturbed : str
        Why hardly a sample was undisturbed; empty where enough were.
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

    @property
    def median_s(self) -> float:
        """Seconds of one call; NaN where it has none."""
        return float(np.median(self.seconds)) if self.seconds else float("nan")

    @property
    def quiet(self) -> bool:
        """Whether it has a time that can be trusted."""
        return self.status == "ok" and bool(self.seconds) and not self.disturbed

    def as_dict(self) -> dict[str, Any]:
        """Every attribute, in types that JSON knows."""
        return asdict(self)


@dataclass(frozen=True)
class Outcome:
    """What one contender did in all its processes.

    Attributes
    ----------
    takes : sequence of Take
        One a generation of processes; shorter where the first ones were already not ``ok``.
    """

    takes: Sequence[Take]

    @property
    def _faulty(self) -> Take | None:
        return next((take for take in self.takes if take.status != "ok"), None)

    @property
    def _trusted(self) -> bool:
        """Whether the median stands on undisturbed processes: those are more than half."""
        return 2 * sum(take.quiet for take in self.takes) > len(self.takes)

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
            disturbed = [take.disturbed for take in self.takes if take.disturbed]
            return f"{len(disturbed)} of {len(self.takes)} processes were disturbed: {disturbed[-1]}"
        return f"chose {self.takes[-1].chosen}" if self.takes[-1].chosen else ""

    @property
    def timed(self) -> list[Take]:
        """Takes that its time is made of: the undisturbed ones where they suffice, else all; none if not right."""
        if self._faulty is not None:
            return []
        return [take for take in self.takes if take.quiet or not self._trusted]

    @property
    def time_s(self) -> float:
        """Seconds of one call: the median over processes; NaN where it was not timed."""
        return float(np.median([take.median_s for take in self.timed])) if self.timed else float("nan")

    def log_ratios_to(self, other: Outcome) -> np.ndarray:
        """`log_ratio` to another, of the generations in which both were undisturbed."""
        pairs = zip(self.takes, other.takes, strict=False)
        return np.array([log_ratio(mine, theirs) for mine, theirs in pairs if mine.quiet and theirs.quiet])


def log_ratio(mine: Take, theirs: Take) -> float:
    """Logarithm of the ratio of two takes of one generation: the median over visits in the same round.

    Visits of a round are milliseconds apart: what slows the machine for longer slows both.
    Takes that have no round in common are compared by their medians.
    """
    rounds = [(a, b) for a, b in zip(mine.visits, theirs.visits, strict=False) if a and b]
    ours, others = zip(*rounds, strict=True) if rounds else ((mine.median_s,), (theirs.median_s,))
    return float(np.median(paired_log_ratios(ours, others)))
