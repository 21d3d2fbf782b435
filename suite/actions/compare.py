"""The work of ``convmark compare``."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import escape
from pathlib import Path

import typer

from suite.console import fail, print_json, stderr, stdout, warn
from suite.report.compare import Comparison
from suite.report.compare import compare as compare_runs
from suite.report.html import html_table
from suite.report.load import open_stored
from suite.report.markdown import markdown_table
from suite.report.page import document
from suite.report.terminal import print_table
from suite.results.files import unwritable

__all__ = ["compare"]


#: Rows that the terminal shows unless details are asked for.
_SHOWN = 20


def compare(
    before: str, after: str, failing: str | None, results: Path, details: bool, output: Path | None, as_json: bool
) -> None:
    """See `suite.commands.compare.compare`."""
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
        print_table(stdout(), found.table if details else found.largest(_SHOWN))
    if output is not None:
        table = found.table
        text = (f"# {table.title}", found.headline, table.note, markdown_table(table))
        files = {
            "compare.html": document(table.title, [("rows", "Rows", _html(found))]),
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


def _html(found: Comparison) -> str:
    table = replace(found.table, after=found.missing)
    return f"<p class=lede>{escape(found.headline)}</p><p class=how>{escape(table.note)}</p>{html_table(table)}"


def _margin(asked: str | None) -> float | None:
    """A fraction, of a text like ``slower:5%``."""
    if asked is None:
        return None
    found = re.fullmatch(r"slower:(\d+(?:\.\d+)?)%", asked.strip())
    if found is None:
        fail(f"--fail is {asked!r}, expected one like slower:5%")
    return float(found[1]) / 100
