"""What a row is: one algorithm on one layer with one number of threads."""

from __future__ import annotations

from typing import Any

__all__ = ["COLUMNS", "KEY", "MEASURED", "Row", "key_of"]

#: A row as it is stored: one value a column, ``None`` where there is none.
Row = dict[str, Any]

#: Every column in the order in which it is printed, and the kind of its values. Speeds are
#: in GFLOP/s of two operations a multiply-add: ``useful`` leaves out taps that fall on
#: padding, ``nominal`` is the formula. ``pct_of_peak`` is useful speed against the measured
#: limit of as many threads; an algorithm that needs fewer multiplications can pass 100.
COLUMNS: dict[str, type] = {
    "run": str,
    "machine": str,
    "network": str,
    "layer": str,
    "occurs": int,
    "problem": str,
    "algorithm": str,
    "family": str,
    "threads": int,
    "status": str,
    "reason": str,
    "time_s": float,
    "time_min_s": float,
    "time_spread": float,
    "samples": int,
    "compile_s": float,
    "prepare_s": float,
    "workspace_bytes": int,
    "useful_gflops": float,
    "nominal_gflops": float,
    "pct_of_peak": float,
    "rel_error": float,
}

#: Columns that a row has only once it was run; ``None`` before.
MEASURED = tuple(COLUMNS)[tuple(COLUMNS).index("time_s") :]

#: Columns that say what was asked for; no run has two rows that agree in all of them.
KEY = ("network", "layer", "problem", "algorithm", "threads")


def key_of(row: Row) -> tuple[Any, ...]:
    """What was asked for, of a row."""
    return tuple(row[name] for name in KEY)
