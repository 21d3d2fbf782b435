"""Rows: one per contender, layer, number of threads and state of the caches."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["CASE_KEY", "COLUMNS", "KEY", "LATER_COLUMNS", "MEASURED", "SCHEMA", "Row", "key_of", "latest_of"]

#: A row as it is stored: one value per column, ``None`` if there is none.
Row = dict[str, Any]

#: Version of the columns and of what they mean, as docs/schema.md describes them.
SCHEMA = 2

#: Every column in the order in which it is printed, and the kind of its values. Times are
#: those of one call: ``time_s`` is the median over processes of each process's median,
#: ``time_min_s`` the least sample of all, ``time_spread`` the distance between the quartiles
#: of the processes' medians as a fraction of the median. ``compile_s`` is what the first
#: call ever took beyond a later one (compiling; nothing if an earlier layer needed the same
#: code), ``reload_s`` the same in a later process (loading compiled code from the disk).
#: ``ratio`` is this time by the time of ``reference``, pair by pair of processes, with its
#: 95 % interval; ``speedup_vs_best_peer`` is above 1 if this one is faster than every
#: peer. Speeds are in GFLOP/s of two operations a multiply-add: ``useful`` leaves out taps
#: that fall on padding, ``nominal`` is the formula. ``pct_of_peak`` is useful speed against
#: the measured limit of as many threads; an algorithm that needs fewer multiplications can
#: pass 100.
COLUMNS: dict[str, type] = {
    "run": str,
    "machine": str,
    "network": str,
    "layer": str,
    "occurs": int,
    "problem": str,
    "algorithm": str,
    "family": str,
    "library": str,
    "version": str,
    "threads": int,
    "cache": str,
    "status": str,
    "reason": str,
    "time_s": float,
    "time_min_s": float,
    "time_spread": float,
    "processes": int,
    "samples": int,
    "reference": str,
    "ratio": float,
    "ratio_low": float,
    "ratio_high": float,
    "speedup_vs_best_peer": float,
    "compile_s": float,
    "reload_s": float,
    "first_call_s": float,
    "prepare_s": float,
    "workspace_bytes": int,
    "useful_gflops": float,
    "nominal_gflops": float,
    "pct_of_peak": float,
    "rel_error": float,
}

#: Columns that a row has only once it was run; ``None`` before.
MEASURED = tuple(COLUMNS)[tuple(COLUMNS).index("time_s") :]

#: Columns that rows of earlier versions do not have, and what those rows mean by that.
LATER_COLUMNS: Row = {
    "library": "convmark",
    "version": "",
    "cache": "warm",
    **dict.fromkeys(
        ("processes", "reference", "ratio", "ratio_low", "ratio_high", "speedup_vs_best_peer", "reload_s",
         "first_call_s")
    ),
}  # fmt: skip

#: Columns that say what was asked for; no run has two rows that agree in all of them.
KEY = ("network", "layer", "problem", "algorithm", "threads", "cache")

#: The same of all contenders that can be compared.
CASE_KEY = tuple(name for name in KEY if name != "algorithm")


def key_of(row: Row, key: tuple[str, ...] = KEY) -> tuple[Any, ...]:
    """What was asked for, of a row."""
    return tuple(row[name] for name in key)


def latest_of(rows: Iterable[Row]) -> list[Row]:
    """The last row of each key and run: a run that is resumed measures what failed again."""
    return [*{(row["run"], key_of(row)): row for row in rows}.values()]
