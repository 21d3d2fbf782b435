"""Machines side by side: what is fastest on each layer, and how near each comes to its own limit.

Times of two machines are never divided by each other: ratios are within a machine.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from suite.format import percent, ratio
from suite.report.comparisons import gmean, right
from suite.report.table import Column, Table, records
from suite.results.rows import CASE_KEY

__all__ = ["machine_tables"]

_CASE = list(CASE_KEY)


def machine_tables(frame: pd.DataFrame) -> list[Table]:
    """The fastest of each layer by machine, and geometric means; nothing of one machine alone.

    Parameters
    ----------
    frame : DataFrame
        What `suite.report.load.together` returns.
    """
    timed = right(frame)
    timed = timed[timed["time_s"].notna() & (timed["source"] == "convmark")]
    names = list(dict.fromkeys(timed["run"]))
    if len(names) < 2:
        return []
    labels = {str(run): f"{part['cpu'].iloc[0]} {str(run)[-4:]}" for run, part in timed.groupby("run", sort=False)}
    # They are in the order of their times.
    fastest = timed.drop_duplicates(["run", *_CASE])
    return [_winners(fastest, labels), _totals(timed, fastest, labels)]


def _winners(fastest: pd.DataFrame, labels: dict[str, str]) -> Table:
    """A line per layer, a column per machine; those layers first on which the machines differ."""
    lines = []
    for key, part in fastest.groupby(_CASE, sort=False):
        of_run = {str(row["run"]): row for row in records(part)}
        line = {
            "layer": f"{key[0]}/{key[1]}",
            "where": f"{key[3]}, {key[4]}",
            "changes": "yes" if part["algorithm"].nunique() > 1 else "",
        }
        for run in labels:
            cell = of_run.get(run)
            line[run] = "" if cell is None else f"{cell['algorithm']} {_percent(cell['pct_of_peak'])}".strip()
        lines.append(line)
    lines.sort(key=lambda line: line["changes"] != "yes")
    columns = (
        Column("layer", "layer", words=True), Column("where", "threads, caches", words=True),
        Column("changes", "winner changes", words=True),
        *(Column(run, label, words=True) for run, label in labels.items()),
    )  # fmt: skip
    note = "The fastest that is right, and useful speed in % of the same machine's limit of as many threads."
    return Table("The fastest by machine", columns, pd.DataFrame(lines), note)


def _percent(value: Any) -> str:
    return "" if pd.isna(value) else percent(float(value))


def _totals(timed: pd.DataFrame, fastest: pd.DataFrame, labels: dict[str, str]) -> Table:
    """A line per contender: its time by the fastest of the same machine, geometric mean over layers."""
    best = fastest[["run", *_CASE, "time_s"]].rename(columns={"time_s": "best_s"})
    joined = timed.merge(best, on=["run", *_CASE])
    joined["times"] = joined["time_s"].astype(float) / joined["best_s"].astype(float)
    lines = [
        {"contender": name, **{run: gmean(own["times"]) for run, own in part.groupby("run", sort=False)}}
        for name, part in joined.groupby("algorithm", sort=False)
    ]
    columns = (
        Column("contender", "contender", words=True), *(Column(run, label, ratio) for run, label in labels.items())
    )  # fmt: skip
    note = "Time by that of the same machine's fastest on each layer, geometric mean over the layers it is timed on."
    return Table("Contenders by machine", columns, pd.DataFrame(lines), note)
