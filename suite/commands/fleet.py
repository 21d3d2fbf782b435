"""``convmark fleet``: the same run on many machines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from suite import options

__all__ = ["CONTEXT", "EXAMPLES", "EXIT_CODES", "fleet"]

EXAMPLES = (
    "convmark fleet worker --scheduler tcp://10.0.0.1:8786",
    "convmark fleet run --scheduler tcp://10.0.0.1:8786 -n resnet50 -c all",
    "convmark fleet run --scheduler tcp://10.0.0.1:8786 --resume latest",
    "convmark fleet run --local 2 -n quick",
    "convmark fleet status",
    "convmark fleet stop --scheduler tcp://10.0.0.1:8786",
    "convmark fleet report",
)

EXIT_CODES = """
\b
Exit codes of run and report:
  0    every machine has all its rows, and they are right
  1    something is wrong, failed, missing or not merged
  2    what was asked for cannot be done, or a machine or the scheduler stayed away
  130  interrupted; what was fetched is stored, and machines go on until they are stopped
"""

#: What is not an option here is one of ``convmark run``.
CONTEXT = {"allow_extra_args": True, "ignore_unknown_options": True}

_Action = Annotated[
    str,
    typer.Argument(
        metavar="ACTION",
        help="run, status, stop (end what machines carry out), report, or worker, which serves on a machine.",
    ),
]


def fleet(
    context: typer.Context,
    action: _Action,
    scheduler: Annotated[str, typer.Option("--scheduler", metavar="ADDRESS", help="Of Dask's scheduler.")] = "",
    local: Annotated[
        int, typer.Option("--local", metavar="N", help="N workers on this machine instead, to try it out.")
    ] = 0,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Of a worker's machine; else its host's.")] = "",
    workers: Annotated[str, typer.Option("--workers", metavar="PATTERN", help="Machines by name, like 'arm-*'.")] = "*",
    hosts: Annotated[int, typer.Option("--hosts", metavar="N", help="Wait for so many machines; all local ones.")] = 1,
    split: Annotated[
        bool, typer.Option("--split", help="Divide the layers over those machines that are alike, and merge the parts.")
    ] = False,
    revision: Annotated[
        str, typer.Option("--revision", metavar="REV", help="What is measured; else the sources that run.")
    ] = "",
    ship: Annotated[
        Path | None, typer.Option("--ship", metavar="WHEEL", help="Measure what this wheel of convmark holds.")
    ] = None,
    environment: Annotated[
        str,
        typer.Option(
            "--environment",
            help="own, built by each worker; peers, the same with other libraries; current, the worker's interpreter.",
        ),
    ] = "",
    patience: Annotated[
        float, typer.Option("--patience", metavar="S", help="Seconds to wait for a lost scheduler or machine.")
    ] = options.PATIENCE_S,
    poll: Annotated[
        float, typer.Option("--poll", metavar="S", help="Seconds from one look for new rows to the next.")
    ] = options.POLL_S,
    resume: options.Resume = None,
    results: options.Results = Path("results"),
    as_json: options.Json = False,
) -> None:
    """Measure the same run on many machines by a Dask cluster, and compare them. Takes the options of convmark run."""
    from suite.actions import fleet

    fleet.fleet(
        action, scheduler, local, name, workers, hosts, split, revision, ship, environment, patience, poll, resume,
        results, context.args, as_json,
    )  # fmt: skip
