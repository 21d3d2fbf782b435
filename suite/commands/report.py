"""``convmark report``: stored runs as tables in the terminal and as one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from suite import options

__all__ = ["EXAMPLES", "report"]

EXAMPLES = (
    "convmark report",
    "convmark report --details",
    "convmark report here there --output both",
    "convmark report results/layers/choice_avx512 --output page",
    "convmark report latest --asv .asv/results --pytest-benchmark out.json",
)

_Names = Annotated[
    list[str] | None, typer.Argument(metavar="[RUN]...", help="Names or folders of runs; else the latest.")
]

_Gate = Annotated[
    Path | None,
    typer.Option("--gate", metavar="DIR", help="Folder of a gate's run; else the newest below the results."),
]

_TensorBoard = Annotated[
    Path | None, typer.Option("--tensorboard", metavar="DIR", help="Folder that TensorBoard's events go to as well.")
]

_Lnt = Annotated[
    Path | None, typer.Option("--lnt", metavar="FILE", help="File of one run in LNT's report format as well.")
]

_Conbench = Annotated[
    Path | None, typer.Option("--conbench", metavar="FILE", help="File of one run's results for Conbench as well.")
]


def report(
    names: _Names = None,
    results: options.Results = Path("results"),
    asv: options.Asv = None,
    pytest_benchmark: options.PytestBenchmark = None,
    gate: _Gate = None,
    tensorboard: _TensorBoard = None,
    lnt: _Lnt = None,
    conbench: _Conbench = None,
    output: options.Output = None,
    details: options.Details = False,
    as_json: options.Json = False,
) -> None:
    """Print runs, and write their page. With --asv or --pytest-benchmark and no RUN: only theirs.

    The page, report.html, is one file that opens offline. Several runs stand side by side; the history is of all runs
    below the results.
    """
    from suite.actions import report

    report.report(names, results, asv, pytest_benchmark, gate, tensorboard, lnt, conbench, output, details, as_json)
