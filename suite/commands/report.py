"""``convmark report``: what is stored, as tables and pictures."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from suite import options
from suite.commands.arguments import all_right
from suite.console import print_json, stderr, stdout, warn
from suite.report.foreign import read_asv, read_pytest_benchmark
from suite.report.gather import combine, write_report
from suite.report.terminal import print_report
from suite.results.runs import Run, open_run

__all__ = ["EXAMPLES", "complete", "report"]

EXAMPLES = (
    "convmark report",
    "convmark report --details",
    "convmark report latest --asv .asv/results --pytest-benchmark out.json",
)


def report(
    name: options.RunName = None,
    results: options.Results = Path("results"),
    asv: options.Asv = None,
    pytest_benchmark: options.PytestBenchmark = None,
    output: options.Output = None,
    details: options.Details = False,
    as_json: options.Json = False,
) -> None:
    """Print a run, and write its report. With --asv or --pytest-benchmark and no RUN: only theirs."""
    others = read_asv(asv) if asv else [], read_pytest_benchmark(pytest_benchmark) if pytest_benchmark else []
    alone = name is None and (asv is not None or pytest_benchmark is not None)
    here = None if alone else open_run(results, name or "latest", warn)
    frame = combine(here.rows if here else [], *others)
    if as_json:
        print_json({"rows": json.loads(frame.to_json(orient="records"))})
    else:
        print_report(stdout(), frame, details=details)
    folder = output or (here.folder if here else None)
    if folder is not None:
        stderr().print(f"Report: {write_report(frame, here, folder)[0]}", soft_wrap=True, markup=False)
    raise typer.Exit(0 if complete(here) and all_right(frame["status"]) else 1)


def complete(here: Run | None) -> bool:
    """Whether a run has all its rows; a sentence on stderr where it has not."""
    if here is None or not here.missing:
        return True
    warn(
        f"{here.missing} of {here.expected} rows are missing in run {here.name}; "
        f"go on with: convmark run --resume {here.name}"
    )
    return False
