"""The automatic choice: what it predicts, what budgets leave, and that what was measured goes first."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from kernels import DIRECTIONS, Conv2d, Conv2dProblem, UnsupportedProblem, algorithms, conv2d, get_algorithm, plan
from kernels.costs.model import seconds_by_term
from kernels.costs.table import cycles, roundings
from kernels.select import Candidate, choose, choose_threads
from kernels.tuning.limits import Limits, reference_limits
from kernels.tuning.measured import remember

#: Each in a place where the algorithm that is chosen won by a third and more over those of other kinds.
CLEAR = (
    ("ic256ih14oc1024kh1", ("direct_tiled", "im2col_gemm")),
    ("g128ic128ih56oc128kh3ph1", ("depthwise_stencil", "grouped_stencil", "long_stencil")),
    ("ic64ih56oc64kh3ph1", ("winograd_f4x3", "winograd_f6x3")),
    ("ic192ih17oc192kh1kw7ph0pw3", ("winograd_f4x7", "winograd_f6x7")),
    ("ic64ih64oc64kh31ph15", ("fft_tile64",)),
    ("ic3ih224oc64kh3ph1", ("grouped_winograd",)),
    ("ic512ih14oc512kh5sh3ph2", ("direct_tiled", "im2col_gemm")),
    ("ic64ih16oc64kh5sh2ph2", ("winograd_f4x5",)),
)
PROBLEM = Conv2dProblem.parse("ic64ih56oc64kh3ph1")


def _by_name(problem: Conv2dProblem, **options: object) -> dict[str, Candidate]:
    return {each.algorithm.name: each for each in choose(problem, **options).candidates}  # type: ignore[arg-type]


@pytest.mark.parametrize(("text", "names"), CLEAR, ids=[text for text, _ in CLEAR])
@pytest.mark.parametrize("threads", [1, 2])
def test_where_one_kind_is_far_ahead_it_is_chosen(text: str, names: tuple[str, ...], threads: int) -> None:
    assert choose(Conv2dProblem.parse(text), threads, tuned=False).algorithm.name in names


@pytest.mark.parametrize("each", algorithms(), ids=lambda each: each.name)
def test_every_algorithm_is_predicted_where_it_takes_the_problem(each: object) -> None:
    texts = (
        "ic16ih20oc16kh3ph1",
        "ic16ih20oc16kh1kw7ph0pw3",
        "ic16ih20oc16kh5ph2",
        "ic16ih20oc16kh2",
        "g16ic16ih20oc16kh3ph1",
    )
    for text, direction in itertools.product(texts, DIRECTIONS):
        candidate = _by_name(Conv2dProblem.parse(text).replace(direction=direction))[each.name]  # type: ignore[attr-defined]
        if candidate.refused:
            assert candidate.seconds is None
        else:
            assert candidate.seconds is not None and 1e-6 < candidate.seconds < 0.1
            assert sum(candidate.terms.values()) == pytest.approx(candidate.seconds)
            assert 1e-8 < candidate.rel_error < 1e-4


def test_a_longer_call_is_predicted_to_take_longer_and_two_threads_less() -> None:
    one, larger = _by_name(PROBLEM), _by_name(PROBLEM.replace(mb=8))
    two = _by_name(PROBLEM, threads=2)
    for name, candidate in one.items():
        if candidate.seconds is not None:
            # Eight images fill tiles that one leaves nearly empty.
            assert 3 < larger[name].seconds / candidate.seconds < 10  # type: ignore[operator]
            assert 0.4 < two[name].seconds / candidate.seconds < 0.8  # type: ignore[operator]


def test_a_machine_of_twice_the_rates_takes_half_the_time() -> None:
    amounts = get_algorithm("direct_tiled").amounts(PROBLEM, 1)
    assert amounts is not None
    slow, fast = (
        sum(seconds_by_term(amounts, 1, Limits(*(factor * rate for rate in reference_limits()))).values())
        for factor in (1, 2)
    )
    assert slow == pytest.approx(2 * fast)


@pytest.mark.parametrize(
    ("width", "fma_per_s", "cycles_per_s"), [(64, 9e9, 4.5e9), (64, 3.7e9, 3.7e9), (32, 9e9, 4.5e9), (32, 5e9, 2.5e9)]
)
def test_a_core_starts_two_multiply_adds_a_cycle_or_one_of_the_widest_vectors(
    width: int, fma_per_s: float, cycles_per_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kernels.tuning.limits.vector_bytes", lambda: width)
    assert Limits.measured(fma_per_s, 1e10) == (cycles_per_s, fma_per_s, 1e10)


def test_vectors_take_as_long_as_the_multiply_adds_of_a_core() -> None:
    amounts = get_algorithm("winograd_f4x3").amounts(PROBLEM, 1)
    assert amounts is not None
    fitted = reference_limits()
    half = fitted._replace(fma_per_s=fitted.fma_per_s / 2)
    terms, slower = seconds_by_term(amounts, 1, fitted), seconds_by_term(amounts, 1, half)
    for name in ("multiply-adds", "points stored", "pixels gathered"):
        assert slower[name] == pytest.approx(2 * terms[name])
    assert slower["calls"] == terms["calls"]


def test_the_table_has_a_row_for_every_algorithm() -> None:
    for each in algorithms():
        amounts = None if each.unsupported(PROBLEM) else each.amounts(PROBLEM, 1)
        assert amounts is None or (
            amounts.loops in cycles() and cycles()[amounts.loops].keys() <= amounts.counts.keys()
        )
    assert roundings().keys() <= {each.name for each in algorithms()}


def test_an_error_budget_excludes_what_errs_more() -> None:
    free = choose(PROBLEM)
    strict = choose(PROBLEM, max_error=_by_name(PROBLEM)[free.algorithm.name].rel_error / 2)
    errors = {each.algorithm.name: each.rel_error for each in strict.candidates}
    assert errors[strict.algorithm.name] <= errors[free.algorithm.name] / 2
    refused = {each.algorithm.name: each.refused for each in strict.candidates}
    assert "its relative error is expected to be" in refused[free.algorithm.name]


def test_a_workspace_budget_excludes_what_takes_more() -> None:
    free = _by_name(PROBLEM)[choose(PROBLEM).algorithm.name]
    bound = plan(PROBLEM, np.zeros(PROBLEM.weight_shape, np.float32), max_workspace=free.workspace_bytes - 1, threads=1)
    assert bound.workspace_bytes < free.workspace_bytes
    assert bound.algorithm is bound.choice.algorithm
    assert bound.choice.why.startswith(bound.algorithm.name)


def test_budgets_that_nobody_keeps_are_answered_with_those_that_would_do() -> None:
    with pytest.raises(UnsupportedProblem, match=r"no algorithm takes .* the least error is .* the least workspace"):
        choose(PROBLEM, max_error=1e-12)


def test_an_algorithm_that_was_asked_for_keeps_budgets_or_is_refused() -> None:
    weight = np.zeros(PROBLEM.weight_shape, np.float32)
    with pytest.raises(UnsupportedProblem, match=r"winograd_f6x3 does not suit .* expected at most 1e-07"):
        plan(PROBLEM, weight, algorithm="winograd_f6x3", max_error=1e-7, threads=1)
    assert plan(PROBLEM, weight, algorithm="direct_naive", threads=1).choice.why == "direct_naive was asked for"


def test_a_plan_of_little_work_takes_one_thread_but_where_its_algorithm_was_named() -> None:
    little, weight = Conv2dProblem.parse("ic4ih8oc6kh3"), np.zeros((6, 4, 3, 3), np.float32)
    assert plan(little, weight, threads=2).threads == 1
    assert plan(little, weight, algorithm="direct_naive", threads=2).threads == 2
    assert plan(PROBLEM, np.zeros(PROBLEM.weight_shape, np.float32), threads=2).threads == 2


@pytest.mark.parametrize("text", ["ic1024ih1oc5kh1", "ic16ih14oc16kh3ph1", "ic32ih140oc64kh3", "ic64ih56oc64kh3ph1"])
def test_of_many_threads_as_many_are_taken_as_are_fastest(text: str) -> None:
    problem = Conv2dProblem.parse(text)
    choice, used = choose_threads(problem, 12)
    times = {count: choose(problem, count, tuned=False).chosen.seconds for count in (1, 2, 4, 8, 12)}  # type: ignore[union-attr]
    assert times[used] == min(times.values()) == choice.chosen.seconds  # type: ignore[union-attr]


def test_conv2d_and_the_layer_hand_budgets_on() -> None:
    x = np.ones((1, 4, 8, 8), np.float32)
    with pytest.raises(UnsupportedProblem, match="within the budgets"):
        conv2d(x, np.ones((4, 4, 3, 3), np.float32), max_error=0.0)
    with pytest.raises(UnsupportedProblem, match="within the budgets"):
        Conv2d(4, 4, 3, max_workspace=-1)(x)


def test_what_was_measured_goes_before_what_is_predicted(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("CONVMARK_TUNED", str(tmp_path / "tuned.sqlite"))
    remember(PROBLEM, 1, {"direct_tiled": 1e-4, "winograd_f4x3": 2e-4})
    measured = choose(PROBLEM, 1)
    assert measured.algorithm.name == "direct_tiled"
    assert measured.why == "direct_tiled is measured to take 100 us, and winograd_f4x3 2.00 times as long"
    assert choose(PROBLEM, 2).algorithm.name != "direct_tiled"
    assert choose(PROBLEM, 1, tuned=False).algorithm.name != "direct_tiled"
    # A budget holds for what was measured too.
    budget = {each.algorithm.name: each for each in measured.candidates}["winograd_f4x3"].rel_error
    assert choose(PROBLEM, 1, max_error=budget).algorithm.name == "direct_tiled"
