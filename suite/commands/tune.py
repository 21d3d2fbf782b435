"""``convmark tune``: time what may be the fastest, and remember it for ``algorithm="auto"``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from suite import options

__all__ = ["EXAMPLES", "tune"]

EXAMPLES = (
    "convmark tune -n resnet50",
    "convmark tune --all --threads 1,2",
    "convmark tune -p ic64ih56oc64kh3ph1 --again --processes 3",
    "convmark tune --fleet tcp://10.0.0.1:8786 --hosts 3 --all",
    "convmark tune --forget",
)


def tune(
    network: options.Networks = None,
    every: options.Every = False,
    problem: options.Problems = None,
    mb: options.Batch = "1",
    direction: options.Directions = "fwd",
    threads: options.Threads = None,
    seconds: options.Seconds = 0.2,
    processes: options.Processes = 1,
    within: Annotated[
        float, typer.Option(metavar="X", help="Time algorithms that are predicted to take up to X times the least.")
    ] = 2.0,
    again: Annotated[bool, typer.Option("--again", help="Measure what is known already as well.")] = False,
    forget: Annotated[bool, typer.Option("--forget", help="Remove all that was measured on this CPU.")] = False,
    no_wait: options.NoWait = False,
    fleet: Annotated[
        str,
        typer.Option(
            "--fleet",
            metavar="ADDRESS",
            help="Tune on the machines of this Dask scheduler, and collect it: docs/fleet.md.",
        ),
    ] = "",
    hosts: Annotated[int, typer.Option("--hosts", metavar="N", help="Wait for so many machines of the fleet.")] = 1,
    results: options.Results = Path("results"),
    as_json: options.Json = False,
) -> None:
    """Time the algorithms that may be the fastest, and remember for algorithm="auto" how long they took.

    Every problem counts once. Wrong results are not remembered, and neither are times that others' load
    disturbed. Before the first, this machine's limits are measured: the cost model divides by them.
    What is finished when you interrupt is kept; the same command goes on with the rest.
    """
    from suite.actions import tune

    tune.tune(
        network, every, problem, mb, direction, threads, seconds, processes, within, again, forget, no_wait, fleet,
        hosts, results, as_json,
    )  # fmt: skip
