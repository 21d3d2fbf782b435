"""Contenders take turns, what is wrong is never timed, and what was disturbed says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from troupe import Troupe, quiet_guard

from kernels import Conv2dProblem
from suite.contenders import get_contender
from suite.interleave import Entrant, Schedule, admit, take_turns
from suite.meter import Sample
from suite.outcome import Take
from suite.verify import Referee

_PROBLEM = Conv2dProblem.parse("ic1ih6oc1kh3ph1")


def _entrants(troupe: Troupe, *names: str, integers: bool = True) -> list[Entrant]:
    made = [Entrant(get_contender(name), troupe.start(name, 1, None), Take()) for name in names]
    for each in made:
        admit(each, _PROBLEM, Referee(_PROBLEM), integers=integers)
    return made


def _measure(entrants: list[Entrant], *, backwards: bool = False, **schedule: Any) -> None:
    take_turns(entrants, Schedule(**{"settle_s": 0.0, "rounds": 2, **schedule}), quiet_guard(), backwards=backwards)


def test_everybody_comes_after_somebody_else_and_backwards_is_the_other_way_round() -> None:
    a, b, c = "direct_naive", "direct_tiled", "scipy"
    for backwards, expected in ((False, [a, b, c, a, b, c]), (True, [c, b, a, c, b, a])):
        troupe = Troupe()
        _measure(_entrants(troupe, a, b, c), backwards=backwards)
        assert troupe.timed == expected


def test_a_take_has_all_samples_of_its_process_and_what_preparing_took() -> None:
    troupe = Troupe(samples=lambda name, process: [Sample(2, 2.0, 2.0, 0.0), Sample(2, 4.0, 4.0, 0.0)])
    [entrant] = _entrants(troupe, "direct_naive")
    _measure([entrant])
    take = entrant.take
    assert take.quiet and take.seconds == [1.0, 2.0, 1.0, 2.0] and take.median_s == 1.5
    assert (take.first_s, take.first_call_s, take.prepare_s, take.workspace_bytes) == (3.0, 2.0, 0.5, 7)
    assert take.rel_error is not None and take.rel_error < 1e-6


def test_ours_is_asked_for_whole_numbers_where_that_is_wanted_and_a_peer_never() -> None:
    for integers, expected in ((True, [2, 1]), (False, [1, 1])):
        troupe = Troupe()
        _entrants(troupe, "direct_naive", "scipy", integers=integers)
        assert [troupe.log.count(("prepare", name)) for name in ("direct_naive", "scipy")] == expected


@pytest.mark.parametrize("name", ["direct_naive", "scipy"])
@pytest.mark.parametrize("spoil", [np.zeros_like, lambda array: array * np.float32(1.01)])
def test_a_wrong_result_is_never_timed(name: str, spoil: Callable[[np.ndarray], np.ndarray]) -> None:
    troupe = Troupe(spoil={name: spoil})
    entrants = _entrants(troupe, "direct_naive", "scipy")
    _measure(entrants)
    [wrong] = [each.take for each in entrants if each.contender.name == name]
    assert wrong.status == "wrong" and wrong.reason and not wrong.seconds
    assert name not in troupe.timed and len(troupe.timed) == 2


def test_who_writes_to_its_input_is_wrong() -> None:
    _, scipy = _entrants(Troupe(touches={"scipy": "input"}), "direct_naive", "scipy")
    assert (scipy.take.status, scipy.take.reason) == ("wrong", "input was written to, expected to be only read")


@pytest.mark.parametrize("step", ["prepare", "result", "time"])
def test_a_crash_is_that_contenders_alone(step: str) -> None:
    troupe = Troupe(raises={"scipy": step})
    naive, scipy = _entrants(troupe, "direct_naive", "scipy")
    _measure([naive, scipy])
    assert (scipy.take.status, scipy.take.seconds) == ("failed", [])
    assert scipy.take.reason == f"its process was ended by SIGSEGV at {step!r}"
    assert naive.take.quiet and len(naive.take.seconds) == 4
    assert troupe.timed.count("scipy") == (step == "time")


def test_auto_says_what_it_chose_and_is_held_to_that_ones_promise() -> None:
    [exact] = _entrants(Troupe(), "auto")
    assert (exact.take.status, exact.take.chosen) == ("ok", "direct_tiled")
    # Direct convolution promises exact whole numbers; an FFT may round.
    [near] = _entrants(Troupe(spoil={"auto": lambda array: array + np.float32(0.25)}), "auto")
    assert near.take.status == "wrong"


def test_disturbed_samples_are_taken_again_and_left_out() -> None:
    turns: list[int] = []

    def samples(name: str, process: int) -> list[Sample]:
        turns.append(1)
        quiet = len(turns) % 2 == 0
        return [Sample(1, 1.0 if quiet else 9.0, 1.0, 0.0)] * 2

    [entrant] = _entrants(Troupe(samples=samples), "direct_naive")
    _measure([entrant])
    assert entrant.take.quiet and entrant.take.seconds == [1.0] * 4 and len(turns) == 4


def test_a_process_that_was_always_disturbed_keeps_its_time_and_says_so() -> None:
    troupe = Troupe(samples=lambda name, process: [Sample(1, 4.0, 1.0, 3.0)] * 2)
    [entrant] = _entrants(troupe, "direct_naive")
    _measure([entrant], retries=1)
    assert (entrant.take.status, entrant.take.quiet) == ("ok", False)
    assert entrant.take.seconds == [4.0] * 8
    assert entrant.take.disturbed == "its thread ran 25% of the time"


def test_a_slowdown_is_asked_for_at_every_visit_of_that_entrant_alone() -> None:
    naive, scipy = _entrants(Troupe(), "direct_naive", "scipy")
    naive.slowdown = 0.1
    _measure([naive, scipy])
    assert (naive.staff.slowdown, scipy.staff.slowdown) == (0.1, 0.0)  # type: ignore[attr-defined]
