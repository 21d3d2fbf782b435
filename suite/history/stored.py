"""All stored times: our runs and asv's results in one table, and git's order of their commits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from suite.git import GitError, git
from suite.report.importers import AsvResult, read_asv_results
from suite.results.files import StoreError
from suite.results.rows import Row, latest_of
from suite.results.runs import open_run, run_names

__all__ = ["COLUMNS", "git_history", "history_frame", "stored_history"]

#: Columns of the table and their kinds in pandas. ``started`` is when the run was by its clock, in UTC;
#: ``ordered`` is the same but never before an earlier run, as a clock may be set back, and what rows are ordered by;
#: ``dirty`` whether its sources differed from their commit; ``machine`` what the machine is
#: as far as a time depends on it.
COLUMNS = {
    "started": "datetime64[us, UTC]",
    "ordered": "datetime64[us, UTC]",
    "commit": "string",
    "dirty": "bool",
    "source": "string",
    "run": "string",
    "machine": "string",
    "network": "string",
    "layer": "string",
    "problem": "string",
    "algorithm": "string",
    "threads": "Int64",
    "cache": "string",
    "status": "string",
    "time_s": "Float64",
    "rel_error": "Float64",
}

_OF_ROWS = ("network", "layer", "problem", "algorithm", "threads", "cache", "status", "time_s", "rel_error")


def stored_history(results: Path, asv: Path | None, warn: Callable[[str], None]) -> pd.DataFrame:
    """Every row of every run below ``results`` and of asv's folder, oldest first.

    Parameters
    ----------
    results : Path
    asv : Path or None
        asv's results folder, such as ``.asv/results``.
    warn : callable
        Called with a sentence for each run that cannot be read and is left out.

    Raises
    ------
    ForeignError
        asv's folder holds no results.
    """
    lines = list(_our_lines(results, warn))
    for result in read_asv_results(asv, warn) if asv is not None else ():
        lines += _asv_lines(result)
    return history_frame(lines)


def history_frame(lines: Iterable[dict[str, Any]] | pd.DataFrame) -> pd.DataFrame:
    """Lines as a table with the columns and kinds of `COLUMNS`, in order."""
    values = lines if isinstance(lines, pd.DataFrame) else list(lines)
    frame = pd.DataFrame(values, columns=list(COLUMNS)).astype(COLUMNS)
    frame["ordered"] = frame["ordered"].fillna(frame["started"])
    return frame.sort_values("ordered", kind="stable", ignore_index=True)


def _our_lines(results: Path, warn: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    ordered = datetime.min.replace(tzinfo=UTC)
    for name in run_names(results):
        try:
            run = open_run(results, name, warn)
            started = datetime.strptime(name.split("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        except (StoreError, ValueError) as error:
            warn(f"run {name} is left out: {error}")
            continue
        ordered = max(ordered, started)
        machine = run.machine
        for row in latest_of(run.rows):
            yield {
                "started": started,
                "ordered": ordered,
                "commit": machine.commit,
                "dirty": machine.dirty,
                "source": "convmark",
                "run": name,
                "machine": machine.platform,
                **_of_row(row),
            }


def _asv_lines(result: AsvResult) -> Iterator[dict[str, Any]]:
    known = result.machine
    described = f"{known.get('cpu') or 'unknown'}, {known.get('num_cpu') or '?'} cores, {known.get('machine')}"
    started = datetime.fromtimestamp(result.started, UTC) if result.started == result.started else None
    for row in result.rows:
        yield {
            "started": started,
            "commit": result.commit,
            "dirty": False,
            "source": "asv",
            "run": result.commit[:8],
            "machine": described,
            **_of_row(row),
        }


def _of_row(row: Row) -> Row:
    return {name: row[name] for name in _OF_ROWS}


def git_history(folder: Path, warn: Callable[[str], None]) -> list[str]:
    """Commits of the repository that a folder is in, parents before children; none if it is in none.

    Parameters
    ----------
    folder : Path
    warn : callable
        Called with git's words if it refuses.
    """
    try:
        return git(folder, "rev-list", "--topo-order", "--reverse", "--all", "HEAD").decode().split()
    except GitError as error:
        if not error.is_outside:
            warn(f"commits are in the order in which they were measured: {error}")
        return []
