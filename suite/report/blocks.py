"""What fusing comes to: our fused blocks compared with PyTorch, ONNX Runtime and the same layers one by one."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from suite.contenders import onnxruntime, ours, torch
from suite.format import factor, percent, span
from suite.report.comparisons import gmean
from suite.report.table import Column, Table, records

__all__ = ["block_dicts", "block_tables"]

_NOTE = (
    "Ours fused compared with others: the median over pairs of processes of their time by its time, above 1 is faster; "
    "of PyTorch's ways to be used, eager in NCHW and the better one of that and channels_last. "
    "% of limit counts the multiply-adds of the convolutions. A comparison is left out if one of both is wrong or "
    "mistrusted."
)

#: Who fused blocks are compared with, by heading: the best of them if there are several.
_OTHERS = {
    "vs PyTorch NCHW": (torch.NCHW,),
    "vs best PyTorch": (torch.NCHW, torch.CHANNELS_LAST),
    "vs ONNX Runtime": (onnxruntime.GRAPH,),
    "vs unfused": (ours.UNFUSED,),
}


def block_tables(frame: pd.DataFrame) -> list[Table]:
    """A table per circumstances; none if no block was timed fused."""
    columns = (
        Column("block", "block", words=True),
        Column("problem", "problem", words=True, spare=1),
        Column("time_s", "time", span),
        Column("pct", "% of limit", percent),
        *(Column(name, name, factor) for name in _OTHERS),
    )
    tables = []
    for said, met in _met(frame):
        lines = met.assign(problem=met["problem"].where(met["problem"] != met["block"]))
        found = ", ".join(
            f"{name.removeprefix('vs ')} {factor(each['geometric_mean'])} (worst {factor(each['least'])} on "
            f"{each['where']}, {each['blocks']} blocks)"
            for name, each in _comparisons(met).items()
            if each["blocks"]
        )
        after = (f"Geometric means over blocks: {found}.",) if found else ()
        tables.append(Table(f"Fused blocks, {said}", columns, lines, _NOTE, after))
    return tables


def block_dicts(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The same in types that JSON knows."""
    return [
        {
            "circumstances": said,
            "comparisons": _comparisons(met),
            "blocks": [
                {name: value for name, value in line.items() if not (name.startswith("vs ") and _missing(value))}
                for line in records(met.rename(columns={"pct": "pct_of_limit"}))
            ],
        }
        for said, met in _met(frame)
    ]


def _met(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """By circumstances, a line per block: its fused time, and how many times as fast that is as each of `_OTHERS`."""
    fused = frame.loc[frame["algorithm"] == ours.FUSED, "problem"]
    # Peers alone have no fused block that they could be compared with.
    own = frame[frame["problem"].isin(fused)]
    return [
        (str(said), pd.DataFrame([_line(rows) for _, rows in part.groupby(["layer", "problem"], sort=False)]))
        for said, part in own.groupby("circumstances", sort=False)
    ]


def _line(rows: pd.DataFrame) -> dict[str, Any]:
    ok = {str(row["algorithm"]): row for row in rows[rows["status"] == "ok"].to_dict("records")}
    fused = ok.get(ours.FUSED)
    line: dict[str, Any] = {
        "block": rows["layer"].iloc[0],
        "problem": rows["problem"].iloc[0],
        "time_s": fused["time_s"] if fused else None,
        "pct": fused["pct_of_peak"] if fused else None,
    }
    for heading, names in _OTHERS.items():
        found = [_speedup(ok[name], fused) for name in names if name in ok and fused]
        line[heading] = min(found) if found else None
    return line


def _speedup(other: dict[Any, Any], fused: dict[Any, Any]) -> float:
    """By pairs of processes if they were compared so, else by times."""
    paired = other["reference"] == ours.FUSED and not _missing(other["ratio"])
    return float(other["ratio"] if paired else other["time_s"] / fused["time_s"])


def _comparisons(met: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Of all blocks in which both are right: geometric mean, least, and on which; ``None`` without any."""
    found = {}
    for name in _OTHERS:
        own = met.set_index("block")[name].dropna().astype(float)
        none = own.empty
        found[name] = {
            "blocks": len(own), "geometric_mean": None if none else gmean(own),
            "least": None if none else float(own.min()), "where": None if none else own.idxmin(),
        }  # fmt: skip
    return found


def _missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))
