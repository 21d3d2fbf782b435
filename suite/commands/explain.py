"""``convmark explain``: why ``algorithm="auto"`` chooses what it chooses, and whether it is right."""

from __future__ import annotations

from typing import Annotated

import typer

from suite import options

__all__ = ["EXAMPLES", "explain"]

EXAMPLES = (
    "convmark explain ic64ih56oc64kh3ph1",
    "convmark explain ic256ih14oc256kh3ph1 --threads 2 --max-error 1e-6",
    "convmark explain g32ic32ih112oc32kh3ph1 --no-measure --json",
)


def explain(
    problem: Annotated[str, typer.Argument(metavar="PROBLEM", help="A problem, like ic64ih56oc64kh3ph1.")],
    threads: Annotated[str, typer.Option("--threads", "-t", metavar="N", help="Number of threads.")] = "1",
    max_error: options.MaxError = None,
    max_workspace: options.MaxWorkspace = None,
    window_only: options.WindowOnly = False,
    measure: Annotated[
        bool, typer.Option("--measure/--no-measure", help="Time the algorithms too, or show what is predicted alone.")
    ] = True,
    no_wait: options.NoWait = False,
    as_json: options.Json = False,
) -> None:
    """Show what the cost model predicts of each algorithm and what is measured, and why one is chosen.

    Those that are predicted to take more than ten times the least are not timed.
    """
    from suite.actions import explain

    explain.explain(problem, threads, max_error, max_workspace, window_only, measure, no_wait, as_json)
