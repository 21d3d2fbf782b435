"""Rows as a table of pandas."""

from __future__ import annotations

import pandas as pd

from suite.rows import COLUMNS, Row, key_of

__all__ = ["frame_of", "latest_of"]

#: Kinds of columns in pandas; each of them has a value for 'none'.
_KINDS = {str: "string", int: "Int64", float: "Float64"}


def latest_of(rows: list[Row]) -> list[Row]:
    """Of a task that a run measured twice, the last row."""
    return [*{(row["run"], key_of(row)): row for row in rows}.values()]


def frame_of(rows: list[Row]) -> pd.DataFrame:
    """`latest_of` rows as a table: a column each of `suite.rows.COLUMNS`."""
    latest = latest_of(rows)
    columns = {
        name: pd.array([row[name] for row in latest], dtype=_KINDS[kind])  # type: ignore[call-overload]
        for name, kind in COLUMNS.items()
    }
    return pd.DataFrame(columns)
