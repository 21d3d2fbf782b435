"""What the gate found, in a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from suite.format import span
from suite.gate.findings import Finding, Findings, worst_first

__all__ = ["print_findings"]

_STYLES = {
    "slower": "bold red", "wrong": "bold red", "failed": "bold red", "faster": "bold green", "undecided": "yellow",
    "unmeasured": "yellow", "new": "cyan", "gone": "cyan",
}  # fmt: skip


def print_findings(console: Console, found: Findings) -> None:
    """Print a line a benchmark, worst first, then the control, then the headline."""
    console.print(Text(f"{found.head} against {found.base}, {found.seconds / 60:.1f} min", style="bold"))
    _print(console, "benchmark", worst_first(found.findings))
    if found.control:
        _print(console, "control: base against itself", found.control)
    console.print(Text(found.headline, style="bold green" if found.exit_code == 0 else "bold red"))


def _print(console: Console, title: str, findings: Sequence[Finding]) -> None:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(title, overflow="fold")
    for name in ("verdict", "head / base", "95 % interval", "base", "head", "pairs"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in findings:
        cells = (
            each.benchmark.name,
            each.verdict,
            _ratio(each.ratio),
            "" if math.isnan(each.low) else f"{each.low:.3f} .. {each.high:.3f}",
            *("" if math.isnan(seconds) else span(seconds) for seconds in (each.base_s, each.head_s)),
            str(each.pairs or ""),
        )
        table.add_row(*(Text(cell) for cell in cells), style=_STYLES.get(each.verdict, ""))
    console.print(table)
    for each in findings:
        if each.reason:
            console.print(Text(f"  {each.verdict} {each.benchmark.name}: {each.reason}", style="dim"))


def _ratio(ratio: float) -> str:
    return "" if math.isnan(ratio) else f"{ratio:.3f}"
