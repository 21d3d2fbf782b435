"""A simple timer: everything that is not the work stays outside, and no sample is too short."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["Timing", "measure", "resolution"]

#: A sample is at least this many times the clock's resolution.
_TICKS = 10

Clock = Callable[[], float]


@dataclass(frozen=True)
class Timing:
    """Seconds of one call, from several samples.

    Attributes
    ----------
    time_s : float
        Median.
    time_min_s : float
        Least.
    time_spread : float
        Distance between the quartiles, as a fraction of the median.
    samples : int
    calls : int
        Calls a sample: more than one where a call is short against the clock's resolution.
    """

    time_s: float
    time_min_s: float
    time_spread: float
    samples: int
    calls: int


def resolution(clock: Clock = time.perf_counter) -> float:
    """The smallest step that the clock is seen to make."""
    steps = []
    for _ in range(5):
        start = clock()
        while (now := clock()) == start:
            pass
        steps.append(now - start)
    return min(steps)


def measure(
    call: Callable[[], object],
    *,
    budget_s: float = 0.3,
    least: int = 5,
    most: int = 200,
    warmup: int = 1,
    clock: Clock = time.perf_counter,
) -> Timing:
    """Time a call that has been compiled already.

    Parameters
    ----------
    call : callable
        The work and nothing else.
    budget_s : float
        No new sample is started after this many seconds, warm-up not counted ...
    least, most : int
        ... but there are never fewer or more samples than these.
    warmup : int
        Calls before the first sample: they fill caches and wake the cores.
    clock : callable
        Seconds; for tests.

    Raises
    ------
    ValueError
        A number is out of range.
    """
    if not budget_s >= 0:
        raise ValueError(f"budget_s is {budget_s}, expected at least 0")
    if not 1 <= least <= most:
        raise ValueError(f"least is {least} and most is {most}, expected 1 <= least <= most")
    for _ in range(warmup):
        call()
    calls = _calls_per_sample(call, _TICKS * resolution(clock), clock)
    samples: list[float] = []
    start = clock()
    while len(samples) < least or (len(samples) < most and clock() - start < budget_s):
        samples.append(_sample(call, calls, clock) / calls)
    low, middle, high = np.quantile(samples, (0.25, 0.5, 0.75))
    spread = (high - low) / middle if middle > 0 else 0.0
    return Timing(float(middle), min(samples), float(spread), len(samples), calls)


def _calls_per_sample(call: Callable[[], object], least_s: float, clock: Clock) -> int:
    calls = 1
    while _sample(call, calls, clock) < least_s:
        calls *= 2
    return calls


def _sample(call: Callable[[], object], calls: int, clock: Clock) -> float:
    start = clock()
    for _ in range(calls):
        call()
    return clock() - start
