"""Ratios of times that were measured in turns, their confidence, and the gate's decision.

What is compared are processes, not samples: two processes of the same code differ by where
their memory lies, and no number of samples in one of them shows it. Processes that were
measured in turns make a pair, and a pair's ratio is free of whatever slowed both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

__all__ = [
    "LOOKS",
    "Verdict",
    "decide",
    "decide_each",
    "gate",
    "own_margin",
    "paired_log_ratios",
    "ratio_interval",
    "ratio_of",
    "spread",
]

#: Numbers of pairs at which the gate looks: a screen of three, which most benchmarks do not get
#: beyond, and then the fewest with which a test can be sure (eight of one sign: 1 in 256).
LOOKS = (3, 8, 12, 18, 27)

_RESAMPLES = 9_999


@dataclass(frozen=True)
class Verdict:
    """What the gate says of one benchmark.

    Attributes
    ----------
    verdict : {"faster", "same", "slower", "undecided"}
    ratio : float
        Time of the subject by time of the reference, median over the pairs; above 1 is slower.
    low, high : float
        95 % confidence interval of the ratio; NaN with fewer than two pairs.
    pairs : int
        How many pairs it took; the first so many of those given.
    """

    verdict: str
    ratio: float
    low: float
    high: float
    pairs: int


def paired_log_ratios(subject: Sequence[float] | np.ndarray, reference: Sequence[float] | np.ndarray) -> np.ndarray:
    """Logarithms of ``subject / reference``, each of one with its partner of the other.

    Raises
    ------
    ValueError
        There are not as many of both, or a time is not a positive number.
    """
    ours, theirs = np.asarray(subject, np.float64), np.asarray(reference, np.float64)
    if ours.ndim != 1 or ours.shape != theirs.shape:
        raise ValueError(f"subject has {ours.size} times and reference {theirs.size}, expected as many of both")
    times = np.concatenate((ours, theirs))
    if not np.all(np.isfinite(times) & (times > 0)):
        raise ValueError(f"times are {times.tolist()}, expected positive numbers")
    return np.log(ours / theirs)


def ratio_of(logs: np.ndarray) -> float:
    """The ratio of the median pair: one disturbed process does not move it."""
    return float(np.exp(np.median(logs)))


def ratio_interval(logs: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """Confidence interval of `ratio_of`; NaN with fewer than two pairs.

    Bootstrapped over pairs by the percentile method: bias correction needs more pairs than a
    run has, and is undefined if most resamples have the same median. A bootstrap of the
    median never goes beyond the least and the largest pair, between which the truth lies with
    probability 1 - 2**(1 - pairs) only: with too few pairs for the confidence, Student's t
    on the logarithms takes its place, which is wider.
    """
    count = len(logs)
    if count < 2:
        return float("nan"), float("nan")
    if 2.0 ** (1 - count) > 1 - confidence:
        middle, reach = (
            float(np.mean(logs)),
            float(stats.sem(logs)) * float(stats.t.ppf((1 + confidence) / 2, count - 1)),
        )
        return float(np.exp(middle - reach)), float(np.exp(middle + reach))
    found = stats.bootstrap(
        (np.asarray(logs),), np.median, confidence_level=confidence, n_resamples=_RESAMPLES,
        method="percentile", vectorized=True, rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    return float(np.exp(found.low)), float(np.exp(found.high))


def spread(values: Sequence[float] | np.ndarray) -> float:
    """Distance between the quartiles, as a fraction of the median."""
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    return float((high - low) / middle) if middle > 0 else 0.0


def own_margin(margin: float, aa_logs: Sequence[float] | np.ndarray) -> float:
    """A benchmark's margin: the asked one, or twice its own noise if that is more.

    Parameters
    ----------
    margin : float
        The smallest slowdown that must not pass, as a fraction.
    aa_logs : sequence of float
        Logarithms of ratios of the same code to itself; too few, fewer than at the second of `LOOKS`, say
        nothing.

    Returns
    -------
    float
        As a fraction. Noise is 1.4826 times the median distance from the median: the standard deviation of
        normal values, which single disturbed pairs do not move.
    """
    known = np.asarray(aa_logs, np.float64)
    if len(known) < LOOKS[1]:
        return margin
    noise = 1.4826 * float(np.median(np.abs(known - np.median(known))))
    return max(margin, float(np.expm1(2 * noise)))


def gate(logs: np.ndarray, *, margin: float = 0.05, risk: float = 0.01) -> Verdict:
    """Decide whether the subject became slower or faster, with as few pairs as that takes.

    The pairs are looked at in their order, at the numbers in `LOOKS`; the first look that
    decides ends it, and ``undecided`` asks for more pairs up to the next one. At every look
    a median within half the margin is the ``same``: a slowdown by the whole margin is beyond
    it nearly always, and no change at all nearly never. What is beyond it is ``slower`` or
    ``faster`` only when Wilcoxon's signed-rank test is sure as well that it is beyond a quarter of the
    margin: two processes of the same code, one started after the other, can differ by a
    percent for good, and that is no change of the code. Each further look may err half as often
    as the one before, so that all of them together err at most at ``risk``. What the last look
    is not sure of is the ``same``: a slowdown by the margin shows itself before.

    Parameters
    ----------
    logs : ndarray
        Logarithms of the pairs' ratios, in the order in which they were measured.
    margin : float
        The smallest slowdown that must not pass, as a fraction.
    risk : float
        How often, at most, a benchmark that did not change may be called slower; as often, faster.

    Raises
    ------
    ValueError
        A number is out of range.
    """
    every = np.asarray(logs, np.float64)
    verdict, pairs = decide(every, margin=margin, risk=risk)
    used = every[:pairs]
    ratio = ratio_of(used) if pairs else float("nan")
    return Verdict(verdict, ratio, *ratio_interval(used), pairs)


def decide(logs: np.ndarray, *, margin: float = 0.05, risk: float = 0.01) -> tuple[str, int]:
    """The verdict of `gate`, and how many pairs it took, without ratio and interval.

    Raises
    ------
    ValueError
        A number is out of range.
    """
    [verdict], [pairs] = decide_each(np.asarray(logs, np.float64)[None], margin=margin, risk=risk)
    return str(verdict), int(pairs)


def decide_each(logs: np.ndarray, *, margin: float = 0.05, risk: float = 0.01) -> tuple[np.ndarray, np.ndarray]:
    """`decide` for many benchmarks at once.

    Parameters
    ----------
    logs : ndarray, shape (benchmarks, pairs)
        A row of one that has fewer pairs than others ends in NaN.

    Returns
    -------
    verdicts : ndarray of str, shape (benchmarks,)
    pairs : ndarray of int, shape (benchmarks,)

    Raises
    ------
    ValueError
        A number is out of range.
    """
    if not margin > 0:
        raise ValueError(f"margin is {margin}, expected more than 0")
    if not 0 < risk < 1:
        raise ValueError(f"risk is {risk}, expected a number between 0 and 1")
    present = np.isfinite(logs)
    counts = present.sum(axis=1)
    if np.isinf(logs).any() or not np.array_equal(present, np.arange(logs.shape[1]) < counts[:, None]):
        raise ValueError(f"log ratios are {logs.tolist()}, expected finite numbers")
    verdicts, used = np.full(len(logs), "undecided", "<U9"), counts.copy()
    for look, pairs in enumerate(LOOKS):
        [rows] = np.nonzero((verdicts == "undecided") & (counts >= pairs))
        if not rows.size:
            break
        seen = logs[rows, :pairs]
        middle = np.median(seen, axis=1)
        same = np.abs(middle) < np.log1p(margin) / 2
        verdicts[rows[same]], used[rows[same]] = "same", pairs
        # Three pairs cannot be sure of anything: the first look only screens.
        rows, seen, middle = rows[~same], seen[~same], middle[~same]
        if look and rows.size:
            signed = np.sign(middle)[:, None] * seen - np.log1p(margin) / 4
            sure = stats.wilcoxon(signed, alternative="greater", axis=1, method="exact").pvalue <= risk / 2**look
            verdicts[rows[sure]] = np.where(middle[sure] > 0, "slower", "faster")
            used[rows[sure]] = pairs
    verdicts[(verdicts == "undecided") & (counts >= LOOKS[-1])] = "same"
    return verdicts, used
