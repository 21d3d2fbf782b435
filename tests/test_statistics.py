"""Ratios, intervals and the gate's decision: each can come out either way."""

from __future__ import annotations

import math

import numpy as np
import pytest

from suite.check.statistics import LOOKS, gate, paired_log_ratios, ratio_interval, ratio_of, spread


def _logs(slowdown: float, noise: float = 0.02, pairs: int = LOOKS[-1], seed: int = 0) -> np.ndarray:
    """Pairs of a benchmark that became slower by a fraction, with normal noise."""
    return np.log1p(slowdown) + np.random.default_rng(seed).normal(0, noise, pairs)


def test_pairs_are_free_of_what_slowed_both() -> None:
    reference = np.array([1.0, 2.0, 1.0, 4.0])
    logs = paired_log_ratios(1.1 * reference, reference)
    assert ratio_of(logs) == pytest.approx(1.1)
    assert ratio_interval(logs) == pytest.approx((1.1, 1.1))


def test_one_disturbed_process_does_not_move_the_ratio() -> None:
    assert ratio_of(paired_log_ratios([1.0, 1.0, 9.0], [1.0, 1.0, 1.0])) == 1.0


def test_the_interval_holds_the_ratio_and_narrows_with_pairs() -> None:
    few, many = (ratio_interval(_logs(0.1, pairs=n)) for n in (5, 200))
    assert few[0] < 1.1 < few[1] and many[0] < 1.1 < many[1]
    assert many[1] - many[0] < (few[1] - few[0]) / 2


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    low, high = np.array([ratio_interval(_logs(0.0, pairs=15, seed=seed)) for seed in range(200)]).T
    assert 0.88 < np.mean((low <= 1) & (high >= 1)) <= 1.0


def test_one_pair_has_a_ratio_and_no_interval() -> None:
    assert all(math.isnan(end) for end in ratio_interval(np.array([0.1])))


def test_spread_is_between_the_quartiles() -> None:
    assert spread([1, 2, 3, 4, 5]) == pytest.approx(2 / 3)
    assert spread([0.0]) == 0.0


@pytest.mark.parametrize(
    ("subject", "reference", "said"),
    [
        ([1.0], [1.0, 2.0], "subject has 1 times and reference 2, expected as many of both"),
        ([1.0, 0.0], [1.0, 1.0], "expected positive numbers"),
        ([1.0, math.nan], [1.0, 1.0], "expected positive numbers"),
    ],
)
def test_what_is_no_pair_of_times_is_refused(subject: list[float], reference: list[float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        paired_log_ratios(subject, reference)


@pytest.mark.parametrize(
    ("slowdown", "verdict"), [(0.0, "same"), (0.005, "same"), (0.10, "slower"), (0.25, "slower"), (-0.10, "faster")]
)
def test_the_gate_can_say_each(slowdown: float, verdict: str) -> None:
    found = gate(_logs(slowdown))
    assert found.verdict == verdict
    assert found.low <= found.ratio <= found.high
    assert found.ratio == pytest.approx(1 + slowdown, abs=0.03)


def test_no_change_is_settled_by_three_pairs_and_a_slowdown_by_eight() -> None:
    assert gate(_logs(0.0)).pairs == 3
    assert gate(_logs(0.10)).pairs == 8


@pytest.mark.parametrize("pairs", [0, 1, 2])
def test_nothing_measured_is_never_the_same(pairs: int) -> None:
    assert gate(np.zeros(pairs)).verdict == "undecided"


def test_a_suspect_is_undecided_until_there_are_pairs_enough() -> None:
    logs = _logs(0.10)
    assert [gate(logs[:pairs]).verdict for pairs in (3, 7, 8)] == ["undecided", "undecided", "slower"]


def test_a_decision_is_not_undone_by_later_pairs() -> None:
    logs = np.concatenate((_logs(0.0, pairs=3), np.full(24, 0.5)))
    assert gate(logs) == gate(logs[:3])


def test_noise_alone_rarely_alarms_and_slowdowns_rarely_pass() -> None:
    said = {
        slowdown: [gate(_logs(slowdown, seed=seed)).verdict for seed in range(300)] for slowdown in (0.0, 0.05, 0.10)
    }
    assert sum(verdict in ("slower", "faster") for verdict in said[0.0]) <= 3
    assert said[0.05].count("slower") >= 0.8 * 300
    assert said[0.10].count("slower") >= 0.98 * 300


def test_noise_of_eight_percent_alarms_no_more_than_the_risk() -> None:
    alarms = sum(gate(_logs(0.0, 0.08, seed=seed)).verdict in ("slower", "faster") for seed in range(400))
    assert alarms <= 0.02 * 400


def test_a_wider_margin_lets_more_pass() -> None:
    assert gate(_logs(0.10), margin=0.5).verdict == "same"


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ({"margin": 0.0}, "margin is 0.0, expected more than 0"),
        ({"risk": 1.0}, "risk is 1.0, expected a number between 0 and 1"),
    ],
)
def test_numbers_out_of_range_are_refused(rest: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        gate(np.zeros(3), **rest)


def test_a_ratio_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="expected finite numbers"):
        gate(np.array([0.0, math.inf, 0.0]))
