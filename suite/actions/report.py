"""The work of ``convmark report``."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from suite.actions.arguments import all_right
from suite.console import print_json, stderr, stdout, warn
from suite.history.series import find_changes, order_commits, series_points
from suite.history.stored import git_history, stored_history
from suite.report.exports import write_exports
from suite.report.gate import gate_html, latest_gate
from suite.report.history import history_html
from suite.report.load import foreign_frames, open_stored, together
from suite.report.tensorboard import write_tensorboard
from suite.report.terminal import print_report
from suite.report.write import write_report
from suite.results.runs import Run

__all__ = ["complete", "report"]


def report(
    names: list[str] | None,
    results: Path,
    asv: Path | None,
    pytest_benchmark: Path | None,
    gate: Path | None,
    tensorboard: Path | None,
    lnt: Path | None,
    conbench: Path | None,
    output: Path | None,
    details: bool,
    as_json: bool,
) -> None:
    """See `suite.commands.report.report`."""
    alone = not names and (asv is not None or pytest_benchmark is not None)
    stored = [] if alone else open_stored(results, names or ["latest"], warn)
    frame = together([*(each.frame for each in stored), *foreign_frames(asv, pytest_benchmark, warn)])
    if as_json:
        print_json({"rows": json.loads(frame.to_json(orient="records", date_format="iso"))})
    else:
        print_report(stdout(), frame, details=details)
    folder = output or (stored[0].folder if stored else None)
    if folder is not None:
        sections = [] if alone else [*_history(results, asv), *_gate(gate or latest_gate(results))]
        page = write_report(frame, stored, folder, sections)[0]
        stderr().print(f"Report: {page}", soft_wrap=True, markup=False)
    if tensorboard is not None:
        write_tensorboard(frame, tensorboard)
    write_exports(stored, lnt, conbench, warn)
    whole = all([complete(each.run) for each in stored])
    raise typer.Exit(0 if whole and all_right(frame["status"]) else 1)


def _history(results: Path, asv: Path | None) -> list[tuple[str, str, str]]:
    """The history as a section, if several commits were measured."""
    stored = stored_history(results, asv, warn)
    order = order_commits(stored, git_history(results if results.is_dir() else Path(), warn))
    if len(order) < 2:
        return []
    points = series_points(stored, order)
    if not any(len(each) > 1 for each in points.values()):
        return []
    return [("history", "History", history_html(points, *find_changes(points)))]


def _gate(folder: Path | None) -> list[tuple[str, str, str]]:
    return [] if folder is None else [("gate", "The gate", gate_html(folder, warn))]


def complete(here: Run | None) -> bool:
    """Whether a run has all its rows; a sentence on stderr if it has not."""
    if here is None or not here.missing:
        return True
    warn(
        f"{here.missing} of {here.expected} rows are missing in run {here.name}; "
        f"go on with: convmark run --resume {here.name}"
    )
    return False
