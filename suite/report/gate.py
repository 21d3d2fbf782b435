"""What the gate found: in a terminal, and a stored run as a section of a page with each suspect's pairs."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.text import Text

from suite.format import interval, ratio, span
from suite.gate.findings import Benchmark, Finding, Findings, worst_first
from suite.report.html import html_figure, html_table
from suite.report.plots import gate_figure
from suite.report.table import Column, Table
from suite.report.terminal import STYLES, print_table
from suite.results.files import StoreError
from suite.results.jsonl import read_lines

__all__ = ["gate_html", "latest_gate", "print_findings"]

_COLUMNS = (
    Column("name", "benchmark", words=True),
    Column("verdict", "verdict", words=True),
    Column("ratio", "head / base", ratio),
    Column("interval", "95 % interval", spare=1),
    Column("base_s", "base", span, spare=2),
    Column("head_s", "head", span, spare=2),
    Column("pairs", "pairs", lambda value: str(int(value)), spare=3),
    Column("margin", "margin", lambda value: f"{value:.1%}", spare=4),
)

#: Verdicts that are no suspicion, or that have no pairs.
_PLAIN = ("same", "new", "gone", "unmeasured")


def latest_gate(results: Path) -> Path | None:
    """Folder of the newest stored run of the gate below a folder of results."""
    return max((path.parent for path in results.glob("gates/*/findings.json")), default=None)


def print_findings(console: Console, found: Findings) -> None:
    """Print a line per benchmark, worst first, then the control, then the headline."""
    console.print(Text(f"{found.head} compared with {found.base}, {found.seconds / 60:.1f} min", style="bold"))
    _print(console, worst_first(found.findings), "Benchmarks")
    if found.control:
        _print(console, found.control, "Control: base compared with itself")
    console.print(Text(found.headline, style="bold green" if found.exit_code == 0 else "bold red"))


def _print(console: Console, findings: Sequence[Finding], title: str) -> None:
    lines = [{**asdict(each.benchmark), **{**asdict(each), "benchmark": None}} for each in findings]
    print_table(console, _table(lines, title), styles=[STYLES.get(each.verdict, "") for each in findings])
    for each in findings:
        if each.reason:
            console.print(Text(f"  {each.verdict} {each.benchmark.name}: {each.reason}", style="dim"))


def _table(findings: Sequence[dict[str, Any]], title: str) -> Table:
    """A line per benchmark of a ``findings.json``, in its order."""
    values = ("ratio", "low", "high", "base_s", "head_s", "margin")
    lines = pd.DataFrame(findings, columns=["verdict", "pairs", *values]).astype(dict.fromkeys(values, float))
    ends = [
        None if math.isnan(low) else interval(low, high) for low, high in zip(lines["low"], lines["high"], strict=True)
    ]
    lines["interval"] = pd.array(ends, dtype="string")
    lines["name"] = pd.array([_name(each) for each in findings], dtype="string")
    # Of a benchmark that was not measured no number of pairs is told.
    lines["pairs"] = lines["pairs"].where(lines["pairs"].astype(float) > 0)
    lines["status"] = lines["verdict"].map({"slower": "failed", "wrong": "wrong", "failed": "failed"}).fillna("ok")
    return Table(title, _COLUMNS, lines).without_empty()


def gate_html(folder: Path, warn: Callable[[str], None]) -> str:
    """A gate run's section.

    Raises
    ------
    StoreError
        The folder holds no run of the gate.
    """
    path = folder / "findings.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        findings, control = found["findings"], found.get("control", [])
        head = f"{found['head']} compared with {found['base']}: {found['headline']}"
        margin = float(found["margin"])
        tables = [html_table(_table(findings, "Benchmarks"))]
        if control:
            tables.append(html_table(_table(control, "Control: base compared with itself")))
        # What is not the same comes first, the largest change before the others.
        findings.sort(key=lambda each: (each["verdict"] in _PLAIN, -abs(math.log(each["ratio"] or 1.0))))
        suspects = [(_name(each), each["verdict"], each.get("margin") or margin, _ends(each)) for each in findings
                    if each["verdict"] not in _PLAIN]  # fmt: skip
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}, expected a folder of convmark gate") from error
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} is damaged, expected a folder of convmark gate") from error
    pairs: dict[str, list[tuple[int, float]]] = {}
    controls: list[tuple[int, float]] = []
    for line in read_lines(folder / "pairs.jsonl", warn):
        if not {"benchmark", "generation"} <= line.keys():
            warn(f"{folder / 'pairs.jsonl'} has a line that is no pair, which is left out, expected a gate's own")
            continue
        if line.get("head_log_ratio") is not None:
            pairs.setdefault(line["benchmark"], []).append((line["generation"], line["head_log_ratio"]))
        if line.get("control_log_ratio") is not None:
            controls.append((line["generation"], line["control_log_ratio"]))
    figures = [
        html_figure(gate_figure(name, verdict, pairs[name], controls, own, ends))
        for name, verdict, own, ends in suspects
        if name in pairs
    ]
    return f"<p>{escape(head)}</p>{''.join(figures)}{''.join(tables)}"


def _ends(finding: dict[str, Any]) -> tuple[float, float]:
    low, high = (math.nan if finding[name] is None else float(finding[name]) for name in ("low", "high"))
    return low, high


def _name(finding: dict[str, Any]) -> str:
    # Those that earlier versions stored have no metric.
    return Benchmark(**{each.name: finding[each.name] for each in fields(Benchmark) if each.name in finding}).name
