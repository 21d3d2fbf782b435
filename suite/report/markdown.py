"""Tables and reports as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from suite.report.contents import Made, sections
from suite.report.layers import NOTE, layer_tables
from suite.report.table import Table

__all__ = ["markdown", "markdown_cells", "markdown_table"]


def markdown(frame: pd.DataFrame, machines: Sequence[Table] = (), made: Iterable[Made] | None = None) -> str:
    """The whole report as text; ``machines`` are the facts of where it was measured, ``made`` its sections."""
    parts = ["# Convolution speed", NOTE, *(markdown_table(each) for each in machines)]
    for section, tables in sections(frame):
        parts.append(f"## {section.title}")
        said = ""
        for table in tables:
            parts += [f"### {table.title}"] if table.title != section.title else []
            # What tables of a section have in common stands once.
            parts += [table.note] if table.note and table.note != said else []
            said = table.note
            parts.append(markdown_table(table, marked=section.tables is layer_tables))
            parts += table.after
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def markdown_table(table: Table, *, marked: bool = False) -> str:
    """A table as Markdown has it; the first cell of the best line in bold if that is marked."""
    lines = table.lines
    if marked:
        lines = [
            (f"**{first}**" if mark == "best" else first, *others)
            for (first, *others), mark in zip(lines, table.marks, strict=True)
        ]
    return markdown_cells(table.headings, lines)


def markdown_cells(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Headings and cells as Markdown has a table."""
    rows = [headings, ["---"] * len(headings), *lines]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
