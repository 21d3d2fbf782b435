"""Pictures of speed against error: a point a contender, with its name beside it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from suite.report.tradeoff import Point, Tradeoff

__all__ = ["draw_tradeoff", "draw_tradeoffs"]

#: Half of the side of the square that a point takes, and how far from it its name may stand; in points.
_POINT = 5.0
_DISTANCES = (9.0, 18.0, 30.0, 45.0, 65.0, 90.0)

#: In which directions; the nearest that is free is taken, the first ones first.
_DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))


def draw_tradeoffs(found: Sequence[Tradeoff], folder: Path) -> list[Path]:
    """Draw a PNG of each.

    Returns
    -------
    list of Path
    """
    written = []
    for each in found:
        path = folder / f"speed-error-{each.threads}t{'-cold' if each.cache == 'cold' else ''}.png"
        FigureCanvasAgg(draw_tradeoff(each)).print_png(path)
        written.append(path)
    return written


def draw_tradeoff(tradeoff: Tradeoff) -> Figure:
    """Up is faster, left is more accurate; other libraries are hollow."""
    figure = Figure(figsize=(9, 6.5), dpi=120)
    axes = figure.add_subplot()
    for point in tradeoff.points:
        color, face = _colors(point)
        axes.plot([point.error], [point.speed], "o", color=color, markerfacecolor=face)
    errors, speeds = zip(*((point.error, point.speed) for point in tradeoff.points), strict=True)
    # Room for names at both sides.
    axes.set_xlim(min(errors) / 2.5, 2.5 * max(errors))
    axes.set_ylim(min(*speeds, 1) / 1.5, 1.5 * max(*speeds, 1))
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.axhline(1, color="black", linewidth=0.8, linestyle="--")
    axes.grid(True, which="both", alpha=0.25)
    axes.set_xlabel("relative L2 error against float64 (geometric mean over layers)")
    axes.set_ylabel(f"speed, in times of {tradeoff.reference}")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_title(tradeoff.title)
    figure.tight_layout()
    _write_names(axes, tradeoff.points)
    return figure


def _colors(point: Point) -> tuple[str, str]:
    """Of a contender's mark and name, and inside of the mark."""
    return ("C1", "none") if point.peer else ("C0", "C0")


def _write_names(axes: Axes, points: Sequence[Point]) -> None:
    """Each name where it covers no other one and no point; one that is not right beside its point has a line to it."""
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    scale = figure.dpi / 72
    middles = [axes.transData.transform((point.error, point.speed)) for point in points]
    taken = [_box(x, y, 2 * _POINT * scale, 2 * _POINT * scale) for x, y in middles]
    for point, (x, y) in zip(points, middles, strict=True):
        offset: dict[str, Any] = {"xy": (point.error, point.speed), "textcoords": "offset points"}
        text = axes.annotate(
            point.name, xytext=(0, 0), ha="center", va="center", fontsize=8, color=_colors(point)[0], **offset
        )
        size = text.get_window_extent(canvas.get_renderer())
        for distance, (right, up) in itertools.product(_DISTANCES, _DIRECTIONS):
            # From the point to the nearest edge of the name, then on to its middle.
            dx, dy = (way * (distance * scale + half) for way, half in ((right, size.width / 2), (up, size.height / 2)))
            box = _box(x + dx, y + dy, size.width, size.height)
            if _inside(box, axes.bbox) and not any(box.overlaps(other) for other in taken):
                break
        taken.append(box)
        text.set_position((dx / scale, dy / scale))
        if distance > _DISTANCES[0] or (right and up):
            line = {"arrowstyle": "-", "color": "grey", "linewidth": 0.6, "shrinkA": 0, "shrinkB": 3}
            axes.annotate("", xytext=(right * distance, up * distance), arrowprops=line, **offset)


def _box(x: float, y: float, width: float, height: float) -> Bbox:
    return Bbox.from_bounds(x - width / 2, y - height / 2, width, height)


def _inside(box: Bbox, frame: Bbox) -> bool:
    return bool(box.x0 >= frame.x0 and box.x1 <= frame.x1 and box.y0 >= frame.y0 and box.y1 <= frame.y1)
