"""What verifying found, in a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from suite.format import scientific
from suite.report.table import table_of
from suite.report.terminal import print_table
from suite.results.rows import Row

__all__ = ["print_verdicts"]

_STATUSES = ("ok", "skipped", "wrong", "failed")


def print_verdicts(console: Console, rows: Sequence[Row]) -> None:
    """Print a line an algorithm, each reason of a refusal, and each result that is not right."""
    by_algorithm: dict[str, list[Row]] = {}
    for row in rows:
        by_algorithm.setdefault(row["algorithm"], []).append(row)
    lines, styles = [], []
    for algorithm, own in by_algorithm.items():
        counts = Counter(row["status"] for row in own)
        error = max((row["rel_error"] for row in own if row["rel_error"] is not None), default=None)
        lines.append((algorithm, *(str(counts[name]) for name in _STATUSES), scientific(error)))
        styles.append("bold red" if counts["wrong"] or counts["failed"] else "")
    headings = ("algorithm", *_STATUSES, "largest error")
    print_table(console, table_of(headings, lines, words=("algorithm",)), styles=styles)
    refusals = Counter((row["algorithm"], row["reason"]) for row in rows if row["status"] == "skipped")
    for (algorithm, reason), count in refusals.items():
        console.print(Text(f"skipped {count} x {algorithm}: {reason}", style="dim"))
    for row in rows:
        if row["status"] in ("wrong", "failed"):
            where = f"{row['network']}/{row['layer']} {row['problem']}"
            console.print(Text(f"{row['status']} {row['algorithm']} on {where}: {row['reason']}", style="bold red"))
