"""The picture of a history: a panel a series, a point a commit, a step where it changed."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from suite.history.series import SERIES

__all__ = ["MOST_PANELS", "draw_history", "save_history"]

#: A picture of more panels cannot be looked at.
MOST_PANELS = 24

#: Panels where no series has changed.
_UNCHANGED = 6


def save_history(points: dict[tuple[object, ...], pd.Series], changes: pd.DataFrame, path: Path) -> None:
    """Draw into a PNG file.

    Raises
    ------
    OSError
        It cannot be written.
    """
    FigureCanvasAgg(draw_history(points, changes)).print_png(path)


def draw_history(points: dict[tuple[object, ...], pd.Series], changes: pd.DataFrame) -> Figure:
    """The series that changed, the largest change first, at most `MOST_PANELS`; the longest few where none did.

    Parameters
    ----------
    points : dict
        What `suite.history.series.series_points` returns; at least one series.
    changes : DataFrame
        What `suite.history.series.find_changes` says of them.
    """
    of_series = {tuple(key): part for key, part in changes.groupby(list(SERIES), sort=False)}
    shown = list(of_series)[:MOST_PANELS] or sorted(points, key=lambda key: -len(points[key]))[:_UNCHANGED]
    figure = Figure(figsize=(9, 2.4 * len(shown)), dpi=100, layout="constrained")
    panels = figure.subplots(len(shown), 1, squeeze=False)[:, 0]
    for axes, key in zip(panels, shown, strict=True):
        _panel(axes, key, points[key], of_series.get(key))
    return figure


def _panel(axes: Axes, key: tuple[object, ...], seconds: pd.Series, changes: pd.DataFrame | None) -> None:
    named = dict(zip(SERIES, key, strict=True))
    commits = [str(commit) for commit in seconds.index]
    names = [commit[:8] for commit in commits]
    times = seconds.to_numpy() * 1e3
    axes.plot(np.arange(len(times)), times, "o", markersize=3.5, color="C0")
    cuts = [] if changes is None else sorted(commits.index(commit) for commit in changes["commit"])
    for start, end in itertools.pairwise([0, *cuts, len(times)]):
        axes.plot([start - 0.4, end - 0.6], [float(np.median(times[start:end]))] * 2, color="C3")
    for cut in cuts:
        axes.axvline(cut - 0.5, color="C3", linestyle=":", linewidth=1)
        axes.annotate(names[cut], (cut - 0.4, 1), xycoords=("data", "axes fraction"), va="top", fontsize=8, color="C3")
    step = max(1, len(names) // 12)
    axes.set_xticks(range(0, len(names), step), names[::step], fontsize=7, rotation=30, ha="right")
    axes.set_ylabel("ms", fontsize=8)
    axes.set_ylim(0, 1.15 * times.max())
    axes.tick_params(axis="y", labelsize=8)
    axes.grid(True, alpha=0.3)
    threads = f"{named['threads']} thread{'' if named['threads'] == 1 else 's'}"
    cache = "" if named["cache"] == "warm" else f", {named['cache']} caches"
    title = f"{named['algorithm']} on {named['problem']}, {threads}{cache} ({named['source']})\n{named['machine']}"
    axes.set_title(title, fontsize=8, loc="left")
