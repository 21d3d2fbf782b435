"""``convmark profile``: where the time of Winograd and FFT goes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from suite import options

__all__ = ["EXAMPLES", "profile"]

EXAMPLES = (
    "convmark profile",
    "convmark profile -a winograd_f4x3 -n vgg19",
    "convmark profile -p ic64ih56oc64kh3ph1 --output profile.md",
)


def profile(
    network: options.Networks = None,
    algorithm: options.Ours = None,
    problem: options.Problems = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write Markdown there.")] = None,
    no_wait: options.NoWait = False,
    as_json: options.Json = False,
) -> None:
    """Time the phases of Winograd and FFT on one thread, each against its own limit."""
    from suite.actions import profile

    profile.profile(network, algorithm, problem, output, no_wait, as_json)
