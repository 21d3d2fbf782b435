"""The options that commands share, and how their examples are written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

#: Seconds that a fleet waits for a lost scheduler or machine, and from one look for new rows to the next.
PATIENCE_S, POLL_S = 600.0, 30.0

__all__ = [
    "PATIENCE_S",
    "POLL_S",
    "Asv",
    "Batch",
    "Cache",
    "Contenders",
    "Details",
    "Directions",
    "Every",
    "Json",
    "MaxError",
    "MaxWorkspace",
    "Networks",
    "NoWait",
    "Ours",
    "Output",
    "Part",
    "Problems",
    "Processes",
    "PytestBenchmark",
    "Reference",
    "Results",
    "Resume",
    "RunName",
    "Seconds",
    "Slower",
    "Threads",
    "WindowOnly",
    "examples",
]

Networks = Annotated[
    list[str] | None,
    typer.Option("--network", "--workload", "-n", metavar="NAME", help="A network; may be given again."),
]
Every = Annotated[bool, typer.Option("--all", help="All networks.")]
Problems = Annotated[
    list[str] | None,
    typer.Option("--problem", "-p", metavar="TEXT", help="A problem, like ic64ih56oc64kh3ph1; may be given again."),
]
Ours = Annotated[
    list[str] | None,
    typer.Option("--algorithm", "-a", metavar="NAME", help="An algorithm instead of all; may be given again."),
]
Contenders = Annotated[
    list[str] | None,
    typer.Option(
        "--contender", "--algorithm", "-c", "-a", metavar="NAME",
        help="What is timed: an algorithm, a library, or all, ours (the default), peers; may be given again.",
    ),
]  # fmt: skip
Batch = Annotated[
    str, typer.Option("--mb", metavar="N", help="Batch of the networks' layers, or 'listed' for what the files state.")
]
Directions = Annotated[
    str,
    typer.Option(
        "--direction", metavar="D[,D]",
        help="What is computed of networks' layers and of problems without a direction: fwd, bwd_d (backward data), "
        "bwd_w (backward weights), or several.",
    ),
]  # fmt: skip
Threads = Annotated[
    list[str] | None, typer.Option("--threads", "-t", metavar="N[,N]", help="Numbers of threads; may be given again.")
]
Seconds = Annotated[float, typer.Option("--seconds", metavar="S", help="Seconds of samples per row.")]
Processes = Annotated[int, typer.Option("--processes", metavar="N", help="Fresh processes per contender.")]
Slower = Annotated[
    float,
    typer.Option(
        "--slower", metavar="X",
        help="Contenders slower than X times a layer's fastest in the first process are measured in no other; 0: all.",
    ),
]  # fmt: skip
Details = Annotated[bool, typer.Option("--details", help="Print a table per layer too, and all that the report has.")]
Cache = Annotated[
    str, typer.Option("--cache", metavar="KIND", help="Caches before a call: warm, cold (emptied), or warm,cold.")
]
Reference = Annotated[
    str, typer.Option("--reference", metavar="NAME", help="What ratios are stated to; else each layer's best peer.")
]
Part = Annotated[
    str,
    typer.Option(
        "--part", metavar="K/N",
        help="Every N-th layer from the K-th, and the first, by which machines that measure parts are compared.",
    ),
]  # fmt: skip
Resume = Annotated[
    str | None, typer.Option("--resume", metavar="RUN", help="Go on with this run, or with the 'latest'.")
]
Results = Annotated[Path, typer.Option("--results", metavar="DIR", help="Folder of the results.")]
RunName = Annotated[str | None, typer.Argument(metavar="[RUN]", help="Name or folder of a run; else the latest.")]
Asv = Annotated[Path | None, typer.Option("--asv", metavar="DIR", help="asv's results folder, like .asv/results.")]
PytestBenchmark = Annotated[
    Path | None, typer.Option("--pytest-benchmark", metavar="FILE", help="File of pytest --benchmark-json.")
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="DIR", help="Folder of the report's files; else the run's.")
]
MaxError = Annotated[
    float | None, typer.Option("--max-error", metavar="E", help="Largest relative L2 error that is accepted.")
]
MaxWorkspace = Annotated[
    str | None, typer.Option("--max-workspace", metavar="BYTES", help="Most scratch memory per layer, like 4MiB.")
]
WindowOnly = Annotated[
    bool,
    typer.Option("--window-only", help="Only algorithms of which each output depends on its own window of the input."),
]
NoWait = Annotated[
    bool,
    typer.Option("--no-wait", help="Do not wait for another command that measures on this host: say which, and exit."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]


def examples(*lines: str) -> str:
    """Examples for the end of a command's help, a line each."""
    # \b keeps the help from filling the lines into a paragraph.
    return "\n".join(("\b", "Examples:", *(f"  {line}" for line in lines)))
