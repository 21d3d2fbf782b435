"""``convmark verify``: whether everything is right."""

from __future__ import annotations

from typing import Annotated

import typer

from suite import options

__all__ = ["EXAMPLES", "verify"]

EXAMPLES = (
    "convmark verify --all",
    "convmark verify -a fft_tile16 -p ic8ih20oc8kh5ph2",
    "convmark verify --accuracy",
    "convmark verify --accuracy -a winograd_f6x3 -n vgg19 --json",
)


def verify(
    network: options.Networks = None,
    every: options.Every = False,
    algorithm: options.Ours = None,
    problem: options.Problems = None,
    mb: options.Batch = "1",
    direction: options.Directions = "fwd",
    threads: options.Threads = None,
    accuracy: Annotated[
        bool,
        typer.Option(
            "--accuracy",
            help="Show how large the errors are, on unfriendly data as well; else only whether all is right. "
            "Over numbers of channels, if no network and no problem is asked for.",
        ),
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Check every algorithm against the float64 oracle, without timing."""
    from suite.actions import verify

    verify.verify(network, every, algorithm, problem, mb, direction, threads, accuracy, as_json)
