"""One table of rows from every source, and the files of a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from suite.report.markdown import markdown
from suite.report.null import control_facts
from suite.report.plot import draw_all
from suite.report.tradeoff import tradeoffs
from suite.report.tradeoff_plot import draw_tradeoffs
from suite.results.files import unwritable
from suite.results.frame import frame_of
from suite.results.rows import Row
from suite.results.runs import Run

__all__ = ["combine", "write_report"]


def combine(rows: Sequence[Row], asv: Sequence[Row] = (), pytest_benchmark: Sequence[Row] = ()) -> pd.DataFrame:
    """Rows of all sources in one table, with a column ``source`` that tells them apart."""
    parts = []
    for source, of_source in (("convmark", rows), ("asv", asv), ("pytest-benchmark", pytest_benchmark)):
        frame = frame_of(list(of_source))
        frame["source"] = pd.array([source] * len(frame), dtype="string")
        parts.append(frame)
    return pd.concat(parts, ignore_index=True)


def write_report(frame: pd.DataFrame, run: Run | None, folder: Path) -> list[Path]:
    """Write ``report.md`` with its pictures, and the table as ``report.csv`` and ``report.parquet``.

    Returns
    -------
    list of Path
        What was written, the Markdown first.

    Raises
    ------
    StoreError
        The folder cannot be written.
    """
    page, csv, parquet = (folder / f"report.{ending}" for ending in ("md", "csv", "parquet"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        pictures = [*draw_all(frame, folder), *draw_tradeoffs(tradeoffs(frame), folder)]
        if run is None:
            text = markdown(frame, None, None, pictures)
        else:
            # A run lies in the folder of runs of a folder of results.
            control = control_facts(run.folder.parent.parent, run.machine)
            text = markdown(frame, run.machine, run.limits, pictures, control)
        page.write_text(text, encoding="utf-8")
        frame.to_csv(csv, index=False)
        frame.to_parquet(parquet, index=False)
    except OSError as error:
        raise unwritable(folder, error) from error
    return [page, csv, parquet, *pictures]
