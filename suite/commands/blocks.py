"""``convmark blocks``: fused blocks compared with PyTorch, ONNX Runtime, and the same layers one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from suite import options
from suite.measure.screen import SCREEN

__all__ = ["EXAMPLES", "blocks"]

EXAMPLES = (
    "convmark blocks",
    "convmark blocks --block resnet_stem --block darknet_residual --threads 1,2",
    "convmark blocks --block unet_down:mb2ic64ih100oc128 --contender ours --json",
)


def blocks(
    block: Annotated[
        list[str] | None,
        typer.Option(
            "--block", "-b", metavar="NAME",
            help="A block of workloads/blocks.txt, all of a kind, or a text like resnet_stem:ic3ih224oc64; "
            "may be given again.",
        ),
    ] = None,
    contender: Annotated[
        list[str] | None,
        typer.Option(
            "--contender", "-c", metavar="NAME",
            help="What is timed: block_fused, block_unfused, torch_eager_nchw, torch_eager_channels_last, "
            "onnxruntime_graph, or all (the default), ours, peers; may be given again.",
        ),
    ] = None,
    threads: options.Threads = None,
    seconds: options.Seconds = 0.2,
    processes: options.Processes = 3,
    cache: options.Cache = "warm",
    slower: options.Slower = SCREEN,
    results: options.Results = Path("results"),
    details: options.Details = False,
    no_wait: options.NoWait = False,
    as_json: options.Json = False,
) -> None:  # fmt: skip
    """Verify and time blocks of several layers, fused and not, compared with other libraries; store and report."""
    from suite.actions import blocks

    blocks.blocks(block, contender, threads, seconds, processes, cache, slower, results, details, no_wait, as_json)
