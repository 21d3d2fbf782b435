"""What an A/A control found: in a terminal and as Markdown."""

from __future__ import annotations

import math

from rich.console import Console

from suite.gate.aa import Rates
from suite.machine.environment import Machine
from suite.report.markdown import markdown_table
from suite.report.table import Table, table_of
from suite.report.terminal import print_table

__all__ = ["print_rates", "rates_markdown"]

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


def _tables(rates: Rates, margin: float, risk: float) -> tuple[Table, Table]:
    facts = table_of(("A/A control", ""), _facts(rates, margin, risk))
    return facts, table_of(_HEADINGS, _lines(rates), words=())


def print_rates(console: Console, rates: Rates, margin: float, risk: float) -> None:
    """Print what the gate is worth."""
    for table in _tables(rates, margin, risk):
        print_table(console, table)


def rates_markdown(rates: Rates, machine: Machine, margin: float, risk: float) -> str:
    """The same as a page."""
    parts = ["# The gate's A/A control", f"{machine.cpu}, {machine.cores} cores, stamp {machine.stamp}"]
    return "\n\n".join([*parts, *map(markdown_table, _tables(rates, margin, risk))]) + "\n"
