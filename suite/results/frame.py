"""Rows as a table of pandas."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from suite.results.rows import COLUMNS, Row, latest_of

__all__ = ["frame_of"]

#: Kinds of columns in pandas; each of them has a value for 'none'.
_KINDS = {str: "string", int: "Int64", float: "Float64"}


def frame_of(rows: Iterable[Row]) -> pd.DataFrame:
    """`latest_of` rows as a table with the columns `suite.results.rows.COLUMNS`."""
    latest = latest_of(rows)
    columns = {
        name: pd.array([row[name] for row in latest], dtype=_KINDS[kind])  # type: ignore[call-overload]
        for name, kind in COLUMNS.items()
    }
    return pd.DataFrame(columns)
