"""The checker accepts what is right and rejects each kind of wrong."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from kernels import DIRECTIONS, Conv2dProblem, algorithms, conv2d_exact, conv2d_reference, get_algorithm
from suite.check import bound, checker
from suite.check.checker import ExpectedConvolution, Oracle, verify
from suite.check.inputs import make_inputs

_PROBLEM = Conv2dProblem.parse("mb2ic16ih12iw13oc24kh3ph1b1")


def _one_element(dst: np.ndarray) -> np.ndarray:
    dst[1, 3, 5, 7] += 1
    return dst


def _one_nan(dst: np.ndarray) -> np.ndarray:
    dst[0, 0, 0, 0] = np.nan
    return dst


def _unwritten_row(dst: np.ndarray) -> np.ndarray:
    dst[1, 2, 11] = 0
    return dst


_WRONG: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "all zeros": np.zeros_like,
    "one wrong element": _one_element,
    "one NaN": _one_nan,
    "one unwritten row": _unwritten_row,
    "shifted by a pixel": lambda dst: np.roll(dst, 1, axis=3),
    "missing bias": lambda dst: dst - make_inputs(_PROBLEM, "normal").bia.reshape(1, -1, 1, 1),  # type: ignore[union-attr]
    "wrong shape": lambda dst: dst[:1],
}


def _result(fill: str) -> tuple[ExpectedConvolution, np.ndarray]:
    inputs = make_inputs(_PROBLEM, fill)
    exact = conv2d_reference(_PROBLEM, inputs.first, inputs.second, inputs.bia)
    return ExpectedConvolution(_PROBLEM, inputs), exact.astype(np.float32)


@pytest.mark.parametrize("kind", _WRONG)
def test_normal_fill_rejects(kind: str) -> None:
    expected, dst = _result("normal")
    assert expected.close(dst, 20.0).status == "ok"
    verdict = expected.close(_WRONG[kind](dst), 20.0)
    assert (verdict.status, bool(verdict.reason)) == ("wrong", True)


@pytest.mark.parametrize("kind", [kind for kind in _WRONG if kind != "missing bias"])
@pytest.mark.parametrize("rounded", [False, True])
def test_integer_fill_rejects(kind: str, rounded: bool) -> None:
    expected, dst = _result("integer")
    assert expected.equal(dst, rounded=rounded).status == "ok"
    assert expected.equal(_WRONG[kind](dst), rounded=rounded).status == "wrong"


def test_rounding_is_only_for_those_who_need_it() -> None:
    expected, dst = _result("integer")
    assert expected.equal(dst + 0.25, rounded=True).status == "ok"
    assert expected.equal(dst + 0.25).status == "wrong"


@pytest.mark.parametrize("algorithm", algorithms(), ids=lambda each: each.name)
def test_every_algorithm_is_ok_or_says_why_not(algorithm) -> None:  # type: ignore[no-untyped-def]
    # Some are made for one kind of problem only: depthwise, strided, 5x5, one-dimensional.
    others = (
        "g16ic16ih9oc16kh3ph1",
        "ic4ih9oc4kh2sh2",
        "ic16ih9oc16kh2",
        "ic16ih12oc18kh5ph2",
        "ic16ih9iw12oc18kh1kw7ph0pw3",
    )
    problems = [
        problem.replace(direction=direction)
        for problem in (_PROBLEM, *map(Conv2dProblem.parse, others))
        for direction in DIRECTIONS
    ]
    checks = [verify(problem, algorithm) for problem in problems]
    for check in checks:
        assert check.status == "ok" or (check.status == "skipped" and check.reason)
    # Refusing all of them is no algorithm.
    assert "ok" in [check.status for check in checks]


def test_unknown_fill_is_refused() -> None:
    with pytest.raises(ValueError, match="fill is 'zeros', expected one of integer, normal"):
        make_inputs(_PROBLEM, "zeros")


def test_a_refusal_is_skipped_with_its_reason() -> None:
    check = verify(Conv2dProblem.parse("ic16ih9oc16kh5"), get_algorithm("winograd_f4x3"))
    assert (check.status, check.reason) == ("skipped", "the kernel is 5x5, expected 3x3 or 1x3 or 3x1")


def test_one_oracle_serves_every_algorithm_of_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(
        checker, "conv2d_reference", lambda *args, **rest: calls.append(rest) or conv2d_reference(*args, **rest)
    )
    oracle = Oracle(_PROBLEM)
    for each in algorithms():
        oracle.check(each)
    # The integers' oracle, the normal values' oracle, and NumPy's own error on the latter.
    assert calls == [{}, {}, {"dtype": "float32"}]


@pytest.mark.parametrize("victim", ["input", "weight", "bias"])
def test_a_contender_that_writes_to_its_inputs_is_wrong_and_spoils_nothing(
    monkeypatch: pytest.MonkeyPatch, victim: str
) -> None:
    honest = bound.plan

    def vandal(problem, wei, bia, **rest):  # type: ignore[no-untyped-def]
        planned = honest(problem, wei, bia, **rest)

        class Plan:
            poison = staticmethod(planned.poison)

            def bind(self, src: np.ndarray, out: np.ndarray) -> Callable[[], np.ndarray]:
                def call() -> np.ndarray:
                    result = planned(src, out)
                    {"input": src, "weight": wei, "bias": bia}[victim].reshape(-1)[-1] += 1
                    return result

                return call

        return Plan()

    oracle = Oracle(_PROBLEM)
    monkeypatch.setattr(bound, "plan", vandal)
    check = oracle.check(get_algorithm("direct_naive"))
    assert (check.status, check.reason) == ("wrong", f"{victim} was written to, expected to be only read")
    monkeypatch.setattr(bound, "plan", honest)
    assert oracle.check(get_algorithm("direct_naive")).status == "ok"


def test_sums_of_float64_are_exact_to_more_than_float64() -> None:
    for text in ("ic200ih14iw7oc1kh7kw1ph3pw0f64", "g2ic6ih7oc4kh3sh2ph1b1f64", "ic3ih5oc2kh1f64"):
        p = Conv2dProblem.parse(text)
        rng = np.random.default_rng(3)
        src = rng.standard_normal(p.input_shape) * np.exp(3 * rng.standard_normal(p.input_shape))
        wei, bia = rng.standard_normal(p.weight_shape), rng.standard_normal(p.oc) if p.bias else None
        high, low = conv2d_exact(p, src, wei, bia)
        padded = np.pad(src, ((0, 0), (0, 0), (p.ph, p.pb or 0), (p.pw, p.pr or 0)))
        oc, oh, ow, icg = p.oc - 1, p.oh // 2, p.ow - 1, p.ic // p.g
        group = oc // (p.oc // p.g)
        exact = Fraction(0 if bia is None else float(bia[oc]))
        for ic, kh, kw in np.ndindex(icg, p.kh, p.kw):
            pixel = padded[0, group * icg + ic, oh * p.sh + kh * p.dh, ow * p.sw + kw * p.dw]
            exact += Fraction(float(pixel)) * Fraction(float(wei[oc, ic, kh, kw]))
        found = Fraction(float(high[0, oc, oh, ow])) + Fraction(float(low[0, oc, oh, ow]))
        assert abs(found - exact) <= Fraction(float(np.abs(high).max())) * Fraction(1, 2**62)


@pytest.mark.parametrize("text", ["ic200ih14iw7oc1kh7kw1ph3pw0f64", "ic1024ih14oc16kh3ph1f64"])
@pytest.mark.parametrize("name", ["direct_tiled", "im2col_gemm", "direct_naive"])
def test_right_results_in_float64_of_many_channels_are_not_called_wrong(text: str, name: str) -> None:
    assert verify(Conv2dProblem.parse(text), get_algorithm(name)).status == "ok"


def test_a_result_in_float32_is_wrong_for_a_problem_in_float64() -> None:
    expected = Oracle(Conv2dProblem.parse("ic64ih9oc4kh3f64")).normal[1]
    half = expected.exact.astype(np.float32).astype(np.float64)
    assert expected.close(expected.exact, 1.0).status == "ok" and expected.close(half, 60.0).status == "wrong"
