"""``convmark fleet``: the same run on many machines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from suite import options

__all__ = ["CONTEXT", "EXAMPLES", "fleet"]

EXAMPLES = (
    "convmark fleet worker --scheduler tcp://10.0.0.1:8786",
    "convmark fleet run --scheduler tcp://10.0.0.1:8786 -n resnet50 -c all",
    "convmark fleet run --scheduler tcp://10.0.0.1:8786 --resume latest",
    "convmark fleet status",
    "convmark fleet report",
)

#: What is not an option here is one of ``convmark run``.
CONTEXT = {"allow_extra_args": True, "ignore_unknown_options": True}

_Action = Annotated[
    str, typer.Argument(metavar="ACTION", help="run, status, report, or worker, which serves on a machine.")
]


def fleet(
    context: typer.Context,
    action: _Action,
    scheduler: Annotated[str, typer.Option("--scheduler", metavar="ADDRESS", help="Of Dask's scheduler.")] = "",
    workers: Annotated[str, typer.Option("--workers", metavar="PATTERN", help="Hosts by name, like 'arm-*'.")] = "*",
    hosts: Annotated[int, typer.Option("--hosts", metavar="N", help="Wait for so many hosts.")] = 1,
    revision: Annotated[
        str, typer.Option("--revision", metavar="REV", help="What is measured; else the sources that run.")
    ] = "",
    environment: Annotated[
        str, typer.Option("--environment", help="'own', built by each worker, or 'current', the worker's interpreter.")
    ] = "own",
    patience: Annotated[
        float, typer.Option("--patience", metavar="S", help="Seconds to wait for a lost scheduler or host.")
    ] = 600.0,
    poll: Annotated[
        float, typer.Option("--poll", metavar="S", help="Seconds from one look for new rows to the next.")
    ] = 30.0,
    resume: options.Resume = None,
    results: options.Results = Path("results"),
) -> None:
    """Measure the same run on many machines by a Dask cluster, and compare them. Takes the options of convmark run."""
    from suite.actions import fleet

    fleet.fleet(action, scheduler, workers, hosts, revision, environment, patience, poll, resume, results, context.args)
