"""``convmark history``: every stored run in one table, and the commits at which a speed changed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from suite import options

__all__ = ["EXAMPLES", "EXIT_CODES", "history"]

EXAMPLES = (
    "convmark history",
    "convmark history --asv .asv/results --output history",
    "convmark history --push s3://bucket/history --runner ubuntu-24.04-arm",
    "convmark history --from s3://bucket/history",
    "convmark history --json",
)

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

_Push = Annotated[
    str | None,
    typer.Option("--push", metavar="DIR|URL", help="Add the runs that are not there yet to a folder or fsspec URL."),
]

_Runner = Annotated[
    str,
    typer.Option("--runner", metavar="NAME", help="Where pushed runs were made; another CPU than last time is said."),
]

_From = Annotated[
    str | None, typer.Option("--from", metavar="DIR|URL", help="Read what was pushed there instead of the results.")
]


def history(
    results: options.Results = Path("results"),
    asv: _Asv = None,
    output: _Output = None,
    push: _Push = None,
    runner: _Runner = "",
    source: _From = None,
    as_json: options.Json = False,
) -> None:
    """Read all stored runs, ours and asv's, and find the commits at which a speed changed, machine by machine."""
    from suite.actions import history

    history.history(results, asv, output, push, runner, source, as_json)
