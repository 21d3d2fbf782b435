"""``convmark memory``: how much memory a network needs."""

from __future__ import annotations

from typing import Annotated

import typer

from suite import options

__all__ = ["EXAMPLES", "memory"]

EXAMPLES = (
    "convmark memory -n resnet50",
    "convmark memory -n vgg19 --mb 8 --threads 2 --max-workspace 4MiB",
    "convmark memory -p ic64ih56oc64kh3ph1 --json",
)


def memory(
    network: options.Networks = None,
    problem: options.Problems = None,
    mb: options.Batch = "1",
    direction: options.Directions = "fwd",
    threads: Annotated[str, typer.Option("--threads", "-t", metavar="N", help="Number of threads.")] = "1",
    max_error: options.MaxError = None,
    max_workspace: options.MaxWorkspace = None,
    window_only: options.WindowOnly = False,
    as_json: options.Json = False,
) -> None:
    """Show what the layers of networks take of memory, with the algorithm that algorithm="auto" chooses.

    Packed weights are measured by packing: if that is slow, so is this.
    """
    from suite.actions import memory

    memory.memory(network, problem, mb, direction, threads, max_error, max_workspace, window_only, as_json)
