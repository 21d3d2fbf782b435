"""The steps that a convolution ends with, fused into every algorithm's store."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import integers
from memory_problems import NARROW

from kernels import Algorithm, Conv2dProblem, Epilogue, algorithms, conv2d_reference, get_algorithm, plan

#: One algorithm of each store: the others end in the same one.
_STORES = ("direct_naive", "direct_tiled", "im2col_gemm", "depthwise_stencil", "grouped_winograd", "winograd_f2x3")
_CASES = [
    pytest.param(
        each,
        epilogue,
        threads,
        marks=pytest.mark.xdist_group(each.name),
        id="-".join(map(str, (each.name, *epilogue, threads))),
    )
    for each in algorithms("fwd")
    for epilogue, threads in (
        (Epilogue(True, True), 1),
        (Epilogue(relu=True), 2),
        (Epilogue(residual=True), 1),
        (Epilogue(True, True, 0.25, True), 1),
        (Epilogue(True, True, 0.25), 2),
    )
    if epilogue == Epilogue(True, True)
    or each.name in (_STORES[:2] if epilogue == Epilogue(True, True, 0.25) else _STORES)
]


def _problem(algorithm: Algorithm) -> Conv2dProblem:
    return next(p for p in map(Conv2dProblem.parse, NARROW) if algorithm.unsupported(p) is None)


def _bound(algorithm: Algorithm, p: Conv2dProblem, epilogue: Epilogue, threads: int = 1) -> tuple[Any, Any, Any]:
    src, wei, bia = integers(p)
    bound = plan(p, wei, bia, epilogue=epilogue, algorithm=algorithm.name, threads=threads)
    return bound, src, conv2d_reference(p, src, wei, bia)


@pytest.mark.parametrize(("algorithm", "epilogue", "threads"), _CASES)
def test_an_epilogue_is_what_it_would_be_behind_the_convolution(
    algorithm: Algorithm, epilogue: Epilogue, threads: int
) -> None:
    p = _problem(algorithm)
    bound, src, expected = _bound(algorithm, p, epilogue, threads)
    residual = np.random.default_rng(5).integers(-40, 40, p.output_shape).astype(p.dtype)
    if epilogue.residual and not epilogue.residual_last:
        expected = expected + residual
    assert (expected < 0).any()
    if epilogue.relu:
        # A slope of a quarter: whole numbers stay exact.
        expected = np.maximum(expected, epilogue.slope * expected)
    if epilogue.residual_last:
        expected = expected + residual
    bound.poison()
    result = bound(src, residual=residual) if epilogue.residual else bound(src)
    assert np.abs(result - expected).max() <= (0 if algorithm.exact_on_integers else 1e-3 * np.abs(expected).max())


def test_nan_passes_through_the_relu() -> None:
    p = Conv2dProblem.parse("ic4ih6oc17kh1")
    for algorithm in algorithms("fwd"):
        if algorithm.unsupported(p) is None:
            src = np.ones(p.input_shape, p.dtype)
            src[0, 0, 2, 3] = np.nan
            result = plan(p, -np.ones(p.weight_shape, p.dtype), epilogue=Epilogue(relu=True), algorithm=algorithm.name)(
                src
            )
            assert np.isnan(result[:, :, 2, 3]).all()
            assert np.nansum(result) == 0


@pytest.mark.parametrize("name", _STORES[:2])
def test_nan_passes_through_the_leaky_relu(name: str) -> None:
    p = _problem(get_algorithm(name)).replace(mb=1)
    src, wei, bia = integers(p)
    src[0, 0, 2, 3] = np.nan
    expected = conv2d_reference(p, src, wei, bia)
    result = plan(p, wei, bia, epilogue=Epilogue(True, True, 0.25, True), algorithm=name, threads=1)(
        src, residual=np.ones(p.output_shape, p.dtype)
    )
    assert np.isnan(expected).any() and not np.isnan(expected).all()
    np.testing.assert_array_equal(result, np.maximum(expected, 0.25 * expected) + 1)


@pytest.mark.parametrize(
    ("steps", "sentence"),
    [
        ({"relu": True, "slope": -0.1}, "slope is -0.1, expected a number from 0 to 1"),
        ({"relu": True, "slope": 1.5}, "slope is 1.5, expected a number from 0 to 1"),
        ({"relu": True, "slope": float("nan")}, "slope is nan, expected a number from 0 to 1"),
        ({"slope": 0.1}, "slope is 0.1 without relu, expected 0"),
        ({"residual_last": True}, "residual_last is given without residual, expected both"),
    ],
    ids=str,
)
def test_steps_that_are_none_are_refused(steps: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Epilogue(**steps)


def test_a_residual_that_does_not_fit_is_refused() -> None:
    p = Conv2dProblem.parse("ic4ih6oc17kh1")
    wei, src = np.ones(p.weight_shape, p.dtype), np.ones(p.input_shape, p.dtype)
    added = np.ones(p.output_shape, p.dtype)
    adding = plan(p, wei, epilogue=Epilogue(residual=True))
    with pytest.raises(ValueError, match=r"residual is None, expected an array of shape \(1, 17, 6, 6\)"):
        adding(src)
    with pytest.raises(ValueError, match=r"residual has shape \(1, 17, 6, 5\), expected \(1, 17, 6, 6\)"):
        adding(src, residual=added[..., :5])
    with pytest.raises(ValueError, match="out overlaps residual, expected separate memory"):
        adding(src, out=added, residual=added)
    with pytest.raises(ValueError, match="residual is given, expected none"):
        plan(p, wei)(src, residual=added)
