"""The timer's arithmetic, on a clock that the test turns by hand."""

from __future__ import annotations

import pytest

from suite.timer import measure, resolution


class Clock:
    """Moves only when work is done or when it is read; shows whole multiples of ``step``."""

    def __init__(self, step: float = 2.0**-20, reading: float = 2.0**-20) -> None:
        self.now, self.step, self.reading = 0.0, step, reading

    def __call__(self) -> float:
        self.now += self.reading
        return self.now // self.step * self.step

    def work(self, *durations: float):  # type: ignore[no-untyped-def]
        """A call that takes these seconds, one after the other, then the last for ever."""
        rest = list(durations)
        self.calls = 0

        def call() -> None:
            self.calls += 1
            self.now += rest.pop(0) if len(rest) > 1 else rest[0]

        return call


def test_a_slow_warm_up_call_is_not_a_sample() -> None:
    clock = Clock()
    timing = measure(clock.work(8.0, 0.25), budget_s=0.0, least=3, clock=clock)
    assert timing.time_min_s == pytest.approx(0.25, abs=1e-5)
    assert (timing.samples, timing.time_spread) == (3, pytest.approx(0.0, abs=1e-4))


def test_the_median_is_not_moved_by_one_slow_sample_and_the_minimum_is_the_least() -> None:
    clock = Clock()
    # Warm-up, calibration, then the samples.
    timing = measure(clock.work(1, 1, 4, 1, 1, 0.5, 1), budget_s=0.0, least=5, clock=clock)
    assert timing.time_s == pytest.approx(1.0, abs=1e-5)
    assert timing.time_min_s == pytest.approx(0.5, abs=1e-5)


def test_a_short_call_is_repeated_until_the_clock_can_see_it() -> None:
    clock = Clock(step=2.0**-10)
    timing = measure(clock.work(2.0**-12), budget_s=0.1, clock=clock)
    assert timing.calls * 2.0**-12 >= 10 * 2.0**-10
    assert timing.time_s == pytest.approx(2.0**-12, rel=0.1)


def test_the_budget_ends_the_sampling() -> None:
    clock = Clock()
    assert measure(clock.work(0.25), budget_s=2.1, clock=clock).samples == 9
    assert measure(clock.work(0.25), budget_s=100, most=20, clock=clock).samples == 20
    assert measure(clock.work(50.0), budget_s=1, least=3, clock=clock).samples == 3


def test_resolution_is_the_clocks_step() -> None:
    assert resolution(Clock(step=2.0**-10)) == 2.0**-10


@pytest.mark.parametrize(
    ("arguments", "said"),
    [({"budget_s": -1.0}, "budget_s is -1.0, expected at least 0"), ({"least": 0}, "least is 0 and most is 200")],
)
def test_numbers_out_of_range_are_refused(arguments: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        measure(lambda: None, **arguments)  # type: ignore[arg-type]
