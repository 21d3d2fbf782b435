"""Tables and reports in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from suite.report.blocks import block_tables
from suite.report.contents import sections
from suite.report.layers import fault_sentences, layer_tables, overview_table, status_counts
from suite.report.table import Table

__all__ = ["STYLES", "print_report", "print_table"]

#: How lines and sentences are shown, by status or verdict.
STYLES = {
    "best": "bold green", "mistrusted": "yellow", "skipped": "dim", "wrong": "bold red", "failed": "bold red",
    "slower": "bold red", "faster": "bold green", "undecided": "yellow", "unmeasured": "yellow", "new": "cyan",
    "gone": "cyan",
}  # fmt: skip

#: Headings of more than so many letters are broken before their last word.
_LONG = 10

#: A width that no table has, and a number that every column which only files show has at least.
_ANY, _IN_FILES = 10_000, 20


def print_report(console: Console, frame: pd.DataFrame, *, details: bool = False) -> None:
    """Print one table with a line per layer and what went wrong; with details, all that the report has."""
    if details:
        for section, tables in sections(frame):
            for table, following in zip(tables, [*tables[1:], None], strict=True):
                if section.tables is layer_tables:
                    _print_layer(console, table)
                else:
                    # What tables of a section have in common stands once, below the last of them.
                    last = following is None or following.note != table.note
                    print_table(console, table if last else replace(table, note=""))
        return
    print_table(console, overview_table(frame))
    for status, sentence in fault_sentences(frame):
        console.print(Text(sentence, style=STYLES[status]))
    for table in block_tables(frame):
        print_table(console, table)
    console.print(Text(status_counts(frame)))


def print_table(console: Console, table: Table, *, styles: Sequence[str] = ()) -> None:
    """Print a table, without as many of the columns that it can spare as the width demands, and its sentences.

    ``styles`` is one per line, else what the lines' marks say.
    """
    spare = sorted({column.spare for column in table.columns if column.spare}, reverse=True)
    for least in (_IN_FILES, *(each for each in spare if each < _IN_FILES)):
        kept = table.without_spare(least)
        drawn = _drawn(
            kept, styles or [STYLES.get(mark, "") for mark in table.marks], fold=least == min(spare, default=_IN_FILES)
        )
        if console.measure(drawn, options=console.options.update(width=_ANY)).maximum <= console.width:
            break
    console.print(drawn)
    for sentence in (table.note, *table.after):
        if sentence:
            console.print(Text(sentence, style="dim" if sentence is table.note else ""))
    if table.note or table.after:
        console.print()


def _print_layer(console: Console, table: Table) -> None:
    # Reasons stand below: as a column they would squeeze the numbers out of a narrow terminal.
    print_table(console, table)
    said = table.frame[table.frame["said"].notna()]
    for (status, reason), part in said.groupby(["status", "said"], sort=False):
        names = ", ".join(part["contender"])
        console.print(Text(f"  {names}: {reason}", style=STYLES.get(str(status), "")))
    console.print()


def _drawn(table: Table, styles: Sequence[str], *, fold: bool) -> RichTable:
    title = Text(table.title) if table.title else None
    drawn = RichTable(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in table.columns:
        heading = "\n".join(column.heading.rsplit(" ", 1)) if len(column.heading) > _LONG else column.heading
        side = "left" if column.words else "right"
        drawn.add_column(heading, justify=side, overflow="fold", no_wrap=not fold)  # type: ignore[arg-type]
    marked = "best" in table.frame
    for cells, mark, style in zip(table.lines, table.marks, styles, strict=True):
        first, *others = cells
        star = ("* " if mark == "best" else "  ") if marked else ""
        drawn.add_row(*(Text(cell) for cell in (star + first, *others)), style=style)
    return drawn
