"""What it comes to by kind of layer: against the best peer of each layer, and against every single library."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import gmean

from kernels import Conv2dProblem
from suite.format import factor, percent
from suite.report.groups import circumstances, groups, is_peer, single_convolutions

__all__ = ["KIND_HEADINGS", "KindTable", "kind_of", "kind_tables"]

KIND_HEADINGS = ("kind of layer", "layers", "vs best peer", "least", "where", "ahead on", "% of limit")

#: Libraries are compared one by one where they did at least so many of the layers.
_MOST = 0.5


@dataclass(frozen=True)
class KindTable:
    """Kinds of layers with one number of threads and one state of the caches."""

    title: str
    headings: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]


def kind_of(p: Conv2dProblem) -> str:
    """What sort of convolution a problem is, as far as different kernels are fast at it."""
    if p.g > 1:
        return "depthwise" if p.g == p.ic else "grouped"
    if p.ic <= 4:
        return "few input channels"
    if (p.dh, p.dw) != (1, 1):
        return "dilated"
    if (p.kh, p.kw) == (1, 1):
        return "1x1" if (p.sh, p.sw) == (1, 1) else "1x1 strided"
    if (p.sh, p.sw) != (1, 1):
        return "strided"
    if (p.kh, p.kw) == (3, 3):
        side = max(p.oh, p.ow)
        return f"3x3, maps {'below 14' if side < 14 else 'of 150 and more' if side >= 150 else '14 to 149'}"
    return "one-dimensional" if 1 in (p.kh, p.kw) else "larger kernels"


@dataclass(frozen=True)
class _Met:
    """A layer that one of ours and a peer computed: seconds of the fastest of both and of each library."""

    problem: Conv2dProblem
    ours_s: float
    libraries_s: dict[str, float]
    pct_of_peak: float | None

    @property
    def speedup(self) -> float:
        return min(self.libraries_s.values()) / self.ours_s


def kind_tables(frame: pd.DataFrame) -> list[KindTable]:
    """A table for each number of threads and state of the caches; none where no peer was timed.

    A problem that several networks have counts once. Blocks have a table of their own.
    """
    tables = []
    for _, part in single_convolutions(frame).groupby(["threads", "cache"], sort=False):
        met = list(_met(part))
        if not met:
            continue
        libraries = [
            name
            for name in dict.fromkeys(name for each in met for name in each.libraries_s)
            if sum(name in each.libraries_s for each in met) >= _MOST * len(met)
        ]
        kinds: dict[str, list[_Met]] = {}
        for each in met:
            kinds.setdefault(kind_of(each.problem), []).append(each)
        lines = [_line(kind, kinds[kind], libraries) for kind in sorted(kinds)]
        if len(kinds) > 1:
            lines.append(_line("all", met, libraries))
        where = circumstances(int(part["threads"].iloc[0]), str(part["cache"].iloc[0]))
        headings = (*KIND_HEADINGS, *(f"vs {name}" for name in libraries))
        tables.append(KindTable(f"By kind of layer, {where}", headings, tuple(lines)))
    return tables


def _met(part: pd.DataFrame) -> Iterator[_Met]:
    for rows in groups(part, ["problem"]):
        right = [row for row in rows if row["status"] == "ok"]
        ours = [row for row in right if not is_peer(row) and row["family"] != "auto"]
        libraries: dict[str, float] = {}
        for row in right:
            if is_peer(row):
                libraries.setdefault(row["library"], row["time_s"])
        if ours and libraries:
            yield _Met(Conv2dProblem.parse(ours[0]["problem"]), ours[0]["time_s"], libraries, ours[0]["pct_of_peak"])


def _line(kind: str, met: list[_Met], libraries: list[str]) -> tuple[str, ...]:
    speedups = [each.speedup for each in met]
    worst = met[int(np.argmin(speedups))]
    shares = [each.pct_of_peak for each in met if each.pct_of_peak is not None]
    return (
        kind,
        str(len(met)),
        factor(_mean(speedups)),
        factor(min(speedups)),
        str(worst.problem),
        f"{sum(each > 1 for each in speedups)} of {len(met)}",
        percent(_mean(shares) if shares else None),
        *(
            factor(_mean([each.libraries_s[name] / each.ours_s for each in met if name in each.libraries_s]))
            for name in libraries
        ),
    )


def _mean(values: list[float]) -> float | None:
    """Geometric: of ratios, twice as fast and half as fast come to the same."""
    return float(gmean(values)) if values else None
