"""The work of ``convmark history``."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from suite.console import fail, print_json, stderr, stdout, warn
from suite.history.series import find_changes, order_commits, series_points
from suite.history.shared import SharedHistory
from suite.history.stored import git_history, stored_history
from suite.report.history import changes_table, history_html, series_sentence
from suite.report.page import document
from suite.report.terminal import print_table
from suite.results.files import unwritable

__all__ = ["history"]

#: Where this repository's asv.conf.json has asv store its results.
_ASV = Path(".asv/results")


def history(
    results: Path,
    asv: Path | None,
    output: Path | None,
    push: str | None,
    runner: str,
    source: str | None,
    as_json: bool,
) -> None:
    """See `suite.commands.history.history`."""
    if push is not None and source is not None:
        fail("--push and --from are given, expected one of them")
    if source is not None:
        frame = SharedHistory(source).read()
    else:
        frame = stored_history(results, asv or (_ASV if _ASV.is_dir() else None), warn)
    if frame.empty:
        fail(f"nothing is stored below {results / 'runs'} or by asv, expected runs; make one with: convmark run")
    if push is not None:
        _push(frame, push, runner, as_json)
        return
    order = order_commits(frame, git_history(results if results.is_dir() else Path(), warn))
    points = series_points(frame, order)
    series, changes = find_changes(points)
    _note_what_is_left_out(frame)
    files = _write(frame, series, changes, points, output or results / "history")
    if as_json:
        print_json(
            {
                "runs": len(_runs(frame)),
                "commits": order,
                "series": json.loads(series.to_json(orient="records")),
                "changes": json.loads(changes.to_json(orient="records")),
                "files": [str(path) for path in files],
            }
        )
        return
    if len(changes):
        print_table(stdout(), changes_table(changes))
    stdout().print(series_sentence(series), soft_wrap=True, markup=False)
    stderr().print(f"Written: {', '.join(map(str, files))}", soft_wrap=True, markup=False)


def _push(frame: pd.DataFrame, where: str, runner: str, as_json: bool) -> None:
    pushed, changes = SharedHistory(where).push(frame, runner)
    for sentence in changes:
        warn(sentence)
    if as_json:
        print_json({"pushed": pushed, "other_machines": changes})
    else:
        print(f"{len(pushed)} run{'' if len(pushed) == 1 else 's'} added to {where}.")


def _runs(frame: pd.DataFrame) -> pd.DataFrame:
    """The first row of each run; what asv stored of a commit on a machine counts as one."""
    return frame.drop_duplicates(["source", "run", "commit", "machine"])


def _note_what_is_left_out(frame: pd.DataFrame) -> None:
    runs = _runs(frame)
    unplaced = int((runs["dirty"] | (runs["commit"] == "")).sum())
    if unplaced:
        warn(f"{unplaced} of {len(runs)} runs are of sources that were not committed: in the table, but in no series")


def _write(
    frame: pd.DataFrame, series: pd.DataFrame, changes: pd.DataFrame, points: dict[tuple[object, ...], pd.Series],
    folder: Path,
) -> list[Path]:  # fmt: skip
    tables = {"history.parquet": frame, "history.csv": frame, "series.csv": series, "changes.csv": changes}
    files = [folder / name for name in tables]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, table in zip(files, tables.values(), strict=True):
            if path.suffix == ".parquet":
                table.to_parquet(path, index=False)
            else:
                table.to_csv(path, index=False)
        if points:
            files.append(folder / "history.html")
            html = history_html(points, series, changes)
            files[-1].write_text(document("History of stored runs", [("history", "History", html)]), encoding="utf-8")
    except OSError as error:
        raise unwritable(folder, error) from error
    return files
