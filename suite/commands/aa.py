"""``convmark aa``: what the gate is worth on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from suite import options

__all__ = ["EXAMPLES", "EXIT_CODES", "aa"]

EXAMPLES = ("convmark aa", "convmark aa --generations 60 --json", "convmark aa --resume results/aa/DIR")

EXIT_CODES = """
\b
Exit codes:
  0    the gate keeps its promise on this machine
  1    it does not
  2    too little could be measured; one sentence on stderr says why
  130  interrupted; go on with --resume
"""


def aa(
    network: options.Networks = None,
    problem: options.Problems = None,
    direction: options.Directions = "fwd",
    threads: options.Threads = None,
    generations: Annotated[int, typer.Option(metavar="N", help="Pairs of fresh processes.")] = 30,
    runs: Annotated[int, typer.Option(metavar="N", help="Runs of the gate that are resampled from them.")] = 1000,
    resume: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Go on with, or only evaluate, this folder.")
    ] = None,
    results: options.Results = Path("results"),
    no_wait: options.NoWait = False,
    as_json: options.Json = False,
) -> None:
    """Measure the same code as both sides, with and without slowdowns of known size.

    Prints how often the gate would raise a false alarm, and how often it would find a slowdown of 5, 10 and 20 %.
    """
    from suite.actions import aa

    aa.aa(network, problem, direction, threads, generations, runs, resume, results, no_wait, as_json)
