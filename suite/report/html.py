"""Tables and figures as HTML, readable without a script."""

from __future__ import annotations

from collections.abc import Collection
from html import escape

from suite.report.plots import Figure
from suite.report.table import Table

__all__ = ["html_figure", "html_table"]


def html_table(table: Table, *, raw: Collection[str] = (), caption: bool = True, rows: bool = False) -> str:
    """A table in a box that scrolls, so that the page never does.

    Parameters
    ----------
    table : Table
    raw : collection of str
        Columns whose cells are HTML already.
    caption : bool
        Whether the title stands above it.
    rows : bool
        Whether each line says which row of the frame it is.
    """
    heads = "".join(
        f"<th scope=col{' class=t' if column.words else ''}>{escape(column.heading)}" for column in table.columns
    )
    body = []
    for index, cells, mark in zip(table.frame.index, table.lines, table.marks, strict=True):
        attributes = (f" class={mark}" if mark else "") + (f" data-r={index}" if rows else "")
        body.append(f"<tr{attributes}>" + "".join(
            f"<td{' class=t' if column.words else ''}>{cell if column.name in raw else escape(cell)}"
            for column, cell in zip(table.columns, cells, strict=True)
        ))  # fmt: skip
    title = f"<caption>{escape(table.title)}</caption>" if caption and table.title else ""
    after = "".join(f"<p>{escape(sentence)}" for sentence in table.after)
    lines = "\n".join(body)
    return f"<div class=scroll><table>{title}<thead><tr>{heads}</thead><tbody>\n{lines}</tbody></table></div>{after}"


def html_figure(figure: Figure, attributes: str = "") -> str:
    """A plot with its title, how to read it, and what its colours mean."""
    keys = "".join(f"<span class=key><i class=f-{name}></i>{_WORDS.get(name, name)}</span>" for name in figure.legend)
    legend = f"<div class=legend>{keys}</div>" if keys else ""
    return (
        f"<figure{attributes}><figcaption><b>{escape(figure.title)}</b> {escape(figure.how)}</figcaption>"
        f"{legend}{figure.svg}</figure>"
    )


#: Families whose names alone say too little.
_WORDS = {"peer": "other libraries", "im2col": "im2col and GEMM", "other": "others"}
