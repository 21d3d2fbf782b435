"""Pictures: one a network, number of threads and state of the caches, a point a contender on each layer."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from suite.report.groups import CIRCUMSTANCES, circumstances, display_name

__all__ = ["draw", "draw_all"]

_MARKERS = "osD^vP*Xph<>"


def draw_all(frame: pd.DataFrame, folder: Path) -> list[Path]:
    """Draw a PNG for each network, number of threads and state of the caches that has a right result.

    Returns
    -------
    list of Path
    """
    written, order = [], list(dict.fromkeys(_names(frame)))
    right = frame[frame["status"] == "ok"]
    for _, part in right.groupby(CIRCUMSTANCES, sort=False):
        network, threads, cache = (part.iloc[0][name] for name in CIRCUMSTANCES)
        path = folder / f"{network}-{threads}t{'-cold' if cache == 'cold' else ''}.png"
        title = f"{network}, {circumstances(threads, cache)}"
        FigureCanvasAgg(draw(part, title, order)).print_png(path)
        written.append(path)
    return written


def draw(part: pd.DataFrame, title: str, order: list[str]) -> Figure:
    """Speed of every contender, layers from top to bottom; those of other libraries are hollow.

    In % of the limit where every row has one, in GFLOP/s otherwise: rows that were read
    from elsewhere come without a limit. ``order`` is of all contenders of the report, so that
    each has the same colour in every picture.
    """
    column, label = "pct_of_peak", "useful speed, % of the measured multiply-add limit"
    if part[column].isna().any():
        column, label = "useful_gflops", "useful GFLOP/s"
    layers = list(dict.fromkeys(part["layer"]))
    figure = Figure(figsize=(9, 1.6 + 0.32 * len(layers)), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    names = _names(part)
    for i, name in enumerate(order):
        if name not in names:
            continue
        rows = part[[each == name for each in names]]
        axes.plot(
            rows[column].astype(float).tolist(),
            [layers.index(layer) for layer in rows["layer"]],
            linestyle="none",
            marker=_MARKERS[i % len(_MARKERS)],
            color=f"C{i % 10}",
            markerfacecolor="none" if (rows["family"] == "peer").all() else None,
            alpha=0.85,
            label=name,
        )
    if column == "pct_of_peak":
        axes.axvline(100, color="black", linewidth=0.8, linestyle="--")
    axes.set_yticks(range(len(layers)), layers, fontsize=8)
    axes.set_ylim(len(layers) - 0.5, -0.5)
    axes.set_xlim(left=0)
    axes.grid(True, alpha=0.3)
    axes.set_xlabel(label)
    axes.set_title(title)
    figure.legend(loc="outside lower center", ncols=4, fontsize=8)
    return figure


def _names(frame: pd.DataFrame) -> list[str]:
    return [display_name(*each) for each in zip(frame["algorithm"], frame["source"], frame["run"], strict=True)]
