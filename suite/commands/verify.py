"""``convmark verify``: is everything right?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, NoReturn

import typer

from kernels import algorithms, get_algorithm
from suite import options
from suite.commands.arguments import all_right, counts, request_of
from suite.console import print_json, stderr, stdout
from suite.contenders import Contender
from suite.progress import Watch
from suite.report.accuracy import print_accuracy
from suite.report.verdicts import print_verdicts
from suite.selection import Case
from suite.verification.accuracy import LADDER, Accuracy, measure_accuracy
from suite.verification.oracle_runs import verify_cases

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
    threads: options.Threads = None,
    accuracy: Annotated[
        bool,
        typer.Option(
            "--accuracy",
            help="Show how large the errors are, on unfriendly data as well; else only whether all is right. "
            "Over numbers of channels, where no network and no problem is asked for.",
        ),
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Check every algorithm against the float64 oracle, without timing."""
    chosen = [get_algorithm(name).name for name in algorithm or [each.name for each in algorithms()]]
    if accuracy and not (network or every or problem):
        problem = [*LADDER]
    cases = request_of(network, every, chosen, problem, mb, threads).cases()
    if accuracy:
        _accuracy(cases, as_json)
    with Watch(stderr(), sum(map(len, cases.values()))) as watch:
        rows = []
        for row in verify_cases(cases, lambda case, contender: watch.at(case.layer, contender.name)):
            rows.append(row)
            watch.done_with((row["network"], row["layer"]), [row])
    if as_json:
        print_json({"counts": counts(rows), "rows": rows})
    else:
        print_verdicts(stdout(), rows)
    raise typer.Exit(0 if all_right(row["status"] for row in rows) else 1)


def _accuracy(cases: Mapping[Case, Sequence[Contender]], as_json: bool) -> NoReturn:
    """Errors instead of verdicts; exit code 1 where a promise is broken."""
    entries: list[Accuracy] = []
    with Watch(stderr(), sum(map(len, cases.values()))) as watch:
        for case, found in measure_accuracy(cases, lambda case, contender: watch.at(case.layer, contender.name)):
            entries += found
            worst = next((each.status for each in found if each.status not in ("ok", "skipped")), found[0].status)
            watch.done_with((case.layer.network, case.layer.name), [{"status": worst}])
    rows = [each.as_dict() for each in entries]
    if as_json:
        print_json({"counts": counts(rows), "rows": rows})
    else:
        print_accuracy(stdout(), entries)
    raise typer.Exit(0 if all_right(row["status"] for row in rows) else 1)
