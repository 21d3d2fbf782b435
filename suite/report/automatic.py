"""What ``auto`` is worth to somebody who would otherwise use a library: its time beside each of theirs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import gmean

from suite.format import factor
from suite.report.groups import circumstances, groups, is_peer, single_convolutions

__all__ = ["AUTOMATIC_HEADINGS", "AutomaticTable", "automatic_tables"]

AUTOMATIC_HEADINGS = ("beside", "layers", "auto is ahead by", "least", "where", "ahead on")

#: Of every layer the fastest one who is right.
_BEST = "best peer of each layer"


@dataclass(frozen=True)
class AutomaticTable:
    """All layers with one number of threads and one state of the caches: a line for the best peer, and for each."""

    title: str
    lines: tuple[tuple[str, ...], ...]


def automatic_tables(frame: pd.DataFrame) -> list[AutomaticTable]:
    """A table for each number of threads and state of the caches in which ``auto`` met a peer.

    A problem that several networks have counts once.
    """
    tables = []
    for _, part in single_convolutions(frame).groupby(["threads", "cache"], sort=False):
        speedups: dict[str, dict[str, float]] = {}
        for rows in groups(part, ["problem"]):
            right = [row for row in rows if row["status"] == "ok"]
            auto = next((row for row in right if row["family"] == "auto"), None)
            for row in right:
                if auto is not None and is_peer(row):
                    # By time: the first of a layer is its best peer.
                    for name in (_BEST, row["algorithm"]):
                        speedups.setdefault(name, {}).setdefault(row["problem"], row["time_s"] / auto["time_s"])
        if speedups:
            where = circumstances(int(part["threads"].iloc[0]), str(part["cache"].iloc[0]))
            lines = tuple(_line(name, speedups[name]) for name in (_BEST, *sorted(speedups.keys() - {_BEST})))
            tables.append(AutomaticTable(f"What auto is worth, {where}", lines))
    return tables


def _line(name: str, by_problem: dict[str, float]) -> tuple[str, ...]:
    speedups = np.array(list(by_problem.values()))
    mean = factor(float(gmean(speedups)))
    worst = min(by_problem, key=lambda problem: by_problem[problem])
    ahead = f"{int((speedups > 1).sum())} of {speedups.size}"
    return name, str(speedups.size), mean, factor(by_problem[worst]), worst, ahead
