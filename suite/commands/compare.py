"""``convmark compare``: two stored runs, row by row."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

import typer

from suite import options
from suite.console import fail, print_json, stderr, stdout, warn
from suite.report.compare import compare as compare_runs
from suite.report.html import html_table
from suite.report.load import open_stored
from suite.report.markdown import markdown_table
from suite.report.page import document
from suite.report.terminal import print_table
from suite.results.files import unwritable

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
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Folder of compare.html, compare.md and compare.csv."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Compare two stored runs row by row, the largest change first."""
    margin = _margin(failing)
    old, new = open_stored(results, (before, after), warn)
    found = compare_runs(old, new, warn)
    bad = found.failures(margin)
    if old.frame["platform"].iloc[:1].tolist() != new.frame["platform"].iloc[:1].tolist():
        warn(f"A was measured on {old.machine.cpu} and B on {new.machine.cpu}: ratios are of machines as well")
    if as_json:
        rows = json.loads(found.rows.drop(columns=["name", "where", "ends"]).to_json(orient="records"))
        print_json({"before": found.before, "after": found.after, "failures": len(bad), "rows": rows})
    else:
        print_table(stdout(), found.table)
    if output is not None:
        table = found.table
        text = (f"# {table.title}", found.headline, table.note, markdown_table(table))
        files = {
            "compare.html": document(table.title, [("rows", found.headline, html_table(table))]),
            "compare.md": "\n\n".join(text) + "\n",
            "compare.csv": found.rows.drop(columns=["name", "where", "ends"]).to_csv(index=False),
        }
        try:
            output.mkdir(parents=True, exist_ok=True)
            for name, content in files.items():
                (output / name).write_text(content, encoding="utf-8")
        except OSError as error:
            raise unwritable(output, error) from error
        stderr().print(f"Written: {', '.join(str(output / name) for name in files)}", soft_wrap=True, markup=False)
    if margin is not None and len(bad):
        warn(f"{len(bad)} rows are no longer right, or slower by more than {margin:.3g} of A's time")
        raise typer.Exit(1)


def _margin(asked: str | None) -> float | None:
    """A fraction, of a text like ``slower:5%``."""
    if asked is None:
        return None
    found = re.fullmatch(r"slower:(\d+(?:\.\d+)?)%", asked.strip())
    if found is None:
        fail(f"--fail is {asked!r}, expected one like slower:5%")
    return float(found[1]) / 100
