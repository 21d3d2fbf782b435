"""Samples of a worker: how long the calls took, and whether its threads had their cores meanwhile."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

__all__ = ["Evictor", "Sample", "calls_per_sample", "resolution", "slowed", "take_sample"]

#: A sample has at least so many seconds, and so many steps of the clock.
_LEAST_SAMPLE_S, _TICKS = 1e-3, 10

#: Samples that a slowdown is calibrated by.
_CALIBRATION = 5


def resolution(clock: Callable[[], float] = time.perf_counter) -> float:
    """The smallest step that the clock is seen to make, in seconds."""
    steps = []
    for _ in range(5):
        start = clock()
        while (now := clock()) == start:
            pass
        steps.append(now - start)
    return min(steps)


@dataclass(frozen=True)
class Sample:
    """One sample: some calls in a row, or some calls that each had cold caches.

    Attributes
    ----------
    calls : int
    wall_s : float
        Seconds of all calls.
    cpu_s : float
        Processor time of all threads of this process meanwhile.
    waited_s : float or None
        How long threads of this process were ready to run and had no core meanwhile, summed
        over them; ``None`` if the system does not tell.
    """

    calls: int
    wall_s: float
    cpu_s: float
    waited_s: float | None

    @property
    def seconds(self) -> float:
        """Seconds of one call."""
        return self.wall_s / self.calls


def take_sample(
    call: Callable[[], object],
    calls: int,
    evict: Callable[[], object] | None = None,
    last: list[object] | None = None,
) -> Sample:
    """Time some calls.

    Parameters
    ----------
    call : callable
    calls : int
    evict : callable, optional
        Called before each call, which is then timed by itself; else all are timed together.
    last : list, optional
        Is emptied, and then holds what the last call returned. What other calls returned is released at
        once, as it is without this list: a library may reuse its memory.
    """
    kept: list[object] = [] if last is None else last
    kept.clear()
    if evict is None:
        return _stretch(call, calls, kept)
    parts = []
    for _ in range(calls):
        evict()
        kept.clear()
        parts.append(_stretch(call, 1, kept))
    waits = [part.waited_s for part in parts if part.waited_s is not None]
    return Sample(
        calls,
        sum(part.wall_s for part in parts),
        sum(part.cpu_s for part in parts),
        sum(waits) if len(waits) == calls else None,
    )


def calls_per_sample(call: Callable[[], object], evict: Callable[[], object] | None = None) -> int:
    """How many calls make a sample that is long enough for every clock that is read."""
    least_s = max(_LEAST_SAMPLE_S, _TICKS * resolution())
    calls = 1
    while take_sample(call, calls, evict).wall_s < least_s:
        calls *= 2
    return calls


def slowed(
    call: Callable[[], object], slowdown: float, evict: Callable[[], object] | None = None
) -> Callable[[], object]:
    """The same call, then idle turns for a fraction of its own time: a slowdown whose size is known."""
    calls = calls_per_sample(call, evict)
    own_s = float(np.median([take_sample(call, calls, evict).seconds for _ in range(_CALIBRATION)]))
    extra_s = slowdown * own_s

    def longer() -> object:
        result = call()
        # Turning, not sleeping: a sleeping thread would be taken for one that was disturbed.
        end = time.perf_counter() + extra_s
        while time.perf_counter() < end:
            pass
        return result

    return longer


def _stretch(call: Callable[[], object], calls: int, kept: list[object]) -> Sample:
    # The wall clock is read last before and first after: the other clocks' reading is in no sample.
    waited, cpu, start = _waited_s(), time.process_time(), time.perf_counter()
    for _ in range(calls - 1):
        call()
    returned = call()
    wall_s = time.perf_counter() - start
    cpu_s, now = time.process_time() - cpu, _waited_s()
    kept.append(returned)
    # A thread that ended took its count along: never less than nothing.
    return Sample(calls, wall_s, cpu_s, None if waited is None or now is None else max(0.0, now - waited))


def _waited_s() -> float | None:
    total = 0
    try:
        for task in Path("/proc/self/task").iterdir():
            total += int((task / "schedstat").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return None
    return total / 1e9


class Evictor:
    """Empties the caches of every core that the process may run on, by writing to more than they hold.

    A core's own caches are only emptied from that core: each has a thread of its own for it.
    The thread that measures stays where it is. Moved to a core and back, it could end up
    on one core with a thread of the pool that it waits for.

    Parameters
    ----------
    nbytes : int
        How much is written to; more than the largest cache.
    """

    def __init__(self, nbytes: int) -> None:
        pinned = hasattr(os, "sched_getaffinity")
        cpus: list[int | None] = [*sorted(os.sched_getaffinity(0))] if pinned else [None]
        self._begin = [threading.Semaphore(0) for _ in cpus]
        self._done = threading.Semaphore(0)
        for begin, cpu in zip(self._begin, cpus, strict=True):
            buffer = np.zeros(max(1, nbytes // 8))
            threading.Thread(target=self._write, args=(begin, buffer, cpu), daemon=True).start()

    def _write(self, begin: threading.Semaphore, buffer: np.ndarray, cpu: int | None) -> None:
        if cpu is not None:
            os.sched_setaffinity(0, {cpu})
        while begin.acquire():
            buffer += 1
            self._done.release()

    def __call__(self) -> None:
        """Evict."""
        for begin in self._begin:
            begin.release()
        for _ in self._begin:
            self._done.acquire()
