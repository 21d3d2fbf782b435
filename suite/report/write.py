"""The files of a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from suite.console import warn
from suite.report.contents import sections as made_sections
from suite.report.load import Stored
from suite.report.machine import control_facts, machine_table
from suite.report.markdown import markdown
from suite.report.page import Extra, page
from suite.report.table import records
from suite.results.files import unwritable
from suite.results.rows import key_of

__all__ = ["write_report"]

#: Samples of one process that a page shows: the least, the largest, and others evenly between them by rank.
_SHOWN = 12


def write_report(
    frame: pd.DataFrame, stored: Sequence[Stored], folder: Path, sections: Sequence[tuple[str, str, str]] = ()
) -> list[Path]:
    """Write ``report.html`` and ``report.md``, and the frame as ``report.csv`` and ``report.parquet``.

    Parameters
    ----------
    frame : DataFrame
    stored : sequence of Stored
        The runs that it is made of, in that order.
    folder : Path
    sections : sequence of (str, str, str)
        Key, title and HTML of further sections of the page.

    Returns
    -------
    list of Path
        What was written, the page first.

    Raises
    ------
    StoreError
        The folder cannot be written.
    """
    # A run lies in the folder of runs of a folder of results.
    machines = [
        machine_table(each.machine, each.limits, control_facts(each.folder.parent.parent, each.machine))
        for each in stored
    ]
    files = [folder / f"report.{ending}" for ending in ("html", "md", "csv", "parquet")]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Made once for both: of many machines it takes longest.
        made = list(made_sections(frame))
        extra = Extra(machines, _samples(frame, stored), list(sections))
        files[0].write_text(page(frame, extra, made), encoding="utf-8")
        files[1].write_text(markdown(frame, machines, made), encoding="utf-8")
        frame.to_csv(files[2], index=False)
        frame.to_parquet(files[3], index=False)
    except OSError as error:
        raise unwritable(folder, error) from error
    return files


def _samples(frame: pd.DataFrame, stored: Sequence[Stored]) -> dict[int, list[list[float]]]:
    """By row of the frame, some samples of each process."""
    found: dict[int, list[list[float]]] = {}
    for each in stored:
        own = frame[(frame["source"] == "convmark") & (frame["run"] == each.name) & frame["time_s"].notna()]
        samples = each.samples(warn)
        for index, row in zip(own.index, records(own), strict=True):
            if key_of(row) in samples:
                found[index] = [_some(seconds) for seconds in samples[key_of(row)]]
    return found


def _some(seconds: Sequence[float]) -> list[float]:
    ordered = np.sort(seconds)
    return [float(value) for value in ordered[np.unique(np.linspace(0, len(ordered) - 1, _SHOWN).round().astype(int))]]
