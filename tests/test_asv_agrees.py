"""When asv and `convmark run` are said to agree."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

_FOLDER = Path(__file__).parent.parent / "results" / "asv"


@pytest.fixture(scope="module")
def agree() -> Any:
    spec = importlib.util.spec_from_file_location("agree", _FOLDER / "agree.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_one_that_is_slower_throughout_does_not_agree(agree: Any) -> None:
    ours = [1.0, 1.02, 0.99]
    times = {"convmark": {"a": ours}, "asv": {"a": [1.2 * each for each in ours]}}
    assert agree.ratios_of(times)["a"] == pytest.approx(np.log(1.2)) and agree.noise_of(times) < np.log(1.2)


def test_one_that_differs_less_than_a_tool_from_itself_agrees(agree: Any) -> None:
    times = {"convmark": {"a": [1.0, 1.1, 1.0]}, "asv": {"a": [1.05, 1.05, 1.06]}}
    assert abs(agree.ratios_of(times)["a"]) < agree.noise_of(times)
