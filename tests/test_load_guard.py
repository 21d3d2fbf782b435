"""The load guard complains of what disturbed a measurement, and of nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from suite.measure.load_guard import Busy, LoadGuard, busy_seconds, complaint_about
from suite.measure.sampling import Sample


class _Machine:
    """Two cores whose counters the test moves."""

    def __init__(self) -> None:
        self.now, self.busy, self.stolen, self.slept = 0.0, 0.0, 0.0, 0

    def counters(self) -> Busy:
        return Busy(self.busy, self.stolen, 0.02)

    def clock(self) -> float:
        return self.now

    def passes(self, wall_s: float, busy: float, stolen: float = 0.0) -> None:
        self.now += wall_s
        self.busy += busy * wall_s
        self.stolen += stolen * wall_s

    def guard(self, threads: int) -> LoadGuard:
        return LoadGuard(threads, 2, self.counters, self.clock, self.sleep)

    def sleep(self, seconds: float) -> None:
        self.slept += 1
        # Three looks find two busy cores, the fourth a quiet machine.
        self.passes(seconds, 2.0 if self.slept <= 3 else 0.0)


def _sample(got: float, waited: float | None = 0.0) -> Sample:
    return Sample(1, 1.0, got, waited)


@pytest.mark.parametrize(
    ("threads", "sample", "complains"),
    [
        (1, _sample(1.0), False),
        (1, _sample(0.97, 0.03), False),
        (1, _sample(0.80, 0.2), True),
        (1, _sample(0.50, None), True),
        (2, _sample(2.0), False),
        (2, _sample(1.4), False),  # a library that leaves a core idle is not disturbed
        (2, _sample(1.4, 0.6), True),
        (2, _sample(1.4, None), False),
    ],
)
def test_a_sample_without_its_cores_is_disturbed(threads: int, sample: Sample, complains: bool) -> None:
    assert (complaint_about(sample, threads) is not None) == complains


def test_a_quiet_machine_leaves_all_samples() -> None:
    machine = _Machine()
    guard = machine.guard(1)
    guard.begin()
    machine.passes(1.0, 1.0)
    samples = [_sample(1.0)] * 5
    assert guard.sift(samples, 1.0) == (samples, "")


def test_only_the_samples_that_shared_their_core_are_left_out() -> None:
    machine = _Machine()
    guard = machine.guard(1)
    guard.begin()
    machine.passes(3.0, 2.0)
    quiet, complaint = guard.sift([_sample(1.0), _sample(0.6, 0.4), _sample(0.99)], 2.6)
    assert quiet == [_sample(1.0), _sample(0.99)]
    assert complaint == "its thread ran 60% of the time"


def test_threads_that_were_never_let_in_are_seen_by_what_others_did() -> None:
    machine = _Machine()
    guard = machine.guard(2)
    guard.begin()
    machine.passes(1.0, 2.0)
    # One thread waited from beginning to end: the system has not counted that yet.
    assert guard.sift([_sample(1.0)], 1.0) == ([], "others kept 1.0 cores busy, 0 were free")


def test_threads_that_wait_for_one_another_are_not_disturbed() -> None:
    machine = _Machine()
    guard = machine.guard(2)
    guard.begin()
    machine.passes(1.0, 2.0)
    assert guard.sift([_sample(1.97, 1.0)], 1.97)[1] == ""


def test_stolen_time_is_nobodys_fault_and_still_disturbs() -> None:
    machine = _Machine()
    guard = machine.guard(1)
    guard.begin()
    machine.passes(1.0, 1.0, stolen=0.3)
    assert guard.sift([_sample(1.0)], 1.0) == ([], "the hypervisor took away 0.28 cores")


def test_a_worker_that_empties_caches_is_no_other_load() -> None:
    machine = _Machine()
    guard = machine.guard(2)
    guard.begin()
    machine.passes(1.0, 2.0)
    assert guard.sift([Sample(1, 0.1, 0.15, 0.0)], 2.0)[1] == ""


def test_settling_waits_for_a_quiet_machine_but_not_for_ever() -> None:
    machine = _Machine()
    machine.guard(1).settle(10.0)
    assert machine.slept == 4
    machine.slept = -1000
    start = machine.now
    machine.guard(1).settle(1.0)
    assert machine.now - start == pytest.approx(1.0, abs=0.11)


def test_a_system_that_does_not_tell_is_trusted_by_the_samples_alone() -> None:
    guard = LoadGuard(2, 2, lambda: None, lambda: 0.0, lambda seconds: None)
    guard.begin()
    assert guard.sift([_sample(1.0, None)], 1.0) == ([_sample(1.0, None)], "")
    guard.settle(1.0)


def test_counters_are_read_as_the_system_writes_them(tmp_path: Path) -> None:
    path = tmp_path / "stat"
    path.write_text("cpu  100 10 50 9999 7 3 2 20 0 0\ncpu0 1 0 0 0 0 0 0 0 0 0\ncpu1 1 0 0 0 0 0 0 0 0 0\nintr 5\n")
    found = busy_seconds(path)
    assert found is not None
    assert (found.busy_s, found.stolen_s, found.tick_s) == pytest.approx((1.65, 0.20, 0.02))
    path.write_text("nonsense\n")
    assert busy_seconds(path) is None
    assert busy_seconds(tmp_path / "missing") is None
