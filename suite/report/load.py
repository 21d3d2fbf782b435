"""All stored rows as one tidy frame of pandas: where reports, comparisons and notebooks start."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from suite.blocks.problem import Block
from suite.format import circumstances
from suite.machine.environment import Limits, Machine
from suite.report.importers import read_asv_results, read_pytest_benchmark
from suite.report.kinds import kind_of
from suite.report.table import records
from suite.results.files import StoreError
from suite.results.frame import frame_of
from suite.results.rows import COLUMNS, LATER_COLUMNS, Row
from suite.results.runs import Run, open_run, run_names
from suite.workload import parse_workload

__all__ = ["ADDED", "Stored", "foreign_frames", "load", "open_stored", "stored_of", "tidy", "together"]

#: Columns that `tidy` adds to those of `suite.results.rows.COLUMNS`.
ADDED = {
    "source": "which tool measured it: convmark, asv or pytest-benchmark",
    "commit": "git commit of the sources",
    "dirty": "whether tracked files differed from that commit",
    "started": "when the run began, in UTC",
    "cpu": "model of the CPU",
    "platform": "what times depend on: CPU, cores, width of vectors, caches",
    "limit_gflops": "measured multiply-add limit of as many threads",
    "limit_gb_s": "measured memory bandwidth of as many threads",
    "contender": "algorithm or library, with its source where that is another tool",
    "peer": "whether it is another project's library",
    "kind": "kind of layer",
    "mb": "batch",
    "useful_flops": "two operations per multiply-add, taps on padding left out",
    "least_bytes": "bytes of input, weights and output, each once",
    "circumstances": "threads, caches, and the run where there are several: what may be compared",
}


#: What a missing cell of a ``rows.csv`` means, if not that there is no value.
_EMPTY = {"version": "", "reason": ""}


@dataclass(frozen=True)
class Stored:
    """One run as it is stored.

    Attributes
    ----------
    name : str
    folder : Path
    machine : Machine
    limits : Limits
    frame : DataFrame
        Its rows, tidy.
    run : Run or None
        The run's folder, which has the samples; ``None`` of a folder that holds rows alone.
    """

    name: str
    folder: Path
    machine: Machine
    limits: Limits
    frame: pd.DataFrame
    run: Run | None = field(default=None, repr=False)

    def samples(self, warn: Callable[[str], None]) -> dict[tuple[Any, ...], list[list[float]]]:
        """Seconds of the samples of each process by `suite.results.rows.key_of`; nothing of a folder of rows alone."""
        if self.run is None:
            return {}
        measurements = self.run.measurements(warn)
        found = {}
        for case, contenders in self.run.request.cases().items():
            for each in contenders:
                processes = [one.seconds for one in measurements.of(case, each.name) if one.seconds]
                if processes:
                    found[case.row_key(each.name)] = processes
        return found


def load(
    *runs: str | Path,
    results: str | Path = "results",
    asv: str | Path | None = None,
    pytest_benchmark: str | Path | None = None,
) -> pd.DataFrame:
    """Read stored rows into one tidy frame: a line per contender, layer, number of threads and state of the caches.

    Parameters
    ----------
    *runs : str or Path
        Names of runs below ``results``, ``"latest"``, or folders that hold ``rows.csv`` and ``machine.json``. Without
        any: every run below ``results``.
    results : str or Path
        Folder of the results.
    asv : str or Path, optional
        asv's results folder, whose rows are added.
    pytest_benchmark : str or Path, optional
        A file of ``pytest --benchmark-json``, whose rows are added.

    Returns
    -------
    DataFrame
        The columns of `suite.results.rows.COLUMNS` and of `ADDED`; docs/schema.md describes each.

    Raises
    ------
    StoreError
        There is no such run, or it cannot be read.
    ForeignError
        Another tool's file cannot be read.

    Examples
    --------
    >>> frame = load("latest")  # doctest: +SKIP
    >>> frame[frame.status == "ok"].pivot_table("time_s", "layer", "contender")  # doctest: +SKIP
    """
    results = Path(results)
    frames = [each.frame for each in open_stored(results, runs, _warn)] if runs or run_names(results) else []
    of_asv, of_pytest = (None if each is None else Path(each) for each in (asv, pytest_benchmark))
    return together([*frames, *foreign_frames(of_asv, of_pytest, _warn)])


def _warn(sentence: str) -> None:
    warnings.warn(sentence, stacklevel=3)


def foreign_frames(asv: Path | None, pytest_benchmark: Path | None, warn: Callable[[str], None]) -> list[pd.DataFrame]:
    """Rows of other tools.

    Parameters
    ----------
    asv, pytest_benchmark : Path or None
    warn : callable
        Called with a sentence for what is left out.

    Raises
    ------
    ForeignError
        A file cannot be read.
    """
    frames = []
    for result in read_asv_results(asv, warn) if asv else ():
        known = result.machine
        platform = f"{known.get('cpu') or 'unknown'}, {known.get('num_cpu') or '?'} cores, {known.get('machine')}"
        started = datetime.fromtimestamp(result.started, UTC) if result.started == result.started else None
        frames.append(tidy(result.rows, source="asv", commit=result.commit, started=started,
                           cpu=known.get("cpu") or "unknown", platform=platform))  # fmt: skip
    if pytest_benchmark:
        rows = read_pytest_benchmark(pytest_benchmark, warn)
        frames.append(tidy(rows, source="pytest-benchmark", platform=str(rows[0]["machine"]) if rows else ""))
    return frames


def open_stored(results: Path, names: Sequence[str | Path], warn: Callable[[str], None]) -> list[Stored]:
    """Read runs by name or folder; without any name, all below ``results``, those that cannot be read left out.

    Raises
    ------
    StoreError
        There is no such run, or it cannot be read.
    """
    if names:
        return [_open(results, name, warn) for name in names]
    found = []
    for name in run_names(results):
        try:
            found.append(_open(results, name, warn))
        except StoreError as error:
            warn(f"run {name} is left out: {error}")
    return found


def _open(results: Path, name: str | Path, warn: Callable[[str], None]) -> Stored:
    folder = Path(name)
    if (folder / "rows.csv").exists() and not (folder / "request.json").exists():
        return _open_rows(folder)
    return stored_of(open_run(results, str(name), warn))


def stored_of(run: Run) -> Stored:
    """A run that is open already."""
    frame = tidy(run.rows, machine=run.machine, limits=run.limits, started=_started(run.name))
    return Stored(run.name, run.folder, run.machine, run.limits, frame, run)


def _open_rows(folder: Path) -> Stored:
    """A folder that holds a run's table and its machine, as those below ``results`` that are kept for good."""
    try:
        described = json.loads((folder / "machine.json").read_text(encoding="utf-8"))
        machine, limits = Machine.from_dict(described["machine"]), Limits.from_dict(described["limits"])
        table = pd.read_csv(folder / "rows.csv", keep_default_na=False, na_values=[""], dtype={"version": "string"})
    except OSError as error:
        raise StoreError(f"cannot read {error.filename}: {error.strerror}, expected a run's file") from error
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(f"{folder} has a damaged machine.json or rows.csv, expected a run's own") from error
    rows: list[Row] = [
        {**LATER_COLUMNS, **{name: _EMPTY.get(name) if pd.isna(value) else value for name, value in row.items()}}
        for row in records(table)
    ]
    absent = set(COLUMNS) - set(rows[0]) if rows else set()
    if absent:
        raise StoreError(f"{folder / 'rows.csv'} has no column {min(absent)!r}, expected all of a run's")
    name = str(rows[0]["run"]) if rows else folder.name
    frame = tidy(rows, machine=machine, limits=limits, started=_started(name))
    return Stored(name, folder, machine, limits, frame)


def _started(name: str) -> datetime | None:
    """When a run began, which its name says."""
    try:
        return datetime.strptime(name.split("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def tidy(
    rows: Iterable[Row],
    *,
    source: str = "convmark",
    machine: Machine | None = None,
    limits: Limits | None = None,
    started: datetime | None = None,
    commit: str = "",
    cpu: str = "",
    platform: str = "",
) -> pd.DataFrame:
    """Rows of one run as a frame: `suite.results.rows.COLUMNS`, and `ADDED` but ``circumstances``."""
    frame = frame_of(list(rows))
    texts = {
        "source": source,
        "commit": machine.commit if machine else commit,
        "cpu": machine.cpu if machine else cpu,
        "platform": machine.platform if machine else platform,
    }
    frame = frame.assign(**{name: pd.array([text] * len(frame), dtype="string") for name, text in texts.items()})
    frame["dirty"] = bool(machine and machine.dirty)
    frame["started"] = pd.Series([started] * len(frame), dtype="datetime64[us, UTC]")
    facts = {text: _facts(text) for text in frame["problem"].unique()}
    peaks = {
        (text, threads): _limit(limits, str(facts[text]["dtype"]), int(threads))
        for text, threads in frame[["problem", "threads"]].drop_duplicates().itertuples(index=False)
    }
    pairs = list(zip(frame["problem"], frame["threads"], strict=True))
    frame["limit_gflops"] = pd.array([peaks[pair][0] for pair in pairs], dtype="Float64")
    frame["limit_gb_s"] = pd.array([peaks[pair][1] for pair in pairs], dtype="Float64")
    other = "" if source == "convmark" else " (" + source + " " + frame["run"] + ")"
    frame["contender"] = frame["algorithm"] + other
    frame["peer"] = (frame["family"] == "peer").astype(bool)
    for name, kind in {"kind": "string", "mb": "Int64", "useful_flops": "Float64", "least_bytes": "Float64"}.items():
        frame[name] = pd.array([facts[text][name] for text in frame["problem"]], dtype=kind)  # type: ignore[call-overload]
    return frame


def together(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Frames of several runs as one, with ``circumstances``; rows of several runs of our own never stand together."""
    if not frames:
        return together([tidy([])])
    # An empty frame has no say in what the columns are.
    frame = pd.concat([each for each in frames if len(each)] or list(frames[:1]), ignore_index=True)
    runs = frame.loc[frame["source"] == "convmark", "run"].unique()
    frame["circumstances"] = pd.array(
        [
            circumstances(threads, cache) + (f", {run}" if len(runs) > 1 else "")
            for threads, cache, run in zip(frame["threads"], frame["cache"], _run_labels(frame), strict=True)
        ],
        dtype="string",
    )
    return frame


def _run_labels(frame: pd.DataFrame) -> pd.Series:
    """A run's CPU and the day it began; its whole name where that says too little to tell runs apart."""
    runs = frame.drop_duplicates(["source", "run"])
    labels = {
        (source, run): f"{cpu} {'' if pd.isna(started) else f'{started:%Y-%m-%d}'}".strip() or str(run)
        for source, run, cpu, started in zip(runs["source"], runs["run"], runs["cpu"], runs["started"], strict=True)
    }
    counts = pd.Series(list(labels.values())).value_counts()
    labels = {key: label if counts[label] == 1 else f"run {key[1]}" for key, label in labels.items()}
    return pd.Series(
        [labels[key] for key in zip(frame["source"], frame["run"], strict=True)], frame.index, dtype=object
    )


def _facts(text: str) -> dict[str, Any]:
    """What a problem's text says; of a block no bytes, as what lies between its layers is not settled."""
    p = parse_workload(text)
    if isinstance(p, Block):
        return {"kind": f"block {p.kind}", "mb": p.mb, "useful_flops": 2.0 * p.macs_useful, "least_bytes": None,
                "dtype": p.dtype}  # fmt: skip
    elements = int(np.prod(p.input_shape)) + int(np.prod(p.weight_shape)) + int(np.prod(p.output_shape))
    return {"kind": kind_of(p), "mb": p.mb, "useful_flops": 2.0 * p.macs_useful,
            "least_bytes": float(elements * np.dtype(p.dtype).itemsize), "dtype": p.dtype}  # fmt: skip


def _limit(limits: Limits | None, dtype: str, threads: int) -> tuple[float | None, float | None]:
    if limits is None:
        return None, None
    return limits.fma_gflops.get(dtype, {}).get(threads), limits.bandwidth_gb_s.get(threads)
