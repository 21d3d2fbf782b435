"""The history of stored runs as sections of a page: series with their change points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from suite.format import circumstances, span
from suite.history.series import LEAST_COMMITS, SERIES
from suite.report.html import html_figure, html_table
from suite.report.plots import history_figure
from suite.report.table import Column, Table

__all__ = ["changes_table", "history_html", "series_sentence"]

#: More panels cannot be looked at; so many if no series has changed.
_MOST_PANELS, _UNCHANGED = 24, 6

#: More changes than this are in the files alone.
_MOST_CHANGES = 200

_HOW = (
    "A panel per series: one problem, algorithm, number of threads and state of the caches on one machine. A point is "
    "a commit, lower is faster; the line is the median of each part, an upright line a change (optimal "
    "partitioning of the logarithm of the time)."
)


def history_html(points: Mapping[tuple[object, ...], pd.Series], series: pd.DataFrame, changes: pd.DataFrame) -> str:
    """Panels of the series that changed, the largest change first, or of the longest if none did; and all changes.

    Parameters
    ----------
    points : mapping
        What `suite.history.series.series_points` returns.
    series, changes : DataFrame
        What `suite.history.series.find_changes` says of them.
    """
    of_series = {tuple(key): part for key, part in changes.groupby(list(SERIES), sort=False)}
    shown = list(of_series)[:_MOST_PANELS] or sorted(points, key=lambda key: -len(points[key]))[:_UNCHANGED]
    panels = []
    for key in shown:
        named = dict(zip(SERIES, key, strict=True))
        cuts = [] if key not in of_series else [str(commit) for commit in of_series[key]["commit"]]
        panels.append(html_figure(history_figure(named, points[key], cuts, _title(named))))
    table = changes_table(changes.head(_MOST_CHANGES))
    return (
        f"<p class=how>{_HOW}</p><p>{series_sentence(series)}</p>{''.join(panels)}"
        f"{html_table(table) if len(changes) else ''}"
    )


def changes_table(changes: pd.DataFrame) -> Table:
    """A line per change, as `suite.history.series.find_changes` orders them."""
    lines = changes.assign(
        where=[
            circumstances(threads, cache) for threads, cache in zip(changes["threads"], changes["cache"], strict=True)
        ]
    )
    columns = (
        Column("commit", "commit", lambda value: str(value)[:10], words=True),
        Column("problem", "problem", words=True),
        Column("algorithm", "algorithm", words=True),
        Column("where", "circumstances", words=True, spare=2),
        Column("before_s", "before", span, spare=1),
        Column("after_s", "after", span, spare=1),
        Column("ratio", "after / before", lambda value: f"{value:.3f} {'slower' if value > 1 else 'faster'}"),
        Column("source", "measured by", words=True, spare=3),
        Column("machine", "machine", words=True, spare=4),
    )
    return Table("Changes, the largest first", columns, lines)


def series_sentence(series: pd.DataFrame) -> str:
    """How many series changed, did not, and cannot tell."""
    told = series["changes"].dropna()
    short = len(series) - len(told)
    text = f"{len(series)} series: {int((told > 0).sum())} changed, {int((told == 0).sum())} did not"
    return text + (f", {short} of fewer than {LEAST_COMMITS} commits cannot tell." if short else ".")


def _title(named: Mapping[str, Any]) -> str:
    said = circumstances(int(named["threads"]), str(named["cache"]))
    return f"{named['algorithm']} on {named['problem']}, {said} ({named['source']})"
