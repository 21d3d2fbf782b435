"""Load guard: whether a sample was alone on its cores, or is not to be trusted.

A worker tells how much processor time its threads got. All of their cores' time is as much as
there is. Less is proof of a disturbance only with one thread; several may leave cores idle by
themselves, and then it is asked what else had them: threads that waited for a core did not
leave it idle, and neither did they while others kept more cores busy than were free. What the
whole machine was busy with and is not the worker's own is others', or the hypervisor's if
it took cores away.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from suite.measure.sampling import Sample

__all__ = ["Busy", "LoadGuard", "busy_seconds", "complaint_about"]

#: Most of the time that threads may wait for a core, and least of their cores that they must have got.
_MOST_WAITING, _LEAST_PRESENT = 0.03, 0.95

#: How many cores' worth others may be busy beyond those that the measurement leaves free.
_MOST_CROWDING = 0.15

#: Seconds of one look at the machine while waiting for it to become quiet.
_LOOK_S = 0.1


def complaint_about(sample: Sample, threads: int, crowding: str | None = None) -> str | None:
    """Why a sample's threads did not have their cores to themselves; ``None`` if they had.

    Parameters
    ----------
    sample : Sample
    threads : int
    crowding : str, optional
        What is known of others' load meanwhile, if that is too much.
    """
    if sample.wall_s <= 0:
        return None
    if threads == 1:
        # A single thread that computes all the time misses only what others took.
        got = sample.cpu_s / sample.wall_s
        return None if got >= _LEAST_PRESENT else f"its thread ran {got:.0%} of the time"
    if (sample.waited_s or 0.0) > _MOST_WAITING * sample.wall_s:
        return "its threads waited for a core"
    # A thread that waits from beginning to end is only counted once it gets its core.
    return crowding


def _had_all(samples: list[Sample], threads: int) -> bool:
    """Whether the threads had all their cores' time: those that waited did so for one another.

    Over all samples of a visit together, because the system counts a running thread's time
    only every few milliseconds.
    """
    wall = sum(each.wall_s for each in samples)
    return sum(each.cpu_s for each in samples) >= _LEAST_PRESENT * threads * wall


@dataclass(frozen=True)
class Busy:
    """Seconds of all cores together since the system started: busy, taken away, and how finely counted."""

    busy_s: float
    stolen_s: float
    tick_s: float


class LoadGuard:
    """Watches the machine around samples.

    Parameters
    ----------
    threads : int
        Threads of what is measured.
    cores : int, optional
        Cores of the machine.
    busy : callable
        `busy_seconds`, or another for tests.
    clock, sleep : callable
        Seconds; for tests.
    """

    def __init__(
        self,
        threads: int,
        cores: int | None = None,
        busy: Callable[[], Busy | None] | None = None,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._threads = threads
        self._free = max(0, (cores or os.cpu_count() or 1) - threads)
        self._busy = busy or busy_seconds
        self._clock, self._sleep = clock, sleep
        self._start: tuple[float, Busy | None] = (0.0, None)

    def begin(self) -> None:
        """A visit begins."""
        self._start = self._clock(), self._busy()

    def sift(self, samples: list[Sample], own_s: float) -> tuple[list[Sample], str]:
        """The undisturbed ones of the samples taken since `begin`, and what was wrong with the last other one.

        Parameters
        ----------
        samples : list of Sample
        own_s : float
            All processor seconds of the worker since `begin`: its eviction of caches is no other load.
        """
        others, stolen = self._others(own_s)
        if stolen > _MOST_WAITING * self._threads:
            return [], f"the hypervisor took away {stolen:.2f} cores"
        if self._threads > 1 and _had_all(samples, self._threads):
            return samples, ""
        crowded = others > self._free + _MOST_CROWDING
        crowding = f"others kept {others:.1f} cores busy, {self._free} were free" if crowded else None
        complaints = [complaint_about(each, self._threads, crowding) for each in samples]
        quiet = [each for each, complaint in zip(samples, complaints, strict=True) if complaint is None]
        return quiet, next((each for each in reversed(complaints) if each is not None), "")

    def _others(self, own_s: float) -> tuple[float, float]:
        """Cores' worth of others' load since `begin`, and of stolen time; at least, and 0 if not known."""
        (start, before), after = self._start, self._busy()
        wall = self._clock() - start
        if before is None or after is None or wall <= 0:
            return 0.0, 0.0
        stolen = after.stolen_s - before.stolen_s - after.tick_s
        busy = after.busy_s - before.busy_s - own_s - after.tick_s
        return max(0.0, busy) / wall, max(0.0, stolen) / wall

    def settle(self, patience_s: float) -> None:
        """Wait until others leave the measurement its cores, but no longer than ``patience_s``."""
        end = self._clock() + patience_s
        while self._clock() < end:
            self.begin()
            self._sleep(_LOOK_S)
            others, stolen = self._others(0.0)
            if others + stolen <= self._free + _MOST_CROWDING:
                return


def busy_seconds(path: Path = Path("/proc/stat")) -> Busy | None:
    """What the system counts of all its cores; ``None`` if it does not tell."""
    try:
        lines = path.read_text().splitlines()
        # user nice system idle iowait irq softirq steal; guests are in user already.
        user, nice, system, _, _, irq, soft, stolen = (int(word) for word in lines[0].split()[1:9])
    except (OSError, IndexError, ValueError):
        return None
    tick = 1 / os.sysconf("SC_CLK_TCK")
    cores = sum(line.startswith("cpu") for line in lines) - 1
    return Busy((user + nice + system + irq + soft) * tick, stolen * tick, cores * tick)
