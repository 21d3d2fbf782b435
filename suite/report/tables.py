"""The tables that every form of the report shows: a line an algorithm, a table a layer, a summary a network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from suite.report.units import number, percent, scientific, size, span

__all__ = [
    "LAYER_HEADINGS",
    "SUMMARY_HEADINGS",
    "LayerTable",
    "Line",
    "Summary",
    "display_name",
    "layer_tables",
    "summaries",
]

LAYER_HEADINGS = (
    "algorithm", "status", "time", "useful GFLOP/s", "% of limit", "error", "workspace", "compile", "reason",
)  # fmt: skip
SUMMARY_HEADINGS = ("layer", "occurs", "fastest", "time", "useful GFLOP/s", "% of limit", "ahead of next")

_LAYER = ["network", "layer", "problem", "threads"]


@dataclass(frozen=True)
class Line:
    """One algorithm on one layer: a cell each of `LAYER_HEADINGS`."""

    cells: tuple[str, ...]
    status: str
    fastest: bool


@dataclass(frozen=True)
class LayerTable:
    """All algorithms on one layer with one number of threads, the fastest first."""

    network: str
    layer: str
    problem: str
    threads: int
    occurs: int
    lines: tuple[Line, ...]

    @property
    def title(self) -> str:
        """One line that names it."""
        plural = "" if self.threads == 1 else "s"
        return f"{self.network} / {self.layer}  {self.problem}  {self.threads} thread{plural}, occurs {self.occurs}x"


@dataclass(frozen=True)
class Summary:
    """The fastest algorithm of each layer of one network: a cell each of `SUMMARY_HEADINGS`."""

    network: str
    threads: int
    lines: tuple[tuple[str, ...], ...]
    total: str


def layer_tables(frame: pd.DataFrame) -> list[LayerTable]:
    """A table for each layer and number of threads, in the order of the rows."""
    found = []
    for rows in _groups(frame, _LAYER):
        best = rows[0] if rows[0]["status"] == "ok" else None
        head = rows[0]
        lines = tuple(Line(_cells(row), row["status"], row is best) for row in rows)
        found.append(
            LayerTable(head["network"], head["layer"], head["problem"], head["threads"], head["occurs"], lines)
        )
    return found


def summaries(frame: pd.DataFrame) -> list[Summary]:
    """A summary for each network and number of threads, in the order of the rows."""
    found = []
    for _, part in frame.groupby(["network", "threads"], sort=False):
        lines, total, missing = [], 0.0, 0
        for rows in _groups(part, _LAYER):
            right = [row for row in rows if row["status"] == "ok"]
            if not right:
                missing += 1
                lines.append((rows[0]["layer"], str(rows[0]["occurs"]), "none is right", *[""] * 4))
                continue
            best = right[0]
            total += best["occurs"] * best["time_s"]
            lines.append(
                (
                    best["layer"],
                    str(best["occurs"]),
                    _name(best),
                    span(best["time_s"]),
                    number(best["useful_gflops"]),
                    percent(best["pct_of_peak"]),
                    f"{right[1]['time_s'] / best['time_s']:.2f}x" if len(right) > 1 else "",
                )
            )
        first = part.iloc[0]
        text = f"all layers as often as they occur, each by its fastest: {span(total)}"
        if missing:
            text += f" without the {missing} that no algorithm computed"
        found.append(Summary(str(first["network"]), int(first["threads"]), tuple(lines), text))
    return found


def _groups(frame: pd.DataFrame, by: list[str]) -> Iterator[list[dict[str, Any]]]:
    """Rows as dictionaries with ``None`` for 'no value', right ones first and by time."""
    for _, part in frame.groupby(by, sort=False):
        rows = [
            {str(name): None if pd.isna(value) else value for name, value in row.items()}
            for row in part.to_dict("records")
        ]
        yield sorted(rows, key=_rank)


def _rank(row: dict[str, Any]) -> tuple[Any, ...]:
    # Right ones by time; then what is skipped, wrong or failed, those of one reason together.
    return row["status"] != "ok", row["time_s"] or 0.0, row["status"], row["reason"] or ""


def display_name(algorithm: str, source: str, run: str) -> str:
    """An algorithm, and where its row comes from if not from a run of our own."""
    return algorithm if source == "convmark" else f"{algorithm} ({source} {run})"


def _name(row: dict[str, Any]) -> str:
    return display_name(row["algorithm"], row["source"], row["run"])


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        _name(row),
        row["status"],
        span(row["time_s"]),
        number(row["useful_gflops"]),
        percent(row["pct_of_peak"]),
        scientific(row["rel_error"]),
        size(row["workspace_bytes"]),
        span(row["compile_s"]),
        row["reason"] or "",
    )
