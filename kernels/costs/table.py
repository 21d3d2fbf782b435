"""Constants of the model, as ``results/costs/fit.py`` fitted them to measured times and errors."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["cycles", "roundings"]


def cycles() -> Mapping[str, Mapping[str, float]]:
    """Cycles by loops and kind of work, on the machine of `kernels.tuning.limits.REFERENCE`.

    Work that was found to take no time of its own is left out.
    """
    found: Mapping[str, Mapping[str, float]] = _table()["cycles"]
    return found


def roundings() -> Mapping[str, Mapping[str, Sequence[float]]]:
    """Errors in units of the last place by algorithm and kind of kernel: at least, and a root of products."""
    found: Mapping[str, Mapping[str, Sequence[float]]] = _table()["roundings"]
    return found


@functools.cache
def _table() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(__file__).with_name("table.json").read_text())
    return found
