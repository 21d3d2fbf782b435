"""The work of ``convmark verify``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import typer

from kernels import algorithms, get_algorithm
from suite.actions.arguments import all_right, counts, request_of
from suite.console import print_json, stderr, stdout
from suite.contenders import Contender
from suite.progress import Watch
from suite.report.accuracy import print_accuracy
from suite.report.verdicts import print_verdicts
from suite.selection import Case
from suite.verification.accuracy import LADDER, Accuracy, measure_accuracy
from suite.verification.oracle_runs import verify_cases

__all__ = ["verify"]


def verify(
    network: list[str] | None,
    every: bool,
    algorithm: list[str] | None,
    problem: list[str] | None,
    mb: str,
    direction: str,
    threads: list[str] | None,
    accuracy: bool,
    as_json: bool,
) -> None:
    """See `suite.commands.verify.verify`."""
    chosen = [get_algorithm(name).name for name in algorithm or [each.name for each in algorithms()]]
    if accuracy and not (network or every or problem):
        problem = [*LADDER]
    cases = request_of(network, every, chosen, problem, mb, threads, direction=direction).cases()
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


def _accuracy(cases: Mapping[Case, Sequence[Contender[Any, Any]]], as_json: bool) -> NoReturn:
    """Errors instead of verdicts; exit code 1 if a promise is broken."""
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
