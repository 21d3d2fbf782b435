"""``convmark run``: verify, time, store and report."""

from __future__ import annotations

from pathlib import Path

from suite import options
from suite.measure.screen import SCREEN

__all__ = ["EXAMPLES", "run"]

EXAMPLES = (
    "convmark run",
    "convmark run -n resnet50 --contender all --threads 1,2",
    "convmark run -n vgg19 -c winograd_f4x3 -c peers --cache warm,cold",
    "convmark run --resume latest",
)


def run(
    network: options.Networks = None,
    every: options.Every = False,
    contender: options.Contenders = None,
    problem: options.Problems = None,
    mb: options.Batch = "1",
    direction: options.Directions = "fwd",
    threads: options.Threads = None,
    seconds: options.Seconds = 0.2,
    processes: options.Processes = 3,
    slower: options.Slower = SCREEN,
    cache: options.Cache = "warm",
    reference: options.Reference = "",
    part: options.Part = "1/1",
    resume: options.Resume = None,
    results: options.Results = Path("results"),
    details: options.Details = False,
    no_wait: options.NoWait = False,
    as_json: options.Json = False,
) -> None:
    """Verify, time, store and report. Without arguments: basics and resnet50 at mb=1 on one thread.

    The first process of each contender verifies it and shows which are far from the fastest of a layer: their
    rows are of that one process. All tables are in the report; --details prints them as well.
    """
    from suite.actions import run

    run.run(
        network,
        every,
        contender,
        problem,
        mb,
        direction,
        threads,
        seconds,
        processes,
        slower,
        cache,
        reference,
        part,
        resume,
        results,
        details,
        no_wait,
        as_json,
    )
