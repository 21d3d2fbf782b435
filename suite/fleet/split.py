"""Runs of machines that shared the layers, merged into one, unless the layer that all of them measured says no."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from suite.fleet.fleet import Fleet
from suite.report.compare import compare
from suite.report.load import stored_of
from suite.results.files import StoreError, replace_file
from suite.results.jsonl import read_lines
from suite.results.rows import CASE_KEY, key_of, latest_of
from suite.results.runs import Run, open_run, start_run

__all__ = ["whole_runs"]

#: What two processes of the same code may differ by for good, as a fraction: less is no difference of machines.
_LEAST_NOISE = 0.01


def whole_runs(fleet: Fleet, warn: Callable[[str], None]) -> tuple[list[Run], bool]:
    """Runs of a fleet, those of parts merged.

    Parameters
    ----------
    fleet : Fleet
    warn : callable
        Called with a sentence for parts that are not merged, and why.

    Returns
    -------
    runs : list of Run
        As far as they were fetched.
    is_whole : bool
        Whether no part is left alone.
    """
    found: list[Run] = []
    parts: dict[str, list[tuple[int, Run | None]]] = {}
    for name, machine in fleet.machines.items():
        run = fleet.run(name, warn)
        if machine.part[1] > 1:
            parts.setdefault(machine.platform, []).append((machine.part[0], run))
        elif run is not None:
            found.append(run)
    is_whole = True
    for platform, own in parts.items():
        runs = [run for _, run in sorted(own, key=lambda pair: pair[0]) if run is not None]
        try:
            found.append(_merged(fleet, platform, runs, len(own), warn))
        except StoreError as error:
            warn(f"the parts of {platform} are not merged: {error}")
            found += runs
            is_whole = False
    return found, is_whole


def _merged(fleet: Fleet, platform: str, runs: list[Run], count: int, warn: Callable[[str], None]) -> Run:
    if platform in fleet.merged:
        return open_run(fleet.results, fleet.merged[platform], warn)
    missing = count - len(runs) + sum(run.missing > 0 for run in runs)
    if missing:
        raise StoreError(f"{missing} of {count} have not all of their rows, expected them of each")
    for other in runs[1:]:
        runs[0].require(other.machine)
        _require_alike(runs[0], other, warn)
    fleet.merged[platform] = _write(fleet, runs, warn).name
    fleet.save()
    return open_run(fleet.results, fleet.merged[platform], warn)


def _require_alike(first: Run, other: Run, warn: Callable[[str], None]) -> None:
    """Refuse machines whose times of the layer that both measured differ by more than their noise.

    That is of the geometric mean over contenders: the processes of each say how far its ratio can be trusted.
    """
    rows = compare(stored_of(first), stored_of(other), warn).rows
    rows = rows[rows["ratio"].notna() & rows["low"].gt(0)]
    if rows.empty:
        raise StoreError(
            f"{first.name} and {other.name} have no contender with trusted times of two processes on their common "
            "layer, expected some to compare the machines by"
        )
    mean = float(np.log(rows["ratio"]).mean())
    reach = np.log(rows["high"] / rows["low"]) / 2
    noise = max(float(np.sqrt((reach**2).sum())) / len(rows), math.log1p(_LEAST_NOISE))
    if abs(mean) > noise:
        raise StoreError(
            f"{other.name} takes {math.exp(mean):.3f} times as long as {first.name} on their common layer, expected "
            f"{math.exp(-noise):.3f} to {math.exp(noise):.3f}"
        )


def _write(fleet: Fleet, runs: list[Run], warn: Callable[[str], None]) -> Run:
    """One run of all rows; of the common layer those of the first."""
    first = runs[0]
    request = replace(first.request, part=(1, 1))
    owner = {case.key: run for run in reversed(runs) for case in run.request.cases()}
    order = {case.key: number for number, case in enumerate(request.cases())}
    rows = [row for run in runs for row in latest_of(run.rows) if owner[key_of(row, CASE_KEY)] is run]
    rows.sort(key=lambda row: order[key_of(row, CASE_KEY)])
    merged = start_run(fleet.results, first.machine, first.limits, request, len(rows))
    lines = [
        line
        for run in runs
        for line in read_lines(run.folder / "measurements.jsonl", warn)
        if owner[tuple(line["case"])] is run
    ]
    for name, values in (("measurements.jsonl", lines), ("rows.jsonl", [{**row, "run": merged.name} for row in rows])):
        content = "".join(json.dumps(value) + "\n" for value in values)
        replace_file(merged.folder / name, lambda part, content=content: part.write_text(content))  # type: ignore[misc]
    return merged
