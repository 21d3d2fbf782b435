"""The report in a terminal."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from suite.environment import Limits, Machine
from suite.report.tables import LAYER_HEADINGS, SUMMARY_HEADINGS, layer_tables, summaries
from suite.report.units import number, size

__all__ = ["machine_lines", "print_report"]

_STYLES = {"ok": "", "skipped": "dim", "wrong": "bold red", "failed": "bold red"}

#: Headings whose cells are text; the others are numbers and stand to the right.
_WORDS = {"algorithm", "status", "layer", "fastest"}


def print_report(console: Console, frame: pd.DataFrame) -> None:
    """Print a table a layer, then a summary a network; the fastest algorithm has a star."""
    for layer in layer_tables(frame):
        # Reasons stand below: as a column they would squeeze the numbers out of a narrow terminal.
        table = _table(layer.title, LAYER_HEADINGS[:-1])
        for line in layer.lines:
            style = "bold green" if line.fastest else _STYLES.get(line.status, "")
            mark = "* " if line.fastest else "  "
            table.add_row(*(Text(cell) for cell in (mark + line.cells[0], *line.cells[1:-1])), style=style)
        console.print(table)
        for (status, reason), lines in itertools.groupby(layer.lines, key=lambda line: (line.status, line.cells[-1])):
            if reason:
                names = ", ".join(line.cells[0] for line in lines)
                console.print(Text(f"  {names}: {reason}", style=_STYLES.get(status, "")))
        console.print()
    for summary in summaries(frame):
        plural = "" if summary.threads == 1 else "s"
        table = _table(f"{summary.network}: fastest per layer, {summary.threads} thread{plural}", SUMMARY_HEADINGS)
        for cells in summary.lines:
            table.add_row(*(Text(cell) for cell in cells))
        console.print(table)
        console.print(Text(f"  {summary.total}\n"))


def machine_lines(machine: Machine, limits: Limits | None) -> list[tuple[str, str]]:
    """What a machine is and can do, as pairs of name and value."""
    lines = [
        ("CPU", machine.cpu),
        ("cores", f"{machine.cores} (Numba may use {machine.threads} threads)"),
        ("caches", ", ".join(f"{name} {size(nbytes)}" for name, nbytes in machine.caches.items()) or "unknown"),
        ("features", " ".join(machine.features)),
        ("vectors", f"{machine.vector_bytes} bytes"),
        ("system", machine.os),
        (
            "versions",
            f"Python {machine.python}, NumPy {machine.numpy}, Numba {machine.numba}, "
            f"llvmlite {machine.llvmlite}, pandas {machine.pandas}",
        ),
        ("commit", (machine.commit or "none") + (" with changes" if machine.dirty else "")),
        ("stamp", machine.stamp),
    ]
    for dtype, rates in (limits.fma_gflops if limits else {}).items():
        lines += [(f"FMA limit {dtype}, {_threads(n)}", f"{number(rate)} GFLOP/s") for n, rate in rates.items()]
    for n, rate in (limits.bandwidth_gb_s if limits else {}).items():
        lines.append((f"memory bandwidth, {_threads(n)}", f"{number(rate)} GB/s"))
    return lines


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _table(title: str, headings: Sequence[str]) -> Table:
    table = Table(title=Text(title), title_justify="left", title_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in headings:
        # Two lines where that makes a narrower column.
        text = name.replace(" GFLOP/s", "\nGFLOP/s").replace("% of ", "% of\n").replace("ahead of ", "ahead of\n")
        table.add_column(text, justify="left" if name in _WORDS else "right", no_wrap=True)
    return table
