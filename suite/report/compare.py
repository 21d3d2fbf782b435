"""Two stored runs compared row by row: ratios of times with intervals, the largest change first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from suite.format import interval, ratio, span
from suite.report.comparisons import gmean
from suite.report.load import Stored
from suite.report.table import Column, Table
from suite.results.rows import KEY, key_of

__all__ = ["Comparison", "compare"]

_CONFIDENCE = 0.95

_COLUMNS = (
    Column("name", "layer", words=True),
    Column("algorithm", "contender", words=True),
    Column("where", "threads", words=True, spare=2),
    Column("before_s", "A", span, spare=3),
    Column("after_s", "B", span, spare=3),
    Column("ratio", "B / A", ratio),
    Column("ends", "95 % interval", words=True, spare=4),
    Column("relative", "B / A by reference", ratio, spare=5),
    Column("verdict", "verdict", words=True),
)

_NOTE = (
    "Time in B by time in A: above 1 is slower. The interval is Welch's, of the logarithms of the processes' medians; "
    "without samples of at least two processes on each side there is none. By reference: the ratio to the run's "
    "reference in B by that in A, which takes out what the machine did if the reference is the same. Runs of different "
    "times differ by more than their intervals say; convmark gate measures both in turns."
)


@dataclass(frozen=True)
class Comparison:
    """Rows of two runs side by side.

    Attributes
    ----------
    before, after : str
        Names of both runs.
    rows : DataFrame
        A line per row that both have: the columns of `suite.results.rows.KEY`, ``before_s``, ``after_s``, ``ratio``,
        ``low``, ``high``, ``relative``, ``verdict`` (``slower``, ``faster``, ``same``, or what is wrong with a side).
    missing : tuple of str
        Sentences on rows that one run alone has.
    """

    before: str
    after: str
    rows: pd.DataFrame
    missing: tuple[str, ...]

    @property
    def table(self) -> Table:
        """All rows, the largest change first."""
        after = (*self.missing, self.headline)
        title = f"B {self.after} compared with A {self.before}"
        return Table(title, _COLUMNS, self.rows, _NOTE, after).without_empty()

    def largest(self, count: int) -> Table:
        """The table of the largest changes alone, which says how many rows it leaves out."""
        left = len(self.rows) - count
        more = (f"{left} further rows changed less.",) if left > 0 else ()
        return replace(self.table, frame=self.rows.head(count), after=(*self.missing, *more, self.headline))

    @property
    def headline(self) -> str:
        """What it comes to in one sentence."""
        timed = self.rows[self.rows["ratio"].notna()]
        if timed.empty:
            return "No row has a right and trusted time in both runs."
        counts = self.rows["verdict"].value_counts()
        said = ", ".join(f"{counts.get(word, 0)} {word}" for word in ("slower", "faster", "same"))
        broken = len(self.rows) - int(sum(counts.get(word, 0) for word in ("slower", "faster", "same")))
        return (
            f"{said}{f', {broken} without a verdict' if broken else ''}; geometric mean of B / A over {len(timed)} "
            f"rows: {ratio(gmean(timed['ratio']))}."
        )

    def failures(self, margin: float | None) -> pd.DataFrame:
        """Rows that must not pass: no longer right, or slower by more than a fraction if one is given."""
        broken = self.rows["verdict"].str.startswith("no longer right").fillna(False)
        slower = (
            (self.rows["verdict"] == "slower") & (self.rows["ratio"] > 1 + margin) if margin is not None else broken
        )
        return self.rows[broken | slower.fillna(False)]


def compare(before: Stored, after: Stored, warn: Callable[[str], None]) -> Comparison:
    """Compare two stored runs.

    Parameters
    ----------
    before, after : Stored
    warn : callable
        Called with a sentence for each stored line that is not whole.
    """
    sides = [
        each.frame.drop_duplicates(list(KEY), keep="last").set_index(list(KEY), drop=False) for each in (before, after)
    ]
    samples = [each.samples(warn) for each in (before, after)]
    shared = [key for key in sides[0].index if key in sides[1].index]
    old, new = (dict(zip(side.index, side.to_dict("records"), strict=True)) for side in sides)
    lines = [_line(old[key], new[key], [found.get(key_of(old[key]), []) for found in samples]) for key in shared]
    # Rows that both refuse say nothing.
    lines = [line for line in lines if line is not None]
    names = [
        *KEY,
        "name",
        "where",
        "before_s",
        "after_s",
        "ratio",
        "low",
        "high",
        "ends",
        "relative",
        "verdict",
        "status",
    ]
    rows = pd.DataFrame(lines, columns=names)
    rows = rows.astype(dict.fromkeys(("before_s", "after_s", "ratio", "low", "high", "relative"), float))
    change = np.abs(np.log(rows["ratio"])).fillna(np.inf)
    rows = rows.iloc[np.argsort(-change.to_numpy(), kind="stable")].reset_index(drop=True)
    missing = tuple(
        f"{len(side) - len(shared)} rows are in {name} alone."
        for side, name in zip(sides, ("A", "B"), strict=True)
        if len(side) > len(shared)
    )
    return Comparison(before.name, after.name, rows, missing)


def _line(old: dict[Any, Any], new: dict[Any, Any], samples: Sequence[list[list[float]]]) -> dict[str, Any] | None:
    if old["status"] == new["status"] == "skipped":
        return None
    line = {
        **{name: new[name] for name in KEY}, "name": f"{new['network']}/{new['layer']}",
        "where": f"{new['threads']}{' cold' if new['cache'] == 'cold' else ''}",
        "before_s": _number(old["time_s"]), "after_s": _number(new["time_s"]), "status": new["status"],
    }  # fmt: skip
    if old["status"] != "ok" or new["status"] != "ok":
        lost = old["status"] in ("ok", "mistrusted") and new["status"] in ("wrong", "failed")
        line["verdict"] = f"no longer right: {new['status']}" if lost else f"A {old['status']}, B {new['status']}"
        return line
    found = new["time_s"] / old["time_s"]
    low, high = _interval(*samples)
    # What no interval vouches for is called by its size, from 1 % on.
    sure = (low > 1, high < 1) if np.isfinite(low) else (found > 1.01, found < 0.99)
    line |= {
        "ratio": found,
        "low": low,
        "high": high,
        "verdict": "slower" if sure[0] else "faster" if sure[1] else "same",
    }
    if np.isfinite(low):
        line["ends"] = interval(low, high)
    same = old["reference"] == new["reference"] if isinstance(old["reference"], str) else False
    if same and _number(old["ratio"]) and _number(new["ratio"]) and old["reference"] != old["algorithm"]:
        line["relative"] = new["ratio"] / old["ratio"]
    return line


def _interval(before: list[list[float]], after: list[list[float]]) -> tuple[float, float]:
    """Welch's, of the difference of the mean logarithms of the processes' medians."""
    old, new = (np.log([np.median(seconds) for seconds in side]) for side in (before, after))
    if min(len(old), len(new)) < 2:
        return np.nan, np.nan
    parts = [float(np.var(side, ddof=1)) / len(side) for side in (old, new)]
    shift, variance = float(np.mean(new) - np.mean(old)), sum(parts)
    weights = sum(part**2 / (len(side) - 1) for part, side in zip(parts, (old, new), strict=True))
    half = stats.t.ppf((1 + _CONFIDENCE) / 2, variance**2 / weights) * np.sqrt(variance) if weights else 0.0
    return float(np.exp(shift - half)), float(np.exp(shift + half))


def _number(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)
