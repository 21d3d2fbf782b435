"""What timing algorithms side by side came to: who is the fastest, and how often the cost model says so."""

from __future__ import annotations

from collections.abc import Sequence

from suite.format import factor, span
from suite.measure.tuning import TuningResult

__all__ = ["TUNING_HEADINGS", "agreement", "tuning_lines"]

TUNING_HEADINGS = ("layer", "problem", "threads", "fastest", "time", "next", "slower by", "cost model", "takes")

#: A choice that takes no longer than so many times the fastest one's time is as good as that.
_AS_GOOD = 1.1


def tuning_lines(results: Sequence[TuningResult]) -> list[tuple[str, ...]]:
    """A line of cells for each problem; the cost model's choice where it is another than the fastest."""
    lines: list[tuple[str, ...]] = []
    for each in results:
        layer = each.case.layer
        name = "" if layer.name == str(layer.problem) else f"{layer.network}/{layer.name}"
        fastest, following = (*each.seconds.items(), ("", None), ("", None))[:2]
        differs = each.picked != fastest[0]
        lines.append((
            name, str(layer.problem), str(each.case.threads), fastest[0] or "none is right", span(fastest[1]),
            following[0], _behind(following[1], fastest[1]),
            each.picked if differs else "the same", factor(each.picked_behind) if differs else "",
        ))  # fmt: skip
    return lines


def agreement(results: Sequence[TuningResult]) -> str:
    """A sentence on how often the cost model chose the fastest, and what its worst choice cost."""
    judged = [(each.picked_behind, each.case) for each in results if each.picked_behind is not None]
    if not judged:
        return "No choice of the cost model has a time."
    worst, tuning_case = max(judged, key=lambda pair: pair[0])
    text = (
        f"The cost model's choice is the fastest on {sum(behind == 1 for behind, _ in judged)} of {len(judged)}, "
        f"within 10 % of it on {sum(behind <= _AS_GOOD for behind, _ in judged)}"
    )
    return f"{text}; at worst {factor(worst)} its time, on {tuning_case.problem}." if worst > 1 else f"{text}."


def _behind(seconds: float | None, least: float | None) -> str:
    return "" if seconds is None or not least else f"{100 * (seconds / least - 1):.1f} %"
