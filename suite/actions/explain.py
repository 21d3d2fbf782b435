"""The work of ``convmark explain``."""

from __future__ import annotations

from typing import Any

import typer

from kernels import Conv2dProblem, choose
from suite.actions.arguments import bytes_of, threads_of
from suite.catalogue import Layer
from suite.console import fail, print_json, print_table, stderr
from suite.format import circumstances
from suite.machine.host_lock import measuring_alone
from suite.measure.tuning import TuningCase, TuningResult, run_tuning, worth_timing
from suite.progress import Watch
from suite.report.explanation import EXPLANATION_HEADINGS, explanation_dict, explanation_lines, judgement

__all__ = ["explain"]

#: Those that are predicted to take more than so many times the least are not waited for.
_WITHIN = 10.0

#: Seconds of samples an algorithm.
_SECONDS = 0.1


def explain(
    problem: str,
    threads: str,
    max_error: float | None,
    max_workspace: str | None,
    window_only: bool,
    measure: bool,
    no_wait: bool,
    as_json: bool,
) -> None:
    """See `suite.commands.explain.explain`."""
    counts = threads_of((threads,))
    if len(counts) != 1:
        fail(f"--threads is {threads!r}, expected one number")
    parsed, budget = Conv2dProblem.parse(problem), bytes_of("--max-workspace", max_workspace)
    asked: Any = {"max_error": max_error, "max_workspace": budget, "window_only": window_only}
    choice = choose(parsed, counts[0], **asked)
    modelled = choose(parsed, counts[0], **asked, tuned=False)
    result = None
    if measure:
        layer = Layer("text", str(parsed), parsed, 1)
        with measuring_alone(wait=not no_wait):
            result = _measured(TuningCase(layer, counts[0], modelled, worth_timing(modelled, _WITHIN)))
    if as_json:
        print_json(
            {
                "problem": str(parsed), "threads": counts[0], "chosen": choice.algorithm.name, "why": choice.why,
                "cost_model": modelled.algorithm.name,
                "fastest": next(iter(result.seconds), None) if result else None,
                "cost_model_behind": result.picked_behind if result else None,
                "algorithms": explanation_dict(choice, result),
            }
        )  # fmt: skip
    else:
        print(f"{parsed}, {circumstances(counts[0], 'warm')}")
        print_table(EXPLANATION_HEADINGS, explanation_lines(choice, result))
        print(f"{choice.why.removesuffix('.')}.")
        if result:
            print(judgement(result))
    raise typer.Exit(1 if result and result.is_bad else 0)


def _measured(tuning_case: TuningCase) -> TuningResult:
    found: list[TuningResult] = []
    with Watch(stderr(), 1) as watch:
        run_tuning(
            [tuning_case], _SECONDS, 1, found.append, before=lambda case, generation, name: watch.at(case.layer, name)
        )
    return found[0]
