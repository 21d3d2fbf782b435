"""``convmark verify``: is everything right?"""

from __future__ import annotations

import typer

from kernels import algorithms, get_algorithm
from suite import options
from suite.commands.asked import all_right, counts, request_of
from suite.console import print_json, stderr, stdout
from suite.progress import Watch
from suite.report.verdicts import print_verdicts
from suite.verifier import verify_tasks

__all__ = ["verify"]


def verify(
    network: options.Networks = None,
    every: options.Every = False,
    algorithm: options.Ours = None,
    problem: options.Problems = None,
    mb: options.Batch = "1",
    threads: options.Threads = None,
    as_json: options.Json = False,
) -> None:
    """Check every algorithm against the float64 oracle, without timing."""
    chosen = [get_algorithm(name).name for name in algorithm or [each.name for each in algorithms()]]
    tasks = request_of(network, every, chosen, problem, mb, threads).tasks()
    with Watch(stderr(), len(tasks)) as watch:
        rows = []
        for row in verify_tasks(tasks, lambda task: watch.at(task.layer, task.contender.name)):
            rows.append(row)
            watch.done_with((row["network"], row["layer"]), [row])
    if as_json:
        print_json({"counts": counts(rows), "rows": rows})
    else:
        print_verdicts(stdout(), rows)
    raise typer.Exit(0 if all_right(row["status"] for row in rows) else 1)
