"""All stored runs in one table, and the commits at which a speed changed.

Absolute times mean something on one machine only, and two tools take them in two ways: a
series is what one tool measured of one problem by one algorithm on one machine, a point a
commit. Change points are the cuts of optimal partitioning [1]_ on the logarithm of the time, with
the sum of distances from each part's median as its cost, so that one disturbed commit is no
change, and a penalty for each cut that is a multiple of the series' own noise.

References
----------
.. [1] B. Jackson et al., "An algorithm for optimal partitioning of data on an interval",
   IEEE Signal Processing Letters 12 (2), 2005.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numba
import numpy as np
import pandas as pd

__all__ = ["LEAST_COMMITS", "LEAST_PART", "SERIES", "change_points", "find_changes", "order_commits", "series_points"]

#: Columns that tell series apart.
SERIES = ("source", "machine", "problem", "algorithm", "threads", "cache")

#: A series with fewer commits is not searched: of so few points the noise cannot be known.
LEAST_COMMITS = 8

#: Commits on each side of a change, at least: the newest two say nothing yet.
LEAST_PART = 3

#: A cut must save so many times the noise. Of simulated series without a change, 8 to 50
#: commits of normal noise, at most 1 in 100 is cut then; of a wider noise (Student's t with
#: 3 degrees of freedom) fewer. A step of 5 times the noise with 6 commits or more on each
#: side is found in 99 of 100.
_PENALTY = 8.0

#: Noise in the logarithm that is taken for granted: no clock of a real machine is as steady
#: as some short series look.
_LEAST_NOISE = 0.004

#: Mean distance of two normal values, in standard deviations.
_MEAN_DISTANCE = 2 / math.sqrt(math.pi)


def order_commits(frame: pd.DataFrame, known: Sequence[str]) -> list[str]:
    """Every commit of the table, oldest first.

    Parameters
    ----------
    frame : DataFrame
        With ``commit`` and ``ordered``.
    known : sequence of str
        Commits in the order of git's history, oldest first. One that is not among them comes
        after the last of these that was measured before it was.
    """
    first = frame[frame["commit"] != ""].groupby("commit", sort=False)["ordered"].min().sort_values(kind="stable")
    place = {commit: i for i, commit in enumerate(known)}
    ordered = sorted((commit for commit in first.index if commit in place), key=place.__getitem__)
    for commit in (each for each in first.index if each not in place):
        before = [i for i, each in enumerate(ordered) if first[each] <= first[commit]]
        ordered.insert(before[-1] + 1 if before else 0, commit)
    return ordered


def series_points(frame: pd.DataFrame, order: Sequence[str]) -> dict[tuple[object, ...], pd.Series]:
    """Seconds by commit of each series, in order; the median if a commit was measured several times.

    Left out are rows without a time, those that are not ``ok`` (what is mistrusted tells
    nothing of a commit), and those of sources that were not committed.

    Parameters
    ----------
    frame : DataFrame
        With the columns of `SERIES`, ``commit``, ``dirty``, ``status`` and ``time_s``.
    order : sequence of str
        Commits, oldest first.

    Returns
    -------
    dict
        By the values of `SERIES`: a Series indexed by commit.
    """
    usable = frame[(frame["status"] == "ok") & frame["time_s"].gt(0).fillna(False) & ~frame["dirty"]]
    usable = usable[usable["commit"].isin(order)].dropna(subset=list(SERIES))
    if usable.empty:
        return {}
    # All at once: many machines are tens of thousands of series.
    number = usable.groupby(list(SERIES), sort=False).ngroup().to_numpy()
    place = usable["commit"].map({commit: i for i, commit in enumerate(order)}).to_numpy(np.int64)
    seconds = usable["time_s"].astype(float).groupby([number, place]).median()
    numbers, places = (seconds.index.get_level_values(level).to_numpy() for level in (0, 1))
    first = usable.iloc[np.unique(number, return_index=True)[1]]
    keys = [tuple(key) for key in first[list(SERIES)].itertuples(index=False)]
    cuts = np.flatnonzero(np.diff(numbers)) + 1
    commits = np.split(np.asarray(order, object)[places], cuts)
    return {
        key: pd.Series(values, index=index, name="time_s")
        for key, values, index in zip(keys, np.split(seconds.to_numpy(), cuts), commits, strict=True)
    }


def change_points(seconds: np.ndarray) -> list[int]:
    """Where a series of times changes: the index of the first point of each new part.

    Parameters
    ----------
    seconds : (n,) ndarray
        Positive, in the order of the commits.

    Raises
    ------
    ValueError
        There are fewer than `LEAST_COMMITS`.
    """
    if len(seconds) < LEAST_COMMITS:
        raise ValueError(f"the series has {len(seconds)} commits, expected at least {LEAST_COMMITS}")
    signal = np.log(np.asarray(seconds, np.float64))
    # From neighbours, and from their distances rather than squares: a step hardly shows in it.
    noise = max(float(np.abs(np.diff(signal)).mean()) / _MEAN_DISTANCE, _LEAST_NOISE)
    return [int(cut) for cut in _cuts(signal, _PENALTY * noise, LEAST_PART)]


@numba.njit
def _cuts(signal: np.ndarray, penalty: float, least: int) -> list[int]:
    """First points of the parts, but the first, of the partition with the least cost and penalty."""
    count = len(signal)
    cost = np.empty((count, count + 1))
    ordered = np.empty(count)
    for start in range(count):
        for size in range(1, count - start + 1):
            # Kept in order, so that both halves are at hand.
            place, value = size - 1, signal[start + size - 1]
            while place and ordered[place - 1] > value:
                ordered[place] = ordered[place - 1]
                place -= 1
            ordered[place] = value
            total = 0.0
            for i in range(size // 2):
                total += ordered[size - 1 - i] - ordered[i]
            cost[start, start + size] = total
    best = np.full(count + 1, np.inf)
    origin = np.zeros(count + 1, np.int64)
    best[0] = -penalty
    for end in range(least, count + 1):
        for start in range(end - least + 1):
            found = best[start] + cost[start, end] + penalty
            if found < best[end]:
                best[end], origin[end] = found, start
    cuts = [0]
    end = origin[count]
    while end > 0:
        cuts.append(end)
        end = origin[end]
    return cuts[:0:-1]


def find_changes(points: dict[tuple[object, ...], pd.Series]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Change points of every series.

    Parameters
    ----------
    points : dict
        What `series_points` returns.

    Returns
    -------
    series : DataFrame
        One line per series: `SERIES`, ``commits`` (how many) and ``changes`` (how many; none
        if there are too few commits to tell).
    changes : DataFrame
        One line per change: `SERIES`, ``commit`` (the first that is different), ``previous`` (the
        one before it), ``before_s`` and ``after_s`` (medians of both parts) and ``ratio``; the largest first.
    """
    lines, changes = [], []
    for key, seconds in points.items():
        named = dict(zip(SERIES, key, strict=True))
        enough = len(seconds) >= LEAST_COMMITS
        cuts = change_points(seconds.to_numpy()) if enough else []
        lines.append({**named, "commits": len(seconds), "changes": len(cuts) if enough else None})
        edges = [0, *cuts, len(seconds)]
        for start, cut, end in zip(edges, cuts, edges[2:], strict=False):
            before, after = (float(part.median()) for part in (seconds.iloc[start:cut], seconds.iloc[cut:end]))
            changes.append(
                {
                    **named,
                    "commit": seconds.index[cut],
                    "previous": seconds.index[cut - 1],
                    "before_s": before,
                    "after_s": after,
                    "ratio": after / before,
                }
            )
    series = pd.DataFrame(lines, columns=[*SERIES, "commits", "changes"]).astype({"changes": "Int64"})
    found = pd.DataFrame(changes, columns=[*SERIES, "commit", "previous", "before_s", "after_s", "ratio"])
    size = found["ratio"].astype(float).map(math.log).abs()
    return series, found.iloc[np.argsort(-size.to_numpy(), kind="stable")].reset_index(drop=True)
