"""What the null control found, in a terminal and as Markdown."""

from __future__ import annotations

import json
import math
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from suite.gate.aa import Rates
from suite.machine.environment import Machine

__all__ = ["control_facts", "print_rates", "rates_markdown"]

_HEADINGS = ("slowdown put in", "measured", "found", "found, worst benchmark", "called same", "undecided")


def _facts(rates: Rates, margin: float, risk: float) -> list[tuple[str, str]]:
    smallest = "none of those tried" if math.isnan(rates.smallest) else f"{rates.smallest:.1%}"
    return [
        ("measured", f"{rates.benchmarks} benchmarks in {rates.generations} generations of fresh processes"),
        ("pairs that were disturbed", str(rates.disturbed)),
        ("noise of a pair", f"{rates.pair_noise:.2%}"),
        ("gate", f"margin {margin:.0%}, risk {risk:.0%} a run"),
        ("runs resampled from the pairs", str(rates.runs)),
        ("false alarms a run", f"{rates.false_alarm:.2%} (95 % confidence: at most {rates.false_alarm_high:.2%})"),
        ("false praise a run", f"{rates.false_praise:.2%}"),
        ("runs with something undecided", f"{rates.undecided:.2%}"),
        ("smallest slowdown found 95 times in 100", smallest),
    ]


def _lines(rates: Rates) -> list[tuple[str, ...]]:
    return [
        (
            f"{each.slowdown:.0%}", f"{each.measured:.1%}", f"{each.detection:.2%}", f"{each.detection_worst:.2%}",
            f"{each.missed_as['same']:.2%}", f"{each.missed_as['undecided']:.2%}",
        )
        for each in rates.powers
    ]  # fmt: skip


def print_rates(console: Console, rates: Rates, margin: float, risk: float) -> None:
    """Print what the gate is worth."""
    for headings, lines in ((("A/A control", ""), _facts(rates, margin, risk)), (_HEADINGS, _lines(rates))):
        table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for name in headings:
            table.add_column(name, justify="right" if headings is _HEADINGS else "left")
        for line in lines:
            table.add_row(*(Text(cell) for cell in line))
        console.print(table)


def rates_markdown(rates: Rates, machine: Machine, margin: float, risk: float) -> str:
    """The same as a page."""
    parts = ["# The gate's null control", f"{machine.cpu}, {machine.cores} cores, stamp {machine.stamp}"]
    for headings, lines in ((("", ""), _facts(rates, margin, risk)), (_HEADINGS, _lines(rates))):
        rows = [headings, ["---"] * len(headings), *lines]
        parts.append("\n".join("| " + " | ".join(row) + " |" for row in rows))
    return "\n\n".join(parts) + "\n"


def control_facts(results: Path, machine: Machine) -> list[tuple[str, str]]:
    """What the newest null control below ``results`` found on this CPU, as pairs of name and value; else nothing."""
    for path in sorted(results.glob("aa/*/rates.json"), reverse=True):
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            if stored["machine"]["cpu"] != machine.cpu or stored["machine"]["cores"] != machine.cores:
                continue
            found = ", ".join(f"{each['slowdown']:.0%} in {each['detection']:.1%}" for each in stored["powers"])
            return [
                ("A/A control of", path.parent.name),
                ("noise of a pair of processes", f"{stored['pair_noise']:.2%}"),
                ("false alarms of a gate run", f"{stored['false_alarm']:.2%} of {stored['runs']} resampled"),
                ("slowdowns found", found),
            ]
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return []
