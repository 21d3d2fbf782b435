"""The report as one Markdown file with its pictures beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from suite.environment import Limits, Machine
from suite.report.tables import LAYER_HEADINGS, SUMMARY_HEADINGS, layer_tables, summaries
from suite.report.terminal import machine_lines

__all__ = ["markdown"]

_HOW_TO_READ = """\
Time is the median of a warm call. Useful GFLOP/s leave out the taps that fall on padding; % of limit
is that speed against the measured multiply-add limit of as many threads, so an algorithm that needs
fewer multiplications can pass 100. Error is the relative L2 error against float64. Compile is what
the first call took beyond a later one: compiling, or loading from the disk cache. The fastest is **bold**.
"""


def markdown(frame: pd.DataFrame, machine: Machine | None, limits: Limits | None, pictures: Iterable[Path] = ()) -> str:
    """The whole report as text; pictures are named relative to it."""
    parts = ["# Convolution speed", _HOW_TO_READ]
    if machine is not None:
        parts.append(_table(("machine", ""), machine_lines(machine, limits)))
    parts += [f"![{path.stem}]({path.name})" for path in pictures]
    for summary in summaries(frame):
        parts.append(f"## {summary.network}, {summary.threads} thread{'' if summary.threads == 1 else 's'}")
        parts += [_table(SUMMARY_HEADINGS, summary.lines), f"{summary.total[0].upper()}{summary.total[1:]}."]
    parts.append("## Every layer")
    for layer in layer_tables(frame):
        lines = [(f"**{line.cells[0]}**" if line.fastest else line.cells[0], *line.cells[1:]) for line in layer.lines]
        parts += [f"### {layer.title}", _table(LAYER_HEADINGS, lines)]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _table(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [headings, ["---"] * len(headings), *lines]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
