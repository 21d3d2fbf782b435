"""A/A control: what the gate says if nothing changed, and if it is known what did.

Both sides are the same sources. Head is also measured with slowdowns of known size, turns
spent idly within the timed call. The gate's decision is then taken many times over samples
of really measured pairs, drawn with replacement generation by generation: what all
benchmarks of one generation have in common, a busy minute of the machine above all, stays
together. No sign is flipped and nothing is centred: a bias towards one side would show.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from suite.check.statistics import LOOKS, decide_each, own_margin

__all__ = ["AaPairs", "Power", "Rates", "aa_rates"]

#: A slowdown counts as seen when it is found so often.
_POWER = 0.95

#: Sizes among which the smallest slowdown that is seen is looked for.
_SIZES = tuple(np.round(np.arange(0.02, 0.3, 0.005), 3).tolist())


@dataclass(frozen=True)
class AaPairs:
    """Log ratios of head to base of the same sources.

    Attributes
    ----------
    benchmarks : sequence of str
    logs : dict of float to ndarray, shape (benchmarks, generations)
        By slowdown, 0 among them; NaN if a pair was disturbed.
    """

    benchmarks: Sequence[str]
    logs: Mapping[float, np.ndarray]


@dataclass(frozen=True)
class Power:
    """How often a slowdown of known size is found.

    Attributes
    ----------
    slowdown : float
    measured : float
        By how much the slowed calls were really slower, median over all pairs.
    detection : float
        How often one slowed benchmark is called slower, mean over benchmarks.
    detection_worst : float
        The same of the benchmark that is worst at it.
    missed_as : dict of str to float
        What it is called otherwise.
    """

    slowdown: float
    measured: float
    detection: float
    detection_worst: float
    missed_as: dict[str, float]


@dataclass(frozen=True)
class Rates:
    """What the gate is worth on a machine.

    Attributes
    ----------
    benchmarks, generations, disturbed : int
        What was measured; pairs that do not count.
    pair_noise : float
        Spread of the pairs' log ratios if nothing changed: 1.4826 times the median distance from the
        median, the median over benchmarks.
    runs : int
        Runs of the whole gate that were resampled.
    false_alarm : float
        Share of the runs in which any benchmark was called slower.
    false_alarm_high : float
        Upper end of its 95 % confidence interval (Clopper-Pearson).
    false_praise : float
        The same of faster.
    undecided : float
        Share of the runs in which any benchmark stayed undecided.
    powers : tuple of Power
    smallest : float
        The smallest slowdown that is called slower 95 times in 100, by shifting pairs that were
        measured without one; NaN if none of those tried is.
    """

    benchmarks: int
    generations: int
    disturbed: int
    pair_noise: float
    runs: int
    false_alarm: float
    false_alarm_high: float
    false_praise: float
    undecided: float
    powers: tuple[Power, ...]
    smallest: float

    def as_dict(self) -> dict[str, Any]:
        """Everything above in types that JSON knows."""
        values = asdict(self)
        values["smallest"] = None if math.isnan(self.smallest) else self.smallest
        return values


def aa_rates(pairs: AaPairs, *, margin: float, risk: float, runs: int = 1000, seed: int = 0) -> Rates:
    """Resample runs of the gate.

    Parameters
    ----------
    pairs : AaPairs
    margin, risk : float
        The gate's; the risk is that of a whole run.
    runs : int
    seed : int

    Raises
    ------
    ValueError
        Some benchmark has fewer than three pairs.
    """
    same = pairs.logs[0.0]
    fewest = min((int(each) for each in np.isfinite(same).sum(axis=1)), default=0)
    if fewest < LOOKS[0]:
        raise ValueError(f"a benchmark has {fewest} undisturbed pairs, expected at least {LOOKS[0]}")
    share = risk / len(pairs.benchmarks)
    rng = np.random.default_rng(seed)
    # As the gate does, each benchmark has a margin by its own noise.
    margins = [own_margin(margin, own[np.isfinite(own)]) for own in same]
    found = _verdicts(same, margins, share, runs, rng)
    alarms, praises, open_ = (int(np.any(found == word, axis=0).sum()) for word in ("slower", "faster", "undecided"))
    distances = np.abs(same - np.nanmedian(same, axis=1, keepdims=True))
    return Rates(
        benchmarks=len(pairs.benchmarks),
        generations=same.shape[1],
        disturbed=int(np.isnan(same).sum()),
        pair_noise=float(np.median(1.4826 * np.nanmedian(distances, axis=1))),
        runs=runs,
        false_alarm=alarms / runs,
        false_alarm_high=float(stats.binomtest(alarms, runs).proportion_ci(method="exact").high),
        false_praise=praises / runs,
        undecided=open_ / runs,
        powers=tuple(_power(size, pairs, margins, share, runs, rng) for size in sorted(pairs.logs) if size > 0),
        smallest=_smallest(same, margins, share, max(1, runs // 5), rng),
    )


def _verdicts(
    logs: np.ndarray, margins: Sequence[float], share: float, runs: int, rng: np.random.Generator
) -> np.ndarray:
    """Verdicts, shape (benchmarks, runs); in a run every benchmark sees the same generations in the same order."""
    # Twice as many as the gate takes, as it tries twice as many: disturbed pairs do not count.
    generations = rng.integers(0, logs.shape[1], (runs, 2 * LOOKS[-1]))
    verdicts = []
    for own, margin in zip(logs, margins, strict=True):
        drawn = own[generations]
        order = np.argsort(np.isnan(drawn), axis=1, kind="stable")[:, : LOOKS[-1]]
        kept = np.take_along_axis(drawn, order, axis=1)
        verdicts.append(decide_each(kept, margin=margin, risk=share)[0])
    return np.array(verdicts)


def _power(
    size: float, pairs: AaPairs, margins: Sequence[float], share: float, runs: int, rng: np.random.Generator
) -> Power:
    logs = pairs.logs[size]
    found = _verdicts(logs, margins, share, runs, rng)
    seen = np.mean(found == "slower", axis=1)
    missed = {word: float(np.mean(found == word)) for word in ("same", "undecided", "faster")}
    measured = float(np.expm1(np.nanmedian(logs - pairs.logs[0.0])))
    return Power(size, measured, float(np.mean(seen)), float(np.min(seen)), missed)


def _smallest(logs: np.ndarray, margins: Sequence[float], share: float, runs: int, rng: np.random.Generator) -> float:
    for size in _SIZES:
        found = _verdicts(logs + np.log1p(size), margins, share, runs, rng)
        if np.mean(found == "slower") >= _POWER:
            return float(size)
    return float("nan")
