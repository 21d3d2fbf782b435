"""What fusing comes to: our fused blocks beside PyTorch, ONNX Runtime and the same layers one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
from scipy.stats import gmean

from suite.contenders import onnxruntime, ours, torch
from suite.format import factor, percent, span
from suite.report.groups import LAYER, circumstances, groups
from suite.results.rows import Row

__all__ = ["BLOCKS_NOTE", "BlockTable", "block_tables"]

BLOCKS_NOTE = (
    "Ours fused against others: the median over pairs of processes of their time by its time, above 1 is ahead; "
    "of PyTorch's ways to be used, eager in NCHW and the better one of that and channels_last. "
    "% of limit counts the multiply-adds of the convolutions. A comparison is left out where one of both is wrong or "
    "mistrusted."
)

#: Who fused blocks are compared with, by heading: the best of them where there are several.
_OTHERS = {
    "vs PyTorch NCHW": (torch.NCHW,),
    "vs best PyTorch": (torch.NCHW, torch.CHANNELS_LAST),
    "vs ONNX Runtime": (onnxruntime.GRAPH,),
    "vs unfused": (ours.UNFUSED,),
}


@dataclass(frozen=True)
class _Met:
    """One block: its fused time, and how many times as fast that is as each of `_OTHERS` that is right."""

    name: str
    problem: str
    time_s: float | None
    pct_of_peak: float | None
    speedups: dict[str, float]


@dataclass(frozen=True)
class BlockTable:
    """All blocks with one number of threads and one state of the caches."""

    threads: int
    cache: str
    blocks: tuple[_Met, ...]

    @property
    def title(self) -> str:
        """One line that names it."""
        return f"Fused blocks, {circumstances(self.threads, self.cache)}"

    @property
    def headings(self) -> tuple[str, ...]:
        """The name of each column."""
        return "block", "problem", "time", "% of limit", *_OTHERS

    @property
    def lines(self) -> tuple[tuple[str, ...], ...]:
        """A line a block, and for each comparison of how many blocks it is, its mean and its least."""
        lines = [
            (each.name, "" if each.problem == each.name else each.problem, span(each.time_s), percent(each.pct_of_peak),
             *(factor(each.speedups.get(name)) for name in _OTHERS))
            for each in self.blocks
        ]  # fmt: skip
        found = [self.comparison(name) for name in _OTHERS]
        ends = (
            ("blocks compared", (str(each["blocks"]) for each in found)),
            ("geometric mean", (factor(each["geometric_mean"]) for each in found)),
            ("least", (factor(each["least"]) for each in found)),
            ("least on", (each["where"] or "" for each in found)),
        )
        return *lines, *((words, "", "", "", *cells) for words, cells in ends)

    def comparison(self, name: str) -> dict[str, Any]:
        """Of all blocks in which both are right: geometric mean, least, and where that is; ``None`` without any."""
        found = {each.name: each.speedups[name] for each in self.blocks if name in each.speedups}
        if not found:
            return {"blocks": 0, "geometric_mean": None, "least": None, "where": None}
        worst = min(found, key=lambda block: found[block])
        mean = float(gmean([*found.values()]))
        return {"blocks": len(found), "geometric_mean": mean, "least": found[worst], "where": worst}

    def as_dict(self) -> dict[str, Any]:
        """Everything, in types that JSON knows."""
        blocks = [
            {"block": each.name, "problem": each.problem, "time_s": each.time_s, "pct_of_limit": each.pct_of_peak,
             **each.speedups}
            for each in self.blocks
        ]  # fmt: skip
        comparisons = {name: self.comparison(name) for name in _OTHERS}
        return {"threads": self.threads, "cache": self.cache, "comparisons": comparisons, "blocks": blocks}


def block_tables(frame: pd.DataFrame) -> list[BlockTable]:
    """A table for each number of threads and state of the caches; none where no block was timed."""
    own = frame[frame["algorithm"].isin([ours.FUSED])]
    # Peers alone have no fused block that they could be compared with.
    return [
        BlockTable(
            int(part["threads"].iloc[0]),
            str(part["cache"].iloc[0]),
            tuple(_met(rows) for rows in groups(part, LAYER)),
        )
        for _, part in frame[frame["problem"].isin(own["problem"])].groupby(["threads", "cache"], sort=False)
    ]


def _met(rows: list[Row]) -> _Met:
    right = {row["algorithm"]: row for row in rows if row["status"] == "ok"}
    fused = right.get(ours.FUSED)
    speedups = {}
    for heading, names in _OTHERS.items():
        found = [_speedup(right[name], fused) for name in names if name in right and fused]
        if found:
            speedups[heading] = min(found)
    time_s, pct = (fused[name] if fused else None for name in ("time_s", "pct_of_peak"))
    return _Met(rows[0]["layer"], rows[0]["problem"], time_s, pct, speedups)


def _speedup(other: Row, fused: Row) -> float:
    """By pairs of processes where they were compared so, else by times."""
    paired = other["reference"] == ours.FUSED and other["ratio"] is not None
    return float(other["ratio"] if paired else other["time_s"] / fused["time_s"])
