"""`conv2d` against what torch was recorded to say, where torch itself is not installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch_cases import Case, summary

from kernels import ArgumentError, DtypeError, ShapeError, conv2d

_RECORD = json.loads((Path(__file__).parent / "torch_expectations.json").read_text())
_SENTENCES = [each for each in _RECORD["expectations"] if "raises" in each["expected"]]
_RESULTS = [each for each in _RECORD["expectations"] if "shape" in each["expected"]]


def _ask(given: dict[str, Any]) -> np.ndarray:
    case = Case(**given)
    return conv2d(*case.arrays(), **case.numbers(), algorithm="direct_naive", threads=1)


@pytest.mark.parametrize("each", _SENTENCES, ids=lambda each: each["expected"]["says"][:60] or "TypeError")
def test_a_fault_is_told_in_torchs_words(each: dict[str, Any]) -> None:
    kind, said = each["expected"]["raises"], each["expected"]["says"]
    expected = {"TypeError": TypeError, "ValueError": ValueError, "RuntimeError": RuntimeError}[kind]
    with pytest.raises(expected) as caught:
        _ask(each["case"])
    if kind != "TypeError":
        assert str(caught.value) == said


@pytest.mark.parametrize("each", _RESULTS, ids=lambda each: "x".join(map(str, each["expected"]["shape"])))
def test_a_result_is_torchs(each: dict[str, Any]) -> None:
    result = _ask(each["case"])
    expected = each["expected"]
    assert (list(result.shape), result.dtype.name) == (expected["shape"], expected["dtype"])
    np.testing.assert_allclose(summary(result), expected["sums"], rtol=1e-4, atol=2e-3 + 1e-6 * result.size)


def test_the_record_has_what_it_is_for() -> None:
    assert len(_SENTENCES) >= 60 and len(_RESULTS) >= 40
    assert {each["case"].get("padding_mode", "zeros") for each in _RESULTS} == {
        "zeros", "reflect", "replicate", "circular"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("raised", "caught_as"),
    [(ShapeError, (ValueError, RuntimeError)), (DtypeError, (ValueError, TypeError, RuntimeError)),
     (ArgumentError, (TypeError,))],
)  # fmt: skip
def test_errors_are_caught_as_numpys_and_as_torchs(raised: type, caught_as: tuple[type, ...]) -> None:
    assert all(issubclass(raised, each) for each in caught_as)


@pytest.mark.parametrize("dtype", ["float16", "int32", "uint8", "complex64"])
def test_dtypes_that_torch_alone_computes_in_are_refused_clearly(dtype: str) -> None:
    with pytest.raises(DtypeError, match=f"dtype is {dtype}, expected float32 or float64"):
        conv2d(np.zeros((1, 1, 5, 5), dtype), np.zeros((1, 1, 3, 3), dtype))
