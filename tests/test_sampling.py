"""Samples of a call, on a clock that the test turns by hand."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

from suite.measure import sampling
from suite.measure.sampling import Evictor, calls_per_sample, resolution, slowed, take_sample


class _Clock:
    """Stands for the module ``time``: moves when work is done, and a little when it is read."""

    def __init__(self) -> None:
        self.now, self.reading = 0.0, 0.0

    def perf_counter(self) -> float:
        self.now += self.reading
        return self.now

    process_time = perf_counter


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    made = _Clock()
    monkeypatch.setattr(sampling, "time", made)
    monkeypatch.setattr(sampling, "resolution", lambda: 1e-4)
    return made


def _spend(clock: _Clock, seconds: float, log: list[str], word: str) -> Any:
    def call() -> str:
        clock.now += seconds
        log.append(word)
        return word

    return call


def test_resolution_is_the_clocks_step() -> None:
    readings = iter(i // 3 * 2.0**-10 for i in range(1000))
    assert resolution(lambda: next(readings)) == 2.0**-10


def test_a_sample_is_many_ticks_long(clock: _Clock) -> None:
    assert calls_per_sample(_spend(clock, 3e-4, [], "call")) == 4
    assert calls_per_sample(_spend(clock, 3e-2, [], "call")) == 1


def test_eviction_is_before_every_call_and_in_no_sample(clock: _Clock) -> None:
    log: list[str] = []
    sample = take_sample(_spend(clock, 0.5, log, "call"), 3, _spend(clock, 100.0, log, "evict"))
    assert log == ["evict", "call"] * 3
    assert (sample.seconds, sample.wall_s, sample.cpu_s) == (0.5, 1.5, 1.5)


@pytest.mark.parametrize("own_s", [2e-3, 5e-5])
@pytest.mark.parametrize("slowdown", [0.05, 0.1, 0.2])
def test_a_slowdown_makes_samples_longer_by_its_fraction(clock: _Clock, own_s: float, slowdown: float) -> None:
    clock.reading = 1e-8
    call = _spend(clock, own_s, [], "call")
    calls = calls_per_sample(call)
    before, after = take_sample(call, calls), take_sample(slowed(call, slowdown), calls)
    assert after.seconds / before.seconds == pytest.approx(1 + slowdown, rel=2e-3)
    # It turns instead of sleeping: for the load guard its thread was there all the time.
    assert after.cpu_s == pytest.approx(after.wall_s, rel=1e-3)


def test_a_slowed_call_is_called_once_and_returns_its_result(clock: _Clock) -> None:
    clock.reading = 1e-6
    log: list[str] = []
    slower = slowed(_spend(clock, 1e-3, log, "call"), 0.1)
    log.clear()
    assert slower() == "call" and log == ["call"]


def test_a_slowdown_with_cold_caches_is_a_fraction_of_the_cold_time(clock: _Clock) -> None:
    clock.reading = 1e-7
    cold: list[str] = []

    def evict() -> None:
        cold.append("")

    def call() -> None:
        clock.now += 9e-3 if cold else 3e-3
        cold.clear()

    slower = slowed(call, 0.1, evict)
    assert take_sample(slower, 2, evict).seconds == pytest.approx(9.9e-3, rel=1e-3)


def test_the_evictor_writes_to_all_of_its_buffer_on_every_core(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[np.ndarray] = []
    honest = np.zeros
    monkeypatch.setattr(sampling.np, "zeros", lambda shape: made.append(honest(shape)) or made[-1])
    evict = Evictor(800)
    evict()
    evict()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    assert [buffer.tolist() for buffer in made] == [[2.0] * 100] * cores
