"""What verifying found, in a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from suite.format import scientific
from suite.results.rows import Row

__all__ = ["print_verdicts"]

_STATUSES = ("ok", "skipped", "wrong", "failed")


def print_verdicts(console: Console, rows: Sequence[Row]) -> None:
    """Print a line an algorithm, each reason of a refusal, and each result that is not right."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("algorithm", no_wrap=True)
    for name in (*_STATUSES, "largest error"):
        table.add_column(name, justify="right")
    by_algorithm: dict[str, list[Row]] = {}
    for row in rows:
        by_algorithm.setdefault(row["algorithm"], []).append(row)
    for algorithm, own in by_algorithm.items():
        counts = Counter(row["status"] for row in own)
        error = max((row["rel_error"] for row in own if row["rel_error"] is not None), default=None)
        style = "bold red" if counts["wrong"] or counts["failed"] else ""
        table.add_row(algorithm, *(str(counts[name]) for name in _STATUSES), scientific(error), style=style)
    console.print(table)
    refusals = Counter((row["algorithm"], row["reason"]) for row in rows if row["status"] == "skipped")
    for (algorithm, reason), count in refusals.items():
        console.print(Text(f"skipped {count} x {algorithm}: {reason}", style="dim"))
    for row in rows:
        if row["status"] in ("wrong", "failed"):
            where = f"{row['network']}/{row['layer']} {row['problem']}"
            console.print(Text(f"{row['status']} {row['algorithm']} on {where}: {row['reason']}", style="bold red"))
