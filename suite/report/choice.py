"""What ``auto`` chose: how far the cost model's choice, and the one that ran, are from the fastest of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import gmean

from kernels import Conv2dProblem, choose
from suite.format import factor, span
from suite.report.groups import circumstances, groups, is_peer, single_convolutions

__all__ = ["CHOICE_HEADINGS", "MISSED_HEADINGS", "ChoiceTable", "choice_tables"]

CHOICE_HEADINGS = ("choice", "layers", "within 10 %", "share", "mean", "worst", "where", "it chose", "fastest")
MISSED_HEADINGS = ("problem", "fastest", "time", "cost model", "takes", "auto ran", "takes")

#: A choice that takes no longer than so many times the fastest one's time is as good as that.
_AS_GOOD = 1.1

#: What ``suite.measure.result.Result`` says of a contender that chooses.
_CHOSE = "chose "


@dataclass(frozen=True)
class ChoiceTable:
    """All layers with one number of threads: a line for each way to choose, and the layers that one of them missed."""

    title: str
    lines: tuple[tuple[str, ...], ...]
    missed: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class _Pick:
    """What was chosen on one problem, and how many times the fastest one's time it takes."""

    name: str
    behind: float


@dataclass(frozen=True)
class _Judged:
    """One problem: the fastest of ours, and what was chosen; ``None`` where that has no time."""

    problem: str
    fastest: str
    least_s: float
    model: _Pick | None
    auto: _Pick | None


def choice_tables(frame: pd.DataFrame) -> list[ChoiceTable]:
    """A table for each number of threads, warm caches, where several algorithms were timed.

    A problem that several networks have counts once; nothing is chosen among ways to compute a block.
    The cost model is that of the kernels that are installed now, without measured times; ``auto`` is
    what ran.
    """
    tables = []
    frame = single_convolutions(frame)
    warm = frame[(frame["status"] == "ok") & (frame["cache"] == "warm")].drop_duplicates(
        ["problem", "algorithm", "threads"]
    )
    for threads, part in warm.groupby("threads", sort=False):
        judged = list(_judged(part, int(str(threads))))
        ways: tuple[tuple[str, Callable[[_Judged], _Pick | None]], ...] = (
            ("cost model alone", lambda each: each.model),
            ("auto, as measured", lambda each: each.auto),
        )
        lines = [line for name, pick in ways if (line := _line(name, pick, judged))]
        if lines:
            missed = tuple(_missed(each) for each in judged if max(_behind(each.model), _behind(each.auto)) > _AS_GOOD)
            where = circumstances(int(str(threads)), "warm")
            tables.append(ChoiceTable(f"What auto chose, {where}", tuple(lines), missed))
    return tables


def _judged(part: pd.DataFrame, threads: int) -> Iterator[_Judged]:
    for rows in groups(part, ["problem"]):
        ours = [row for row in rows if not is_peer(row)]
        times = {row["algorithm"]: row["time_s"] for row in ours if row["family"] != "auto"}
        if len(times) < 2:
            continue
        fastest, least_s = next(iter(times.items()))
        name = choose(Conv2dProblem.parse(rows[0]["problem"]), threads, tuned=False).algorithm.name
        model = _Pick(name, times[name] / least_s) if name in times else None
        ran = next((row for row in ours if row["family"] == "auto"), None)
        auto = _Pick(str(ran["reason"]).removeprefix(_CHOSE), ran["time_s"] / least_s) if ran else None
        yield _Judged(rows[0]["problem"], fastest, least_s, model, auto)


def _line(name: str, pick: Callable[[_Judged], _Pick | None], judged: Sequence[_Judged]) -> tuple[str, ...] | None:
    found = [(each, picked) for each in judged if (picked := pick(each)) is not None]
    if not found:
        return None
    behind = [picked.behind for _, picked in found]
    good = sum(each <= _AS_GOOD for each in behind)
    worst, chosen = found[int(np.argmax(behind))]
    return (
        name, str(len(found)), f"{good} of {len(found)}", f"{100 * good / len(found):.1f} %",
        factor(float(gmean(behind))), factor(chosen.behind), worst.problem, chosen.name,
        worst.fastest,
    )  # fmt: skip


def _missed(each: _Judged) -> tuple[str, ...]:
    picks = [(pick.name, factor(pick.behind)) if pick else ("", "") for pick in (each.model, each.auto)]
    return (each.problem, each.fastest, span(each.least_s), *picks[0], *picks[1])


def _behind(pick: _Pick | None) -> float:
    return pick.behind if pick else 0.0
