"""``convmark history``: every stored run in one table, and the commits at which a speed changed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from suite import options

__all__ = ["EXAMPLES", "EXIT_CODES", "history"]

EXAMPLES = ("convmark history", "convmark history --asv .asv/results --output history", "convmark history --json")

EXIT_CODES = """
\b
Exit codes:
  0    what is stored was read, whether or not a speed changed
  2    nothing is stored, or it cannot be read
"""

_Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="DIR", help="Folder of tables and page; else RESULTS/history."),
]

_Asv = Annotated[
    Path | None, typer.Option("--asv", metavar="DIR", help="asv's results folder; else .asv/results if it exists.")
]


def history(
    results: options.Results = Path("results"),
    asv: _Asv = None,
    output: _Output = None,
    as_json: options.Json = False,
) -> None:
    """Read all stored runs, ours and asv's, and find the commits at which a speed changed, machine by machine."""
    from suite.actions import history

    history.history(results, asv, output, as_json)
