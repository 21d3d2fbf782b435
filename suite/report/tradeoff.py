"""Speed against error: what each contender's arithmetic costs, over all layers of a report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import gmean

from suite.format import factor, scientific
from suite.report.groups import circumstances, groups, is_peer, name_of
from suite.results.rows import Row

__all__ = ["TRADEOFF_HEADINGS", "Point", "Tradeoff", "tradeoffs"]

TRADEOFF_HEADINGS = ("contender", "layers", "error", "largest error", "speed")

#: Whom speeds are relative to where no peer is right.
_DIRECT = "direct_tiled"

#: An error that is drawn for none: half a rounding of float32; nothing has no logarithm.
_NO_ERROR = 2.0**-25


@dataclass(frozen=True)
class Point:
    """One contender over all the layers on which it and the reference are right.

    Attributes
    ----------
    name : str
    peer : bool
    layers : int
        How many, each shape once.
    error, largest_error : float
        Relative L2 error against float64: geometric mean over layers, and the worst of them.
    speed : float
        In times of the reference's: geometric mean over layers.
    """

    name: str
    peer: bool
    layers: int
    error: float
    largest_error: float
    speed: float

    @property
    def cells(self) -> tuple[str, ...]:
        """A cell each of `TRADEOFF_HEADINGS`."""
        errors = scientific(self.error), scientific(self.largest_error)
        return self.name, str(self.layers), *errors, factor(self.speed)


@dataclass(frozen=True)
class Tradeoff:
    """All contenders with one number of threads and one state of the caches, the fastest first."""

    threads: int
    cache: str
    reference: str
    layers: int
    points: tuple[Point, ...]

    @property
    def title(self) -> str:
        """One line that names it."""
        return f"Speed against error, {circumstances(self.threads, self.cache)}"

    @property
    def lines(self) -> tuple[tuple[str, ...], ...]:
        """A line a contender."""
        return tuple(point.cells for point in self.points)

    @property
    def note(self) -> str:
        """What the numbers are."""
        return (
            f"geometric means over the layers on which a contender is right, each shape once, {self.layers} at most; "
            f"speed in times of {self.reference}"
        )


def tradeoffs(frame: pd.DataFrame) -> list[Tradeoff]:
    """One for each number of threads and state of the caches in which an error was measured.

    Speeds are relative to the best peer of each layer; where no peer is right on any, to
    ``direct_tiled``, and without that to the fastest of each layer. Layers without the reference
    are left out.
    """
    found = []
    for _, part in frame.groupby(["threads", "cache"], sort=False):
        layers = [_right(rows) for rows in groups(part, ["problem"])]
        reference, references = _reference(layers)
        points = _points([(rows, best) for rows, best in zip(layers, references, strict=True) if best is not None])
        if points:
            threads, cache = int(part["threads"].iloc[0]), str(part["cache"].iloc[0])
            most = sum(best is not None for best in references)
            found.append(Tradeoff(threads, cache, reference, most, tuple(points)))
    return found


def _right(rows: list[Row]) -> list[Row]:
    """A layer's right rows, the fastest first; a layer that several networks have counts once."""
    by_name: dict[str, Row] = {}
    for row in rows:
        if row["status"] == "ok":
            by_name.setdefault(name_of(row), row)
    return [*by_name.values()]


def _reference(layers: list[list[Row]]) -> tuple[str, list[float | None]]:
    """Whom speeds are relative to, and the seconds of each layer."""
    kinds: tuple[tuple[str, Callable[[Row], bool]], ...] = (
        ("the best peer of each layer", is_peer),
        (_DIRECT, lambda row: bool(row["algorithm"] == _DIRECT)),
        ("the fastest of each layer", lambda row: True),
    )
    found: tuple[str, list[float | None]] = "", []
    for name, has in kinds:
        found = name, [next((float(row["time_s"]) for row in rows if has(row)), None) for rows in layers]
        if any(found[1]):
            break
    return found


def _points(layers: list[tuple[list[Row], float]]) -> list[Point]:
    met: dict[str, list[tuple[Row, float]]] = {}
    for rows, best_s in layers:
        for row in rows:
            if row["rel_error"] is not None:
                met.setdefault(name_of(row), []).append((row, best_s / row["time_s"]))
    points = []
    for name, own in met.items():
        errors = np.array([row["rel_error"] for row, _ in own], float)
        speeds = np.array([speed for _, speed in own])
        points.append(
            Point(
                name,
                is_peer(own[0][0]),
                len(own),
                float(gmean(np.maximum(errors, _NO_ERROR))),
                float(errors.max()),
                float(gmean(speeds)),
            )
        )
    return sorted(points, key=lambda point: -point.speed)
