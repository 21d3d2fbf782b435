"""Scales, axes and marks of plots as SVG: widths in percent, so that text keeps its size on any screen."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np

__all__ = ["Plot", "Scale"]


@dataclass(frozen=True)
class Scale:
    """From values to percent of an axis.

    Attributes
    ----------
    low, high : float
        Ends of the axis.
    log : bool
        Whether equal factors have equal lengths.
    """

    low: float
    high: float
    log: bool = False

    @classmethod
    def over(cls, values: Iterable[float], *, log: bool = False, least: float | None = None) -> Scale:
        """A scale that has room for all values, and for ``least`` at its lower end if that is given."""
        known = [float(value) for value in values if math.isfinite(value) and (value > 0 or not log)]
        if not known:
            return cls(0.5 if log else 0.0, 2.0 if log else 1.0, log)
        low, high = min(known), max(known)
        if log:
            room = max(math.log(high / low) * 0.06, math.log(1.15))
            return cls(low * math.exp(-room), high * math.exp(room), True)
        room = 0.06 * (high - low) or 0.5 * abs(high) or 1.0
        return cls(low - room if least is None else least, high + room)

    def at(self, value: float) -> float:
        """Percent of the axis; beyond its ends what lies there."""
        if self.log:
            return 100 * math.log(max(value, 1e-300) / self.low) / math.log(self.high / self.low)
        return 100 * (value - self.low) / (self.high - self.low)

    def ticks(self, most: int = 6) -> list[float]:
        """Round values on the axis, some of them."""
        if not self.log:
            step = 10.0 ** math.floor(math.log10((self.high - self.low) / most))
            step *= next((each for each in (1, 2, 5, 10) if (self.high - self.low) / (step * each) <= most), 10)
            return [float(each) for each in np.arange(math.ceil(self.low / step), self.high / step + 1e-9) * step]
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for digits in ((1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8), (1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
            found = [each * 10.0**power for power in powers for each in digits]
            found = [each for each in found if self.low <= each <= self.high]
            if len(found) <= most:
                return found
        return found[:: math.ceil(len(found) / most)]


@dataclass
class Plot:
    """A plot that is drawn mark by mark.

    Attributes
    ----------
    x, y : Scale
    height : int
        Of the area of the marks, in pixels; its width is what the page has.
    x_label, y_label : str
        With units.
    said : str
        What it shows, for those who cannot see it.
    left : int
        Room for the labels of the vertical axis, in pixels.
    kind : str
        A further class of the element.
    """

    x: Scale
    y: Scale
    height: int
    x_label: str
    y_label: str
    said: str
    left: int = 56
    kind: str = ""
    parts: list[str] = field(default_factory=list)

    def down(self, value: float) -> str:
        """Pixels from the top."""
        return f"{self.height * (1 - self.y.at(value) / 100):.1f}"

    def along(self, value: float) -> str:
        """Percent from the left."""
        return f"{self.x.at(value):.2f}%"

    def grid(self, write_x: object, write_y: object = None, *, most: int = 6) -> Plot:
        """Lines and labels of both axes; of one whose writer is ``None`` nothing."""
        bottom = self.height
        if callable(write_x):
            for tick in self.x.ticks(most):
                x = self.along(tick)
                self.parts.append(f"<line class=g x1={x} x2={x} y1=0 y2={bottom} />")
                self.parts.append(f"<text x={x} y={bottom + 16} text-anchor=middle>{escape(write_x(tick))}</text>")
        if callable(write_y):
            for tick in self.y.ticks(5):
                y = self.down(tick)
                self.parts.append(f"<line class=g x1=0 x2=100% y1={y} y2={y} />")
                self.parts.append(f"<text x=-7 y={y} dy=.32em text-anchor=end>{escape(write_y(tick))}</text>")
        return self

    def names(self, names: Sequence[str], heights: Sequence[float]) -> Plot:
        """Words at the left in place of a scale."""
        for name, height in zip(names, heights, strict=True):
            self.parts.append(f"<text x=-8 y={height:.1f} dy=.32em text-anchor=end>{escape(name)}</text>")
        return self

    def add(self, part: str) -> Plot:
        """One element that is written already."""
        self.parts.append(part)
        return self

    def level(self, value: float, words: str = "") -> Plot:
        """A dashed horizontal line."""
        y = self.down(value)
        self.parts.append(f"<line class=ref x1=0 x2=100% y1={y} y2={y} />")
        if words:
            self.parts.append(f"<text class=note x=4 y={y} dy=-5>{escape(words)}</text>")
        return self

    def upright(self, value: float) -> Plot:
        """A dashed vertical line."""
        x = self.along(value)
        self.parts.append(f"<line class=ref x1={x} x2={x} y1=0 y2={self.height} />")
        return self

    def svg(self) -> str:
        """The whole element."""
        width = f"calc(100% - {self.left + 18}px)"
        label = f"<text class=axis x=50% y={self.height + 36} text-anchor=middle>{escape(self.x_label)}</text>"
        if self.y_label:
            label += f"<text class=axis x=-{self.left - 2} y=-12>{escape(self.y_label)}</text>"
        margin = f"{26 if self.y_label else 6}px 18px 46px {self.left}px"
        return (
            f'<svg class="plot {self.kind}" role=img aria-label="{escape(self.said)}" '
            f'style="width:{width};height:{self.height}px;margin:{margin}">'
            f"{''.join(self.parts)}{label}</svg>"
        )
