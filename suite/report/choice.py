"""What ``auto`` chose: how far the cost model's choice, and the one that ran, are from the fastest of ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from kernels import Conv2dProblem, choose
from suite.format import factor, span
from suite.report.comparisons import AUTO, by_circumstances, chooses, gmean, single
from suite.report.table import Column, Table

__all__ = ["choice_tables"]

#: A choice that takes no longer than so many times the fastest one's time is as good as that.
_AS_GOOD = 1.1

#: What ``reason`` says of a contender that chooses.
_CHOSE = "chose "

_WAYS = {"model": "cost model alone", "auto": "auto, as measured"}

_NOTE = (
    "Time of the algorithm that is chosen by that of the fastest of ours, each shape once: 1.00x is right, the mean is "
    "geometric. The cost model is that of the kernels that write this report, without measured times, and its choice "
    "has the time of that algorithm's own row; auto is what ran, with measured choices if there were any."
)

_COLUMNS = (
    Column("way", "choice", words=True),
    Column("layers", "layers"),
    Column("good", "within 10 %"),
    Column("share", "share", lambda value: f"{100 * value:.1f} %", spare=3),
    Column("mean", "mean", factor),
    Column("worst", "worst", factor),
    Column("worst_layer", "worst layer", words=True, spare=4),
    Column("chosen", "it chose", words=True, spare=2),
    Column("fastest", "fastest", words=True, spare=2),
)

_MISSED = (
    Column("problem", "problem", words=True),
    Column("fastest", "fastest", words=True),
    Column("least_s", "time", span, spare=2),
    Column("model", "cost model", words=True),
    Column("model_factor", "takes", factor),
    Column("auto", "auto ran", words=True),
    Column("auto_factor", "takes", factor),
)


def choice_tables(frame: pd.DataFrame) -> list[Table]:
    """How good both ways to choose are, per circumstances with warm caches; and the shapes that one of them missed."""
    tables = []
    for said, judged in _judged(frame):
        lines = [line for way in _WAYS if (line := _line(judged, way))]
        if lines:
            tables.append(Table(f"What auto chose, {said}", _COLUMNS, pd.DataFrame(lines), _NOTE))
        missed = judged[(judged[["model_factor", "auto_factor"]] > _AS_GOOD).any(axis=1)]
        if len(missed):
            title = f"Choices more than 10 % from the fastest, {said}"
            tables.append(Table(title, _MISSED, missed, _NOTE))
    return tables


def _judged(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """By circumstances, a line per problem that several of ours computed: the fastest, and what was chosen."""
    frame = single(frame)
    ok = frame[(frame["status"] == "ok") & (frame["cache"] == "warm") & ~frame["peer"]]
    for said, part in by_circumstances(ok.drop_duplicates(["circumstances", "problem", "algorithm"])):
        # Times before rows: a column that is given to no rows makes some.
        own = part.assign(time_s=part["time_s"].astype(float))[~chooses(part)]
        times = own.pivot(index="problem", columns="algorithm", values="time_s")
        times = times.reindex(own["problem"].unique())
        times = times[times.notna().sum(axis=1) > 1]
        if times.empty:
            continue
        threads = int(part["threads"].iloc[0])
        names = [choose(Conv2dProblem.parse(text), threads, tuned=False).algorithm.name for text in times.index]
        least = times.min(axis=1)
        model = np.array([times[name].get(text, np.nan) if name in times else np.nan
                          for name, text in zip(names, times.index, strict=True)])  # fmt: skip
        ran = part[part["algorithm"] == AUTO].set_index("problem").reindex(times.index)
        yield said, pd.DataFrame({
            "problem": times.index, "fastest": times.idxmin(axis=1).to_numpy(), "least_s": least.to_numpy(),
            "model": [None if np.isnan(taken) else name for name, taken in zip(names, model, strict=True)],
            "model_factor": model / least.to_numpy(),
            "auto": ran["reason"].str.removeprefix(_CHOSE).to_numpy(),
            "auto_factor": ran["time_s"].astype(float).to_numpy() / least.to_numpy(),
        })  # fmt: skip


def _line(judged: pd.DataFrame, way: str) -> dict[str, Any] | None:
    found = judged[judged[f"{way}_factor"].notna()]
    if found.empty:
        return None
    factors = found[f"{way}_factor"]
    good, worst = int((factors <= _AS_GOOD).sum()), found.iloc[int(np.argmax(factors))]
    return {
        "way": _WAYS[way], "layers": len(found), "good": f"{good} of {len(found)}", "share": good / len(found),
        "mean": gmean(factors), "worst": worst[f"{way}_factor"], "worst_layer": worst["problem"],
        "chosen": worst[way], "fastest": worst["fastest"],
    }  # fmt: skip
