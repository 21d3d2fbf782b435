"""``convmark explain``: why does ``algorithm="auto"`` choose what it chooses, and is it right?"""

from __future__ import annotations

from typing import Annotated

import typer

from kernels import Conv2dProblem, choose
from suite import options
from suite.catalogue import Layer
from suite.commands.asked import bytes_of, threads_of
from suite.console import fail, print_json, print_table, stderr
from suite.progress import Watch
from suite.report.explanation import EXPLANATION_HEADINGS, explanation_dict, explanation_lines, judgement
from suite.report.groups import circumstances
from suite.tuning import Contest, Finding, hold, worth_timing

__all__ = ["EXAMPLES", "explain"]

EXAMPLES = (
    "convmark explain ic64ih56oc64kh3ph1",
    "convmark explain ic256ih14oc256kh3ph1 --threads 2 --max-error 1e-6",
    "convmark explain g32ic32ih112oc32kh3ph1 --no-measure --json",
)

#: Those that are predicted to take more than so many times the least are not waited for.
_WITHIN = 10.0

#: Seconds of samples an algorithm.
_SECONDS = 0.1


def explain(
    problem: Annotated[str, typer.Argument(metavar="PROBLEM", help="A problem, like ic64ih56oc64kh3ph1.")],
    threads: Annotated[str, typer.Option("--threads", "-t", metavar="N", help="Number of threads.")] = "1",
    max_error: options.MaxError = None,
    max_workspace: options.MaxWorkspace = None,
    measure: Annotated[
        bool, typer.Option("--measure/--no-measure", help="Time the algorithms beside what is predicted of them.")
    ] = True,
    as_json: options.Json = False,
) -> None:
    """Show what the cost model predicts of each algorithm beside what is measured, and why one is chosen.

    Those that are predicted to take more than ten times the least are not timed.
    """
    counts = threads_of((threads,))
    if len(counts) != 1:
        fail(f"--threads is {threads!r}, expected one number")
    parsed, budget = Conv2dProblem.parse(problem), bytes_of("--max-workspace", max_workspace)
    choice = choose(parsed, counts[0], max_error=max_error, max_workspace=budget)
    modelled = choose(parsed, counts[0], max_error=max_error, max_workspace=budget, tuned=False)
    finding = None
    if measure:
        layer = Layer("text", str(parsed), parsed, 1)
        finding = _measured(Contest(layer, counts[0], modelled, worth_timing(modelled, _WITHIN)))
    if as_json:
        print_json(
            {
                "problem": str(parsed), "threads": counts[0], "chosen": choice.algorithm.name, "why": choice.why,
                "cost_model": modelled.algorithm.name,
                "fastest": next(iter(finding.seconds), None) if finding else None,
                "cost_model_behind": finding.picked_behind if finding else None,
                "algorithms": explanation_dict(choice, finding),
            }
        )  # fmt: skip
    else:
        print(f"{parsed}, {circumstances(counts[0], 'warm')}")
        print_table(EXPLANATION_HEADINGS, explanation_lines(choice, finding))
        print(f"{choice.why.removesuffix('.')}.")
        if finding:
            print(judgement(finding))
    raise typer.Exit(1 if finding and finding.is_bad else 0)


def _measured(contest: Contest) -> Finding:
    found: list[Finding] = []
    with Watch(stderr(), 1) as watch:
        hold([contest], _SECONDS, 1, found.append, before=lambda bout, generation, name: watch.at(bout.layer, name))
    return found[0]
