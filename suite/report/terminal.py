"""The report in a terminal."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from suite.format import number, size
from suite.machine.environment import Limits, Machine
from suite.report.blocks import BLOCKS_NOTE, block_tables
from suite.report.groups import LAYER, circumstances, groups
from suite.report.kinds import kind_tables
from suite.report.overview import OVERVIEW_HEADINGS, overview_faults, overview_lines
from suite.report.scaling import SCALING_HEADINGS, scaling_tables
from suite.report.summaries import TOTAL_HEADINGS, VERSION_HEADINGS, summaries, version_lines
from suite.report.tables import LayerTable, layer_tables
from suite.report.tradeoff import TRADEOFF_HEADINGS, tradeoffs

__all__ = ["machine_lines", "print_report"]

_STYLES = {"ok": "", "mistrusted": "yellow", "skipped": "dim", "wrong": "bold red", "failed": "bold red"}

#: Headings whose cells are text; the others are numbers and stand to the right.
_WORDS = {
    "algorithm",
    "status",
    "layer",
    "fastest",
    "fastest of ours",
    "best peer",
    "kind of layer",
    "where",
    "contender",
    "block",
    "problem",
    "circumstances",
    "runner-up",
    *VERSION_HEADINGS,
}

#: Columns of a layer that only files show.
_IN_FILES = {"version", "min", "prepare", "reload", "first call", "processes", "reason"}

#: Columns that a narrow terminal goes without, in this order: of layers, and of summaries.
_GIVEN_UP = (
    "workspace", "compile", "spread", "95 % interval", "error", "vs best peer", "ratio", "useful GFLOP/s", "% of limit",
)  # fmt: skip
_SUMMARY_GIVEN_UP = ("useful GFLOP/s", "occurs", "% of limit", "its time", "time")

#: Headings that are narrower in two lines.
_BROKEN = {
    "useful GFLOP/s": "useful\nGFLOP/s", "% of limit": "% of\nlimit", "vs best peer": "vs best\npeer",
    "fastest of ours": "fastest\nof ours", "ahead of next": "ahead of\nnext",
}  # fmt: skip

#: A width that no table has.
_ANY = 10_000


def print_report(console: Console, frame: pd.DataFrame, *, details: bool = False) -> None:
    """Print one table with a line per layer and what went wrong; with details, all that the report has."""
    if details:
        _print_details(console, frame)
    else:
        _print_overview(console, frame)


def _print_overview(console: Console, frame: pd.DataFrame) -> None:
    every = list(groups(frame, LAYER))
    lines = overview_lines(every, [circumstances(rows[0]["threads"], rows[0]["cache"]) for rows in every])
    headings = (*(("circumstances",) if lines and len(lines[0]) > len(OVERVIEW_HEADINGS) else ()), *OVERVIEW_HEADINGS)
    _print_table(console, "Fastest per layer", headings, _plain(lines), ("% of limit", "circumstances"))
    for status, sentence in overview_faults(row for rows in every for row in rows):
        console.print(Text(sentence, style=_STYLES[status]))
    for blocks in block_tables(frame):
        _print_table(console, blocks.title, blocks.headings, _plain(blocks.lines), ("problem",))
        console.print(Text(BLOCKS_NOTE))
    counts = Counter(row["status"] for rows in every for row in rows)
    console.print(Text(", ".join(f"{count} {status}" for status, count in counts.items())))


def _print_details(console: Console, frame: pd.DataFrame) -> None:
    """A table a layer, then what each network comes to; the fastest contender has a star."""
    for layer in layer_tables(frame):
        _print_layer(console, layer)
    for summary, total in summaries(frame):
        title = f"{summary.title}: fastest per layer"
        _print_table(console, title, summary.headings, _plain(summary.lines), _SUMMARY_GIVEN_UP)
        for note in summary.notes:
            console.print(Text(f"  {note}"))
        console.print()
        if total.lines:
            title = f"{summary.title}: all layers as often as they occur"
            _print_table(console, title, TOTAL_HEADINGS, _plain(total.lines))
        if total.lacking:
            console.print(Text(f"  {total.lacking}", style="dim"))
        console.print()
    for blocks in block_tables(frame):
        _print_table(console, blocks.title, blocks.headings, _plain(blocks.lines), ("problem",))
        console.print(Text(BLOCKS_NOTE))
        console.print()
    for kinds in kind_tables(frame):
        _print_table(console, kinds.title, kinds.headings, _plain(kinds.lines), ("where",))
        console.print()
    for scaling in scaling_tables(frame):
        _print_table(console, scaling.title, SCALING_HEADINGS, _plain(scaling.lines), ("where", "shorter layers"))
        console.print()
    for each in tradeoffs(frame):
        _print_table(console, each.title, TRADEOFF_HEADINGS, _plain(each.lines), ("largest error", "layers"))
        console.print(Text(f"  {each.note}"))
        console.print()
    versions = version_lines(frame)
    if versions:
        _print_table(console, "Libraries", VERSION_HEADINGS, _plain(versions))


def _print_layer(console: Console, layer: LayerTable) -> None:
    # Reasons stand below: as a column they would squeeze the numbers out of a narrow terminal.
    headings = [name for name in layer.headings if name not in _IN_FILES]
    lines = []
    for line in layer.lines:
        first, *others = (line.cells[name] for name in headings)
        style = "bold green" if line.fastest else _STYLES.get(line.status, "")
        lines.append(((("* " if line.fastest else "  ") + first, *others), style))
    _print_table(console, layer.title, headings, lines, _GIVEN_UP)
    for (status, reason), group in itertools.groupby(layer.lines, key=lambda line: (line.status, line.cells["reason"])):
        if reason:
            names = ", ".join(line.cells["algorithm"] for line in group)
            console.print(Text(f"  {names}: {reason}", style=_STYLES.get(status, "")))
    console.print()


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
        lines += [
            (f"FMA limit {dtype}, {circumstances(n, 'warm')}", f"{number(rate)} GFLOP/s") for n, rate in rates.items()
        ]
    for n, rate in (limits.bandwidth_gb_s if limits else {}).items():
        lines.append((f"memory bandwidth, {circumstances(n, 'warm')}", f"{number(rate)} GB/s"))
    return lines


def _plain(lines: Sequence[tuple[str, ...]]) -> list[tuple[tuple[str, ...], str]]:
    """Lines without a style of their own."""
    return [(cells, "") for cells in lines]


def _print_table(
    console: Console,
    title: str,
    headings: Sequence[str],
    lines: Sequence[tuple[tuple[str, ...], str]],
    given_up: Sequence[str] = (),
) -> None:
    """Print lines of cells and style, without as many of ``given_up`` as the width demands."""
    for count in range(len(given_up) + 1):
        kept = [i for i, name in enumerate(headings) if name not in given_up[:count]]
        table = Table(
            title=Text(title), title_justify="left", title_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0)
        )
        for i in kept:
            table.add_column(
                _BROKEN.get(headings[i], headings[i]),
                justify="left" if headings[i] in _WORDS else "right",
                overflow="fold",
                no_wrap=bool(given_up),
            )
        for cells, style in lines:
            table.add_row(*(Text(cells[i]) for i in kept), style=style)
        if console.measure(table, options=console.options.update(width=_ANY)).maximum <= console.width:
            break
    console.print(table)
