"""`Table`: what every renderer shows, values in a pandas frame and for each column how a value is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

__all__ = ["Column", "Table", "records", "table_of"]


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes
    ----------
    name : str
        Of the frame's column.
    heading : str
    write : callable
        A value as people read it; a missing one is never asked for.
    words : bool
        Whether cells are text, which stands left, and not numbers.
    spare : int
        A narrow terminal gives up the columns with the largest number first, and those with 0 never.
    """

    name: str
    heading: str
    write: Callable[[Any], str] = str
    words: bool = False
    spare: int = 0


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes
    ----------
    title : str
    columns : tuple of Column
    frame : DataFrame
        A line each. Where it has them, ``status`` and ``best`` (bool) say how a line is shown.
    note : str
        How to read it.
    after : tuple of str
        Sentences below it.
    """

    title: str
    columns: tuple[Column, ...]
    frame: pd.DataFrame
    note: str = ""
    after: tuple[str, ...] = ()

    @property
    def headings(self) -> tuple[str, ...]:
        """The name of each column."""
        return tuple(column.heading for column in self.columns)

    @property
    def lines(self) -> list[tuple[str, ...]]:
        """A cell for each column, empty where there is no value."""
        cells = []
        for column in self.columns:
            values = self.frame[column.name]
            # As arrays: their elements are at hand, those of a series are not.
            pairs = zip(values.to_numpy(object), values.isna().to_numpy(), strict=True)
            cells.append(["" if missing else column.write(value) for value, missing in pairs])
        return list(zip(*cells, strict=True))

    @property
    def marks(self) -> list[str]:
        """How each line is shown: ``best``, a status other than ok, or nothing."""
        statuses = self.frame["status"] if "status" in self.frame else pd.Series("", self.frame.index)
        bests = self.frame["best"] if "best" in self.frame else pd.Series(False, self.frame.index)
        return ["best" if best else "" if status == "ok" else str(status)
                for status, best in zip(statuses, bests, strict=True)]  # fmt: skip

    def without_empty(self) -> Table:
        """Without the columns in which no line has a value."""
        kept = tuple(each for each in self.columns if self.frame[each.name].notna().any())
        return replace(self, columns=kept)

    def without_spare(self, least: int) -> Table:
        """Without the columns that may be given up and whose number is at least so large."""
        return replace(self, columns=tuple(each for each in self.columns if not each.spare or each.spare < least))


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Lines of a frame by the names of its columns."""
    return [{str(name): value for name, value in line.items()} for line in frame.to_dict("records")]


def table_of(
    headings: Sequence[str], lines: Iterable[Sequence[str]], *, title: str = "", words: Iterable[str] | None = None
) -> Table:
    """A table of cells that are written already; the headings in ``words``, else all, are those of text."""
    kept = [tuple(line) for line in lines]
    left = set(headings if words is None else words)
    names = [f"c{i}" for i in range(len(headings))]
    columns = tuple(Column(name, heading, words=heading in left) for name, heading in zip(names, headings, strict=True))
    return Table(title, columns, pd.DataFrame(kept, columns=names, dtype="string"))
