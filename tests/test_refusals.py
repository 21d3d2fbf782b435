"""Arguments that are nearly right: taken as what they mean, or refused in a sentence, the same at every call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kernels import (
    ArgumentError,
    Conv2d,
    Conv2dProblem,
    Epilogue,
    ProblemError,
    ShapeError,
    UnknownAlgorithm,
    choose,
    conv2d,
    plan,
)

_P = Conv2dProblem.parse("ic3ih6iw5oc2kh3")
_SRC, _WEI = np.ones(_P.input_shape, "f4"), np.ones(_P.weight_shape, "f4")
_MASKED = np.ma.MaskedArray(_SRC, mask=np.arange(90).reshape(_SRC.shape) == 7)
_ONE = np.array([1])[0]


def _plan(*arguments: Any, **others: Any) -> Any:
    return plan(_P, *(arguments or (_WEI,)), **{"algorithm": "direct_naive", "threads": 1, **others})


_REFUSED: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "masked input": (lambda: conv2d(_MASKED, _WEI), ArgumentError, "input has 1 masked elements, expected none"),
    "masked weights": (lambda: _plan(np.ma.masked_equal(_WEI, 1)), ArgumentError, "weight has 54 masked elements"),
    "masked input of a plan": (lambda: _plan()(_MASKED), ArgumentError, "input has 1 masked elements"),
    "masked out": (
        lambda: _plan()(_SRC, out=np.ma.MaskedArray(np.empty(_P.output_shape, "f4"))),
        ArgumentError, "out is of type MaskedArray, expected a NumPy array",
    ),
    "no bias": (
        lambda: plan(_P.replace(bias=True), _WEI), ShapeError, r"bias is None, expected an array of shape \(2,\)",
    ),
    "epilogue": (lambda: _plan(epilogue="relu"), ArgumentError, "epilogue is 'relu', expected an Epilogue"),
    "NaN bytes": (lambda: conv2d(_SRC, _WEI, max_workspace=float("nan")), ValueError, "max_workspace is nan"),
    "NaN error": (lambda: choose(_P, 1, max_error=np.float32("nan")), ValueError, "max_error is nan"),
    "text budget": (lambda: conv2d(_SRC, _WEI, max_error="1e-3"), ArgumentError, "max_error is '1e-3', expected a"),
    "window_only": (lambda: _plan(window_only="yes"), ArgumentError, "window_only is 'yes', expected True or False"),
    "algorithm": (lambda: conv2d(_SRC, _WEI, algorithm=None), ArgumentError, "algorithm is None, expected a name"),
    "algorithm of a plan": (lambda: _plan(algorithm=["x"]), UnknownAlgorithm, r"unknown algorithm \['x'\], expected"),
    "no threads": (lambda: choose(_P, 0), ShapeError, "threads is 0, expected at least 1"),
    "negative threads": (lambda: conv2d(_SRC, _WEI, threads=-3), ValueError, "threads is -3, expected a whole number"),
    "bool threads": (lambda: conv2d(_SRC, _WEI, threads=True), ValueError, "threads is True, expected a whole number"),
    "bias of a problem": (lambda: _P.replace(bias="no"), ProblemError, "bias is 'no', expected True or False"),
    "dtype of a problem": (lambda: _P.replace(dtype=["x"]), ProblemError, r"dtype is \['x'\], expected one of"),
    "text of a problem": (lambda: Conv2dProblem.parse(None), ProblemError, "problem text is None, expected text"),  # type: ignore[arg-type]
    "negative channels": (lambda: Conv2d(-3, 2, 3), ShapeError, "in_channels is -3, expected at least 0"),
    "channels in text": (lambda: Conv2d("3", 2, 3), ArgumentError, "in_channels is '3', expected a whole number"),  # type: ignore[arg-type]
}  # fmt: skip


@pytest.mark.parametrize("name", _REFUSED)
def test_what_is_nearly_right_is_refused_in_a_sentence(name: str) -> None:
    call, error, said = _REFUSED[name]
    for _ in range(2):
        with pytest.raises(error, match=said) as found:
            call()
        assert "\n" not in str(found.value)


def test_what_numpy_counts_with_is_taken() -> None:
    four, three = np.array([4, 3], np.int64)
    src, wei = np.ones((1, 4, 6, 6), "f4"), np.ones((4, 4, 3, 3), "f4")
    expected = conv2d(src, wei, threads=1)
    p = Conv2dProblem(ic=four, ih=np.int8(6), iw=np.uint8(6), oc=four, kh=three, kw=three, bias=np.bool_(False))
    assert p == Conv2dProblem.parse("ic4ih6oc4kh3") and type(p.ic) is int and p.replace(mb=_ONE) == p
    layer = Conv2d(four, four, three, bias=False, stride=_ONE, groups=_ONE, threads=_ONE)
    assert "int64" not in repr(layer)
    layer.weight = wei
    for found in (
        conv2d(src, wei, threads=_ONE), plan(p, wei, threads=_ONE)(src), layer(src),
        conv2d(src, wei, max_workspace=np.float64(1e6), max_error=np.float32(1e-3), window_only=np.bool_(True)),
        conv2d(np.ma.MaskedArray(src), wei, threads=1),
    ):  # fmt: skip
        np.testing.assert_allclose(found, expected)


def test_a_bias_that_the_problem_has_not_is_the_plans() -> None:
    bound = _plan(_WEI, np.full(2, 100, "f4"))
    assert bound.problem == _P.replace(bias=True) and bound(_SRC).ravel()[0] == 127


@pytest.mark.parametrize("epilogue", [Epilogue(), Epilogue(relu=True)])
def test_a_plan_keeps_nothing_of_the_arrays_that_it_was_made_of(epilogue: Epilogue) -> None:
    wei, bia = _WEI.copy(), np.ones(2, "f4")
    bound = _plan(wei, bia, epilogue=epilogue)
    before = bound(_SRC)
    wei[:], bia[:] = 5, 7
    np.testing.assert_array_equal(bound(_SRC), before)


def test_an_out_that_does_not_fit_is_refused_before_anything_is_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    from kernels.one_call import Shape

    monkeypatch.setattr(Shape, "plan", None)
    for out in (np.empty((1, 2, 4, 4), "f4"), np.empty(_P.output_shape), np.empty((1, 2, 4, 6), "f4")[..., ::2]):
        with pytest.raises(ValueError, match="out "):
            conv2d(_SRC, _WEI, out=out, threads=1, algorithm="direct_tiled")
