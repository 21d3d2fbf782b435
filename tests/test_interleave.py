"""Contenders result turns, what is wrong is never timed, and what was disturbed says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fake_workers import FakeWorkers, quiet_guard

from kernels import Conv2dProblem
from suite.check.checker import Oracle
from suite.contenders import get_contender
from suite.measure.interleave import Participant, Schedule, check_last, measure_in_turns, prepare_and_check
from suite.measure.result import ProcessResult, Result
from suite.measure.sampling import Sample

_PROBLEM = Conv2dProblem.parse("ic1ih6oc1kh3ph1")


def _participants(workers: FakeWorkers, *names: str, integers: bool = True) -> list[Participant]:
    made = [Participant(get_contender(name), workers.start(name, 1, None), ProcessResult()) for name in names]
    for each in made:
        prepare_and_check(each, _PROBLEM, Oracle(_PROBLEM), integers=integers)
    return made


def _measure(participants: list[Participant], *, backwards: bool = False, **schedule: Any) -> None:
    measure_in_turns(
        participants, Schedule(**{"settle_s": 0.0, "rounds": 2, **schedule}), quiet_guard(), backwards=backwards
    )


def test_each_comes_after_another_else_and_backwards_is_the_other_way_round() -> None:
    a, b, c = "direct_naive", "direct_tiled", "scipy"
    for backwards, expected in ((False, [a, b, c, a, b, c]), (True, [c, b, a, c, b, a])):
        workers = FakeWorkers()
        _measure(_participants(workers, a, b, c), backwards=backwards)
        assert workers.timed == expected


def test_a_result_has_all_samples_of_its_process_and_what_preparing_took() -> None:
    workers = FakeWorkers(samples=lambda name, process: [Sample(2, 2.0, 2.0, 0.0), Sample(2, 4.0, 4.0, 0.0)])
    [participant] = _participants(workers, "direct_naive")
    _measure([participant])
    result = participant.result
    assert result.quiet and result.seconds == [1.0, 2.0, 1.0, 2.0] and result.median_s == 1.5
    assert (result.first_s, result.first_call_s, result.prepare_s, result.workspace_bytes) == (3.0, 2.0, 0.5, 7)
    assert result.rel_error is not None and result.rel_error < 1e-6


def test_ours_is_asked_for_whole_numbers_where_that_is_wanted_and_a_peer_never() -> None:
    for integers, expected in ((True, [2, 1]), (False, [1, 1])):
        workers = FakeWorkers()
        _participants(workers, "direct_naive", "scipy", integers=integers)
        assert [workers.log.count(("prepare", name)) for name in ("direct_naive", "scipy")] == expected


@pytest.mark.parametrize("name", ["direct_naive", "scipy"])
@pytest.mark.parametrize("spoil", [np.zeros_like, lambda array: array * np.float32(1.01)])
def test_a_wrong_result_is_never_timed(name: str, spoil: Callable[[np.ndarray], np.ndarray]) -> None:
    workers = FakeWorkers(spoil={name: spoil})
    participants = _participants(workers, "direct_naive", "scipy")
    _measure(participants)
    [wrong] = [each.result for each in participants if each.contender.name == name]
    assert wrong.status == "wrong" and wrong.reason and not wrong.seconds
    assert name not in workers.timed and len(workers.timed) == 2


def test_who_writes_to_its_input_is_wrong() -> None:
    _, scipy = _participants(FakeWorkers(touches={"scipy": "input"}), "direct_naive", "scipy")
    assert (scipy.result.status, scipy.result.reason) == ("wrong", "input was written to, expected to be only read")


@pytest.mark.parametrize("step", ["prepare", "result", "time"])
def test_a_crash_is_that_contenders_alone(step: str) -> None:
    workers = FakeWorkers(raises={"scipy": step})
    naive, scipy = _participants(workers, "direct_naive", "scipy")
    _measure([naive, scipy])
    assert (scipy.result.status, scipy.result.seconds) == ("failed", [])
    assert scipy.result.reason == f"its process was ended by SIGSEGV at {step!r}"
    assert naive.result.quiet and len(naive.result.seconds) == 4
    assert workers.timed.count("scipy") == (step == "time")


def test_auto_says_what_it_chose_and_is_held_to_that_ones_promise() -> None:
    [exact] = _participants(FakeWorkers(), "auto")
    assert (exact.result.status, exact.result.chosen) == ("ok", "direct_tiled")
    # Direct convolution promises exact whole numbers; an FFT may round.
    [near] = _participants(FakeWorkers(spoil={"auto": lambda array: array + np.float32(0.25)}), "auto")
    assert near.result.status == "wrong"


def test_disturbed_samples_are_taken_again_and_left_out() -> None:
    turns: list[int] = []

    def samples(name: str, process: int) -> list[Sample]:
        turns.append(1)
        quiet = len(turns) % 2 == 0
        return [Sample(1, 1.0 if quiet else 9.0, 1.0, 0.0)] * 2

    [participant] = _participants(FakeWorkers(samples=samples), "direct_naive")
    _measure([participant])
    assert participant.result.quiet and participant.result.seconds == [1.0] * 4 and len(turns) == 4


def test_a_process_that_was_always_disturbed_keeps_its_time_and_says_so() -> None:
    workers = FakeWorkers(samples=lambda name, process: [Sample(1, 4.0, 1.0, 3.0)] * 2)
    [participant] = _participants(workers, "direct_naive")
    _measure([participant], retries=1)
    assert (participant.result.status, participant.result.quiet) == ("ok", False)
    assert participant.result.seconds == [4.0] * 8
    assert participant.result.disturbed == "its thread ran 25% of the time"


def test_a_slowdown_is_asked_for_at_every_visit_of_that_participant_alone() -> None:
    naive, scipy = _participants(FakeWorkers(), "direct_naive", "scipy")
    naive.slowdown = 0.1
    _measure([naive, scipy])
    assert (naive.worker.slowdown, scipy.worker.slowdown) == (0.1, 0.0)  # type: ignore[attr-defined]


def test_what_went_wrong_while_it_was_timed_is_wrong_and_not_fast() -> None:
    rots = {"scipy": lambda array: array * np.float32(1.01)}
    participants = _participants(FakeWorkers(rots=rots), "direct_naive", "scipy")
    _measure(participants)
    check_last(participants, _PROBLEM, Oracle(_PROBLEM))
    naive, scipy = (each.result for each in participants)
    assert (naive.status, scipy.status) == ("ok", "wrong")
    assert scipy.reason.startswith("after it was timed: relative L2 error is")
    assert Result([scipy]).timed == []


def test_a_result_of_other_bits_that_is_right_is_right() -> None:
    rots = {"direct_naive": lambda array: array * np.float32(1 + 1e-7)}
    [participant] = _participants(FakeWorkers(rots=rots), "direct_naive")
    _measure([participant])
    check_last([participant], _PROBLEM, Oracle(_PROBLEM))
    assert participant.result.status == "ok"
