"""Findings of the gate: a verdict per benchmark, and what all of them together mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = [
    "CLEAN",
    "DIRTY",
    "MARGIN",
    "METRICS",
    "SLOWER",
    "UNMEASURED",
    "Benchmark",
    "Finding",
    "Findings",
    "worst_first",
]

#: What can be compared; the first is what is if nothing else is asked for.
METRICS = ("time", "compile", "workspace")

#: The smallest slowdown that must not pass, as a fraction, if none is asked for.
MARGIN = 0.05

#: Exit codes of the gate.
CLEAN, SLOWER, UNMEASURED, DIRTY = 0, 1, 2, 3

#: Verdicts of benchmarks that both revisions have and could be measured.
_DECIDED = ("faster", "same", "slower")


@dataclass(frozen=True, order=True)
class Benchmark:
    """What is compared: one algorithm on one layer with one number of threads, by one metric.

    Attributes
    ----------
    network, layer, problem, algorithm : str
    threads : int
    metric : {"time", "compile", "workspace"}
        Of a call; of compiling; scratch memory.
    """

    network: str
    layer: str
    problem: str
    algorithm: str
    threads: int
    metric: str = "time"

    @property
    def name(self) -> str:
        """One line that names it; the problem's text is in it, so that another shape is another benchmark."""
        metric = "" if self.metric == "time" else f" {self.metric}"
        return f"{self.network}/{self.layer} {self.problem} {self.algorithm} {self.threads}t{metric}"


@dataclass(frozen=True)
class Finding:
    """What the gate says of one benchmark.

    Attributes
    ----------
    benchmark : Benchmark
    verdict : str
        ``faster``, ``same``, ``slower`` or ``undecided``; ``new`` in head or ``gone`` from it;
        ``wrong`` or ``failed`` if head's result is no longer right or raises; ``unmeasured``
        if base is at fault, or the time was up before there was a single pair.
    ratio, low, high : float
        Head's time by base's, median over the pairs, above 1 is slower; its 95 % interval.
        NaN if there is none.
    pairs : int
        Pairs of processes that were needed.
    base_s, head_s : float
        Seconds of one call, or of compiling, median over the processes of each side; NaN if not measured.
    reason : str
        Why there is no ratio, or what is doubtful about it.
    margin : float
        The smallest slowdown that must not pass, as a fraction: the asked one, or more if base differs by
        more from itself; NaN if nothing was decided by it.
    """

    benchmark: Benchmark
    verdict: str
    ratio: float = math.nan
    low: float = math.nan
    high: float = math.nan
    pairs: int = 0
    base_s: float = math.nan
    head_s: float = math.nan
    reason: str = ""
    margin: float = math.nan


@dataclass(frozen=True)
class Findings:
    """Everything that one run of the gate found.

    Attributes
    ----------
    base, head : str
        Both revisions as people name them, with their hashes.
    findings : tuple of Finding
        One a benchmark, in the order in which they were asked for.
    control : tuple of Finding
        Base against itself, measured in the same turns: none may be slower or faster.
    margin, risk : float
        The smallest slowdown that must not pass, as a fraction; how often, at most, a whole
        run may call slower what did not change.
    seconds : float
        How long it took.
    machine : dict
        The machine's stamp and what it stands for.
    """

    base: str
    head: str
    findings: tuple[Finding, ...]
    control: tuple[Finding, ...]
    margin: float
    risk: float
    seconds: float
    machine: dict[str, Any] = field(default_factory=dict)

    def of(self, *verdicts: str) -> tuple[Finding, ...]:
        """Findings with one of these verdicts."""
        return tuple(each for each in self.findings if each.verdict in verdicts)

    @property
    def dirty(self) -> tuple[Finding, ...]:
        """Controls that differ from themselves."""
        return tuple(each for each in self.control if each.verdict in ("slower", "faster"))

    @property
    def measured(self) -> bool:
        """Whether anything was decided, and any control with it."""
        return bool(self.of(*_DECIDED)) and any(each.verdict in _DECIDED for each in self.control)

    @property
    def exit_code(self) -> int:
        """0 none is slower, 1 one is (or is no longer right), 2 not measured, 3 the control is dirty.

        Dirty before slower: if a revision differs from itself, no difference means anything.
        What is no longer right is no question of time. A control that came to no verdict at all
        vouches for nothing: then nothing counts as measured.
        """
        if self.of("wrong", "failed"):
            return SLOWER
        if self.dirty:
            return DIRTY
        if self.of("slower"):
            return SLOWER
        # Nothing measured is never green, and neither is a suspicion that was not cleared up.
        return UNMEASURED if self.of("unmeasured", "undecided") or not self.measured else CLEAN

    @property
    def headline(self) -> str:
        """The outcome in one sentence."""
        code = self.exit_code
        both = [each for each in self.findings if each.verdict not in ("new", "gone")]
        slower, faster, broken = self.of("slower"), self.of("faster"), self.of("wrong", "failed")
        open_ = self.of("undecided", "unmeasured")
        if code == DIRTY:
            return f"The control is dirty: {len(self.dirty)} of {len(self.control)} differ from themselves."
        if not both:
            return f"Nothing was measured: none of {len(self.findings)} benchmarks is in both revisions."
        parts = [
            f"{len(found)} {word}"
            for found, word in (
                (broken, "no longer right"), (slower, "slower"), (faster, "faster"), (open_, "not decided"),
            )
            if found
        ]  # fmt: skip
        if code == UNMEASURED and not open_:
            parts.append("the control came to no verdict")
        if not slower and code == CLEAN:
            parts.insert(0, "none slower")
        return f"{', '.join(parts)} of {len(both)} benchmarks.".capitalize()

    def as_dict(self) -> dict[str, Any]:
        """Everything above in types that JSON knows; what is no finite number becomes ``None``."""
        return {
            "base": self.base,
            "head": self.head,
            "exit_code": self.exit_code,
            "headline": self.headline,
            "margin": self.margin,
            "risk": self.risk,
            "seconds": self.seconds,
            "machine": self.machine,
            "findings": [_plain(each) for each in self.findings],
            "control": [_plain(each) for each in self.control],
        }


def _plain(finding: Finding) -> dict[str, Any]:
    values = asdict(finding)
    numbers = {name: None for name, value in values.items() if isinstance(value, float) and not math.isfinite(value)}
    return {**values.pop("benchmark"), **values, **numbers}


def worst_first(findings: Sequence[Finding]) -> list[Finding]:
    """Findings in the order in which people want to read them."""
    order = ("wrong", "failed", "slower", "unmeasured", "undecided", "gone", "new", "faster", "same")

    def rank(finding: Finding) -> tuple[int, float]:
        size = abs(math.log(finding.ratio)) if finding.ratio > 0 else 0.0
        return order.index(finding.verdict), -size

    return sorted(findings, key=rank)
