"""``convmark compare``: two stored runs, row by row."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from suite import options

__all__ = ["EXAMPLES", "EXIT_CODES", "compare"]

EXAMPLES = (
    "convmark compare 20261125T050500Z-73575dfb-3c84 latest",
    "convmark compare before after --results DIR --fail slower:5%",
    "convmark compare A B --output comparison",
)

EXIT_CODES = """
\b
Exit codes:
  0    both runs were read, and nothing that --fail names was found
  1    a row is slower than --fail allows, or no longer right
  2    a run cannot be read
"""


def compare(
    before: Annotated[str, typer.Argument(metavar="A", help="Name or folder of the run that is compared with.")],
    after: Annotated[str, typer.Argument(metavar="B", help="Name or folder of a run, or 'latest'.")],
    failing: Annotated[
        str | None,
        typer.Option("--fail", metavar="slower:X%", help="Exit with 1 if a row is slower by more than this."),
    ] = None,
    results: options.Results = Path("results"),
    details: Annotated[bool, typer.Option("--details", help="Print all rows, not the largest changes alone.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Folder of compare.html, compare.md and compare.csv."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Compare two stored runs row by row, the largest change first."""
    from suite.actions import compare

    compare.compare(before, after, failing, results, details, output, as_json)
