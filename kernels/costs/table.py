"""Constants of the model by kind of CPU, as ``results/costs/fit.py`` fitted them to measured times and errors."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kernels.machine.cpu import cpu_class

__all__ = ["cycles", "forget_tables", "rates", "read_table", "roundings"]


def rates() -> Sequence[float]:
    """Rates of the machine that the constants were fitted on, as `kernels.tuning.limits.Limits` has them."""
    found: Sequence[float] = _table()["limits"]
    return found


def cycles() -> Mapping[str, Mapping[str, float]]:
    """Cycles by loops and kind of work, on the machine of `rates`; of multiply-adds, how often one could start instead.

    Work that was found to take no time of its own is left out. For loops that were not measured on this kind of CPU,
    cycles of AVX2 stand in.
    """
    return _merged(cpu_class(), "cycles")


def roundings() -> Mapping[str, Mapping[str, Sequence[float]]]:
    """Errors in units of the last place by algorithm and kind of kernel: at least, and a root of products."""
    return _merged(cpu_class(), "roundings")


@functools.cache
def _merged(kind: str, part: str) -> Mapping[str, Mapping[str, Any]]:
    return {**read_table("avx2")[part], **read_table(kind)[part]}


def _table() -> dict[str, Any]:
    return read_table(cpu_class())


@functools.cache
def read_table(kind: str) -> dict[str, Any]:
    """The constants of a kind of CPU; see `kernels.machine.cpu.cpu_class`."""
    found: dict[str, Any] = json.loads(Path(__file__).with_name(f"{kind}.json").read_text())
    return found


def forget_tables() -> None:
    """Read tables anew, that were written meanwhile."""
    read_table.cache_clear()
    _merged.cache_clear()
