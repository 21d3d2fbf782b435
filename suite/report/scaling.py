"""What more threads bring: the time of each contender on one thread by its time on several."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from suite.format import factor
from suite.report.groups import groups, name_of

__all__ = ["SCALING_HEADINGS", "ScalingTable", "scaling_tables"]

#: Seconds on one thread from which on what threads cost to start does not count.
LONG_S = 1e-3

SCALING_HEADINGS = (
    "algorithm",
    "layers of 1 ms and more",
    "speedup",
    "least",
    "where",
    "shorter layers",
    "their speedup",
)


@dataclass(frozen=True)
class ScalingTable:
    """Every contender that was timed on one thread and on ``threads``."""

    title: str
    lines: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class _Pair:
    """One contender on one layer."""

    problem: str
    one_s: float
    several_s: float

    @property
    def speedup(self) -> float:
        return self.one_s / self.several_s


def scaling_tables(frame: pd.DataFrame) -> list[ScalingTable]:
    """A table for each number of threads above one, warm caches; a problem that several networks have counts once."""
    warm = frame[(frame["status"] == "ok") & (frame["cache"] == "warm")].drop_duplicates(
        ["problem", "algorithm", "threads"]
    )
    single = warm[warm["threads"] == 1].set_index(["problem", "algorithm"])["time_s"]
    tables = []
    for threads, part in warm[warm["threads"] > 1].groupby("threads"):
        pairs: dict[str, list[_Pair]] = {}
        for [row] in groups(part, ["problem", "algorithm", "threads"]):
            key = (row["problem"], row["algorithm"])
            if key in single.index:
                pairs.setdefault(name_of(row), []).append(_Pair(row["problem"], float(single[key]), row["time_s"]))
        if pairs:
            lines = tuple(_line(name, pairs[name]) for name in sorted(pairs))
            tables.append(ScalingTable(f"{threads} threads beside one", lines))
    return tables


def _line(name: str, pairs: list[_Pair]) -> tuple[str, ...]:
    long = [each for each in pairs if each.one_s >= LONG_S]
    short = [each for each in pairs if each.one_s < LONG_S]
    worst = min(long, key=lambda each: each.speedup, default=None)
    return (
        name,
        str(len(long)),
        factor(_mean(long)),
        factor(worst.speedup if worst else None),
        worst.problem if worst else "",
        str(len(short)),
        factor(_mean(short)),
    )


def _mean(pairs: list[_Pair]) -> float | None:
    """Geometric."""
    return float(np.exp(np.mean([np.log(each.speedup) for each in pairs]))) if pairs else None
