"""A table a layer: every contender on it, with all that was found out about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from suite.format import factor, interval, number, percent, ratio, scientific, size, span
from suite.report.groups import LAYER, circumstances, groups, is_peer, name_of
from suite.results.rows import Row

__all__ = ["LayerTable", "Line", "layer_tables"]

#: Every column by its heading: how a row's cell is made.
_CELLS: dict[str, Callable[[Row], str]] = {
    "algorithm": name_of,
    "version": lambda row: (row["version"] or "") if is_peer(row) else "",
    "status": lambda row: row["status"],
    "time": lambda row: span(row["time_s"]),
    "min": lambda row: span(row["time_min_s"]),
    "spread": lambda row: "" if row["time_spread"] is None else f"{100 * row['time_spread']:.1f} %",
    "useful GFLOP/s": lambda row: number(row["useful_gflops"]),
    "% of limit": lambda row: percent(row["pct_of_peak"]),
    "ratio": lambda row: ratio(row["ratio"]),
    "95 % interval": lambda row: (
        "" if row["algorithm"] == row["reference"] else interval(row["ratio_low"], row["ratio_high"])
    ),
    "vs best peer": lambda row: factor(row["speedup_vs_best_peer"]),
    "error": lambda row: scientific(row["rel_error"]),
    "workspace": lambda row: size(row["workspace_bytes"]),
    "prepare": lambda row: span(row["prepare_s"]),
    "compile": lambda row: span(row["compile_s"]),
    "reload": lambda row: span(row["reload_s"]),
    "first call": lambda row: span(row["first_call_s"]),
    "processes": lambda row: "" if row["processes"] is None else str(row["processes"]),
    "reason": lambda row: row["reason"] or "",
}


@dataclass(frozen=True)
class Line:
    """One contender on one layer: its cells by heading, empty ones included."""

    cells: dict[str, str]
    status: str
    fastest: bool


@dataclass(frozen=True)
class LayerTable:
    """All contenders on one layer with one number of threads and one state of the caches, the fastest first.

    ``reference`` is whom ratios are stated to, empty where there are no ratios.
    """

    network: str
    layer: str
    problem: str
    threads: int
    cache: str
    occurs: int
    reference: str
    lines: tuple[Line, ...]

    @property
    def title(self) -> str:
        """One line that names it."""
        # A problem that was given as text is its layer's name already.
        problem = "" if self.problem == self.layer else f"  {self.problem}"
        ratios = f", ratios to {self.reference}" if self.reference else ""
        return (
            f"{self.network} / {self.layer}{problem}  "
            f"{circumstances(self.threads, self.cache)}, occurs {self.occurs}x{ratios}"
        )

    @property
    def headings(self) -> tuple[str, ...]:
        """Columns in which some line has something, in their order."""
        return tuple(name for name in _CELLS if any(line.cells[name] for line in self.lines))


def layer_tables(frame: pd.DataFrame) -> list[LayerTable]:
    """A table for each layer, number of threads and state of the caches, in the order of the rows."""
    found = []
    for rows in groups(frame, LAYER):
        head, best = rows[0], rows[0] if rows[0]["status"] == "ok" else None
        lines = tuple(
            Line({name: cell(row) for name, cell in _CELLS.items()}, row["status"], row is best) for row in rows
        )
        references = dict.fromkeys(row["reference"] for row in rows if row["ratio"] is not None)
        found.append(
            LayerTable(
                head["network"], head["layer"], head["problem"], head["threads"], head["cache"], head["occurs"],
                ", ".join(references), lines,
            )
        )  # fmt: skip
    return found
