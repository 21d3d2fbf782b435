"""The transform matrices are identities in exact arithmetic, and the promised error holds."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from kernels import Conv2dProblem, algorithms, conv2d_reference, plan
from kernels.algorithms.cook_toom import transform_matrices

_CASES = [(2, 3, (0, 1, -1)), (4, 3, (0, 1, -1, 2, -2)), (6, 3, (0, 1, -1, 2, -2, Fraction(1, 2), Fraction(-1, 2)))]


@pytest.mark.parametrize(("m", "r", "points"), [*_CASES, (4, 5, _CASES[2][2]), (2, 7, _CASES[2][2])])
def test_minimal_filtering_is_exact_in_rationals(m: int, r: int, points: tuple[Fraction | int, ...]) -> None:
    at, g, bt = transform_matrices(m, r, points)
    data = [Fraction(3 * i * i - 7 * i + 2, 5) for i in range(m + r - 1)]
    taps = [Fraction(2 * k + 1, 3 + k) for k in range(r)]

    def apply(matrix: tuple[tuple[Fraction, ...], ...], vector: list[Fraction]) -> list[Fraction]:
        return [sum((x * y for x, y in zip(row, vector, strict=True)), Fraction(0)) for row in matrix]

    products = [a * b for a, b in zip(apply(g, taps), apply(bt, data), strict=True)]
    expected = [sum((taps[k] * data[i + k] for k in range(r)), Fraction(0)) for i in range(m)]
    assert apply(at, products) == expected


@pytest.mark.parametrize("points", [(0, 1, 1, 2, -2), (0, 1, -1)])
def test_wrong_points_are_refused(points: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected 5 distinct ones for F\(4, 3\)"):
        transform_matrices(4, 3, points)


@pytest.mark.parametrize(
    "algorithm", [each for each in algorithms() if each.family == "winograd"], ids=lambda a: a.name
)
@pytest.mark.parametrize(
    "text",
    [
        "ic64ih30oc64kh3ph1",
        "mb2ic17ih9iw26oc35kh3ph0b1",
        "g2ic64ih14oc66kh3ph1",
        "ic128ih7oc130kh3ph1",
        "ic33ih57iw5oc20kh3ph1pb2pr0",
    ],
)
def test_error_keeps_the_promise_beside_the_registration(algorithm, text: str) -> None:  # type: ignore[no-untyped-def]
    p = Conv2dProblem.parse(text)
    rng = np.random.default_rng(11)
    src, wei, bia = (rng.standard_normal(s, np.float32) for s in (p.input_shape, p.weight_shape, (p.oc,)))
    bound = plan(p, wei, bia, algorithm=algorithm.name, threads=1)
    bound.poison()
    exact = conv2d_reference(p, src, wei, bia)

    def relative(result: np.ndarray) -> float:
        return float(np.linalg.norm(result - exact) / np.linalg.norm(exact))

    yardstick = relative(conv2d_reference(p, src, wei, bia, dtype="float32"))
    assert relative(bound(src)) <= algorithm.error_factor * yardstick
