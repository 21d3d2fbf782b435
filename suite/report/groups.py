"""Rows of a report in groups: what was measured under the same circumstances, the best first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from suite.results.rows import Row

__all__ = [
    "CIRCUMSTANCES",
    "LAYER",
    "circumstances",
    "display_name",
    "groups",
    "is_peer",
    "name_of",
    "single_convolutions",
]

#: Columns in which rows agree that may be added up: the same threads and caches.
CIRCUMSTANCES = ["network", "threads", "cache"]

#: Columns in which rows agree that may be compared.
LAYER = ["network", "layer", "problem", "threads", "cache"]

#: Times of the first can be relied on, those of the second not; others have none.
_ORDER = {"ok": 0, "mistrusted": 1}


def circumstances(threads: int, cache: str) -> str:
    """Number of threads and state of the caches, where those were emptied, in words."""
    plural = "" if threads == 1 else "s"
    return f"{threads} thread{plural}{', cold caches' if cache == 'cold' else ''}"


def groups(frame: pd.DataFrame, by: list[str]) -> Iterator[list[Row]]:
    """Rows with ``None`` for 'no value', those that agree in ``by`` together.

    In a group the right ones come first and by time, then the mistrusted ones by time, then
    what was skipped, wrong or failed, those of one reason together.
    """
    for _, part in frame.groupby(by, sort=False):
        rows: list[Row] = [
            {str(name): None if pd.isna(value) else value for name, value in row.items()}
            for row in part.to_dict("records")
        ]
        yield sorted(rows, key=_rank)


def _rank(row: Row) -> tuple[Any, ...]:
    return _ORDER.get(row["status"], 2), row["time_s"] or 0.0, row["status"], row["reason"] or ""


def single_convolutions(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of single convolutions, without those of blocks, whose texts have a kind before a colon."""
    return frame[~frame["problem"].str.contains(":", regex=False)]


def is_peer(row: Row) -> bool:
    """Whether a row is of somebody else's library."""
    return bool(row["family"] == "peer")


def display_name(algorithm: str, source: str, run: str) -> str:
    """A contender, and where its row comes from if not from a run of our own."""
    return algorithm if source == "convmark" else f"{algorithm} ({source} {run})"


def name_of(row: Row) -> str:
    """`display_name` of a row."""
    return display_name(row["algorithm"], row["source"], row["run"])
