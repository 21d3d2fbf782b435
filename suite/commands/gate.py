"""``convmark gate``: whether a change made anything slower."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from suite import options
from suite.gate.findings import MARGIN, METRICS
from suite.gate.revisions import WORKING_TREE

__all__ = ["EXAMPLES", "EXIT_CODES", "gate"]

EXAMPLES = (
    "convmark gate --base main",
    "convmark gate --base main --metrics time,compile,workspace",
    "convmark gate --base v1.0 --head HEAD -n resnet50 --minutes 30 -t 1,2",
)

EXIT_CODES = """
\b
Exit codes:
  0    none is slower
  1    one is slower, or is no longer right
  2    not everything could be measured or decided; one sentence on stderr says why
  3    the control is dirty: base differs from itself on this machine
  130  interrupted
"""


def gate(
    base: Annotated[str, typer.Option("--base", metavar="REV", help="What head is compared with: any git revision.")],
    head: Annotated[
        str, typer.Option("--head", metavar="REV", help="A git revision, or the files as they are.")
    ] = WORKING_TREE,
    network: options.Networks = None,
    problem: options.Problems = None,
    algorithm: Annotated[
        list[str] | None,
        typer.Option("--algorithm", "-a", metavar="NAME", help="An algorithm instead of all; may be given again."),
    ] = None,
    direction: options.Directions = "fwd",
    threads: options.Threads = None,
    margin: Annotated[float, typer.Option(metavar="X", help="The smallest slowdown that must not pass.")] = MARGIN,
    minutes: Annotated[float, typer.Option(metavar="M", help="When to stop, decided or not.")] = 10.0,
    metrics: Annotated[
        str,
        typer.Option(
            metavar="LIST",
            help="What is compared: time, compile (seconds of compiling), workspace (bytes; any more fails), "
            "with commas.",
        ),
    ] = METRICS[0],
    environment: Annotated[
        str,
        typer.Option(
            metavar="KIND", help="'own': each revision in an environment of what it depends on; or 'current'."
        ),
    ] = "own",
    results: options.Results = Path("results"),
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Folder of all files; else below the results.")
    ] = None,
    no_wait: options.NoWait = False,
    as_json: options.Json = False,
) -> None:
    """Compare two revisions of the kernels, measured in turns on this machine."""
    from suite.actions import gate

    gate.gate(
        base,
        head,
        network,
        problem,
        algorithm,
        direction,
        threads,
        margin,
        minutes,
        metrics,
        environment,
        results,
        output,
        no_wait,
        as_json,
    )
