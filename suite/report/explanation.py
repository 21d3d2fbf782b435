"""Why an algorithm is chosen: what the cost model predicts of each, and what was measured."""

from __future__ import annotations

import math
from typing import Any

from kernels import Candidate, Choice
from suite.format import factor, number, scientific, size, span
from suite.measure.tuning import TuningResult

__all__ = ["EXPLANATION_HEADINGS", "explanation_dict", "explanation_lines", "judgement"]

EXPLANATION_HEADINGS = (
    "algorithm", "predicted", "measured", "pred./meas.", "error", "workspace",
    "what takes the time, or why it is refused",
)  # fmt: skip

#: Of what takes the time, the least share of it that is shown.
_LEAST_SHARE = 0.02


def explanation_lines(choice: Choice, result: TuningResult | None) -> list[tuple[str, ...]]:
    """A line of cells for each algorithm: the least prediction first, those that are refused last.

    The choice has a star.
    """
    ordered = sorted(choice.candidates, key=lambda each: (bool(each.refused), each.seconds is None, each.seconds))
    return [_line(each, choice, result) for each in ordered]


def judgement(result: TuningResult) -> str:
    """A sentence on whether the cost model's choice is the fastest of those that were timed."""
    behind = result.picked_behind
    if not result.seconds:
        return "No algorithm has a time that can be trusted."
    fastest, least = next(iter(result.seconds.items()))
    if behind is None:
        return f"The cost model's choice, {result.picked}, has no time that can be trusted; the fastest is {fastest}."
    if behind == 1:
        return f"The cost model's choice, {result.picked}, is the fastest of those that were timed."
    return (
        f"The cost model's choice, {result.picked}, takes {factor(behind)} the time of the fastest, "
        f"{fastest} ({span(least)})."
    )


def explanation_dict(choice: Choice, result: TuningResult | None) -> list[dict[str, Any]]:
    """Every algorithm in types that JSON knows, in the order of registration."""
    seconds = result.seconds if result else {}
    faults = result.faults if result else {}
    return [
        {
            "algorithm": each.algorithm.name,
            "refused": each.refused,
            "predicted_s": each.seconds,
            "terms_s": dict(each.terms),
            "measured_s": seconds.get(each.algorithm.name),
            "fault": faults.get(each.algorithm.name, ""),
            "remembered_s": each.measured_s,
            "rel_error": _or_none(each.rel_error),
            "workspace_bytes": each.workspace_bytes,
        }
        for each in choice.candidates
    ]


def _line(each: Candidate, choice: Choice, result: TuningResult | None) -> tuple[str, ...]:
    name = each.algorithm.name
    measured = result.seconds.get(name) if result else None
    fault = result.faults.get(name, "") if result else ""
    least = _LEAST_SHARE * sum(each.terms.values())
    terms = ", ".join(f"{term} {span(seconds)}" for term, seconds in each.terms.items() if seconds >= least)
    return (
        f"{'*' if each.algorithm is choice.algorithm else ' '} {name}",
        span(each.seconds),
        span(measured),
        "" if measured is None or each.seconds is None else number(each.seconds / measured),
        scientific(_or_none(each.rel_error)),
        "" if each.refused and each.seconds is None else size(each.workspace_bytes),
        each.refused or "; ".join(part for part in (terms, fault) if part),
    )


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
