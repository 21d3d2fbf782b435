"""Made-up rows for tests of reports."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from suite.report.load import tidy, together
from suite.results.rows import COLUMNS, LATER_COLUMNS, Row

__all__ = ["OTHER", "TEXT", "frame_of", "peer", "row"]

TEXT = "ic64ih56oc64kh3ph1"
OTHER = "ic8ih16oc8kh3ph1"


def row(algorithm: str, time_s: float | None, **changes: Any) -> Row:
    """A row of one of ours."""
    values = dict.fromkeys(COLUMNS) | LATER_COLUMNS | {
        "run": "r", "machine": "m", "network": "net", "layer": "one", "occurs": 3, "problem": TEXT,
        "algorithm": algorithm, "family": "direct", "threads": 1, "status": "ok", "reason": "", "time_s": time_s,
    }  # fmt: skip
    if time_s is not None:
        values |= {"useful_gflops": 1 / time_s, "pct_of_peak": 5 / time_s, "rel_error": 1e-7, "workspace_bytes": 2048}
    return {**values, **changes}


def peer(name: str, time_s: float | None, **changes: Any) -> Row:
    """A row of another library."""
    return row(name, time_s, **{"family": "peer", "library": name.title(), "version": "1.2", **changes})


def frame_of(rows: Iterable[Row]) -> pd.DataFrame:
    """Rows of one run as reports have them."""
    return together([tidy(rows)])
