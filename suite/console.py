"""Consoles: answers go to stdout, everything else to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import NoReturn

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from suite.format import printable

__all__ = ["fail", "print_json", "print_table", "stderr", "stdout", "warn"]

#: Columns of a stdout that is no terminal: a file or a pipe should not fold tables at 80.
_WIDE = 140


def stdout() -> Console:
    """The console of answers."""
    return Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False)


def stderr() -> Console:
    """The console of progress and notes."""
    return Console(stderr=True, width=None if sys.stderr.isatty() else _WIDE, highlight=False)


def warn(sentence: str) -> None:
    """Say something on stderr, and go on."""
    print(f"convmark: {printable(sentence)}", file=sys.stderr, flush=True)


def fail(sentence: str) -> NoReturn:
    """Say on stderr why what was asked for cannot be done, and exit with 2."""
    warn(sentence)
    raise typer.Exit(2)


def print_json(value: object) -> None:
    """Print one JSON value."""
    print(json.dumps(value, indent=2))


def print_table(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    """Print a plain table."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in headings:
        table.add_column(name, overflow="fold")
    for line in lines:
        table.add_row(*(Text(printable(cell)) for cell in line))
    stdout().print(table)
