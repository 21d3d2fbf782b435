"""Runs: started, listed, added to while they go on, and read again to be reported or resumed.

A run is a folder below ``results/runs``:

``machine.json``, ``request.json``
    Stamp and limits; what was asked for.
``measurements.jsonl``
    A line per case and generation of processes, every sample in it, on the disk before the next begins.
``rows.jsonl``
    A line per row.
``rows.csv``, ``rows.parquet``
    All rows, once the run is finished.

Lines that are stored are never rewritten: one that a killed process cut off stays, and what it held is
measured again. Runs of earlier versions have ``takes.jsonl`` in place of ``measurements.jsonl``.
"""

from __future__ import annotations

import json
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from suite.machine.environment import Limits, Machine
from suite.measure.measurements import Measurements
from suite.measure.result import ProcessResult
from suite.measure.screen import Screen
from suite.records import checked
from suite.results.files import StoreError, adding_to, make_folder, replace_file, unwritable
from suite.results.frame import frame_of
from suite.results.jsonl import append_line, parse_json, read_lines
from suite.results.rows import COLUMNS, LATER_COLUMNS, Row, key_of
from suite.selection import Case, Request

__all__ = ["Run", "open_run", "read_rows", "require_writable", "run_names", "start_run"]

_MEASUREMENTS, _ROWS = "measurements.jsonl", "rows.jsonl"

#: Name of `_MEASUREMENTS` in runs of earlier versions, and of the fields of a line there.
_EARLIER_MEASUREMENTS = "takes.jsonl"
_EARLIER_FIELDS = {"bout": "case", "takes": "results"}


class Run:
    """One run's folder.

    Attributes
    ----------
    folder : Path
    machine : Machine
    limits : Limits
    request : Request
    expected : int
        How many rows were asked for.
    rows : list of Row
        What is stored, in order.
    """

    def __init__(
        self, folder: Path, machine: Machine, limits: Limits, request: Request, expected: int, rows: list[Row]
    ) -> None:
        self.folder = folder
        self.machine = machine
        self.limits = limits
        self.request = request
        self.expected = expected
        self.rows = rows

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """The block adds to this run, and no other process does meanwhile.

        Raises
        ------
        StoreError
            Another process does already, or the folder cannot be written.
        """
        with adding_to(self.folder):
            # What another process stored since this one looked.
            self.rows = read_rows(self.folder / _ROWS, lambda sentence: None)
            yield

    @property
    def name(self) -> str:
        """The folder's name, by which a run is called."""
        return self.folder.name

    @property
    def missing(self) -> int:
        """How many rows are not stored yet."""
        return self.expected - len({key_of(row) for row in self.rows})

    def require(self, machine: Machine) -> None:
        """Refuse to add rows of another machine, or of other sources.

        Raises
        ------
        StoreError
            The stamps differ; the message has the first difference.
        """
        before, now = self.machine.as_dict(), machine.as_dict()
        for name, value in before.items():
            if value != now[name]:
                raise StoreError(
                    f"run {self.name} was made with {name} {value!r}, expected the same, not {now[name]!r}"
                )

    def done(self) -> set[tuple[Any, ...]]:
        """Keys of the rows that need not be measured again; failures are tried again."""
        return {key_of(row) for row in self.rows if row["status"] != "failed"}

    def append(self, row: Row) -> None:
        """Store one row; it is on the disk when this returns.

        Raises
        ------
        StoreError
            The file cannot be written.
        """
        stamped = {"run": self.name, "machine": self.machine.stamp, **row}
        whole = {name: stamped[name] for name in COLUMNS}
        self._append(_ROWS, whole)
        self.rows.append(whole)

    def append_results(self, case: Case, generation: int, results: dict[str, ProcessResult]) -> None:
        """Store the results of one case in one generation; they are on the disk when this returns.

        Raises
        ------
        StoreError
            The file cannot be written.
        """
        found = {name: result.as_dict() for name, result in results.items()}
        self._append(_MEASUREMENTS, {"case": case.key, "generation": generation, "results": found})

    def _append(self, name: str, value: object) -> None:
        path = self.folder / name
        try:
            append_line(path, value)
        except OSError as error:
            raise unwritable(path, error) from error

    def measurements(self, warn: Callable[[str], None]) -> Measurements:
        """What is stored of every case, without contenders that failed: they are tried again.

        Parameters
        ----------
        warn : callable
            Called with a sentence for each line that is not whole.
        """
        request, cases = self.request, {case.key: case for case in self.request.cases()}
        found = Measurements(screen=Screen(request.slower if request.processes > 1 else 0.0, request.reference))
        for name in (_EARLIER_MEASUREMENTS, _MEASUREMENTS):
            for line in read_lines(self.folder / name, warn):
                line = {_EARLIER_FIELDS.get(field, field): value for field, value in line.items()}
                try:
                    case, generation = cases.get(tuple(line["case"])), int(line["generation"])
                    results = {contender: checked(ProcessResult(**each)) for contender, each in line["results"].items()}
                except (KeyError, TypeError, ValueError, AttributeError):
                    warn(f"{self.folder / name} has a line without results, which is left out, expected a run's own")
                    continue
                if case is not None:
                    found.add(case, generation, results)
        found.drop_failed()
        return found

    def finish(self) -> None:
        """Write ``rows.csv`` and ``rows.parquet`` of everything that is stored.

        Raises
        ------
        StoreError
            A file cannot be written.
        """
        frame = frame_of(self.rows)
        try:
            replace_file(self.folder / "rows.csv", lambda path: frame.to_csv(path, index=False))
            replace_file(self.folder / "rows.parquet", lambda path: frame.to_parquet(path, index=False))
        except OSError as error:
            raise unwritable(self.folder, error) from error


def require_writable(results: Path) -> None:
    """Find out before anything is measured whether runs can be stored below ``results``.

    Raises
    ------
    StoreError
        They cannot.
    """
    folder = results / "runs"
    try:
        make_folder(folder)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise unwritable(folder, error) from error


def start_run(results: Path, machine: Machine, limits: Limits, request: Request, expected: int) -> Run:
    """Make a new run's folder below ``results/runs``.

    Parameters
    ----------
    results : Path
    machine : Machine
    limits : Limits
    request : Request
    expected : int
        How many rows it will have.

    Raises
    ------
    StoreError
        The folder cannot be written.
    """
    name = "-".join(
        (time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()), machine.commit[:8] or "nogit", secrets.token_hex(2))
    )
    folder = results / "runs" / name
    try:
        make_folder(folder)
        described = {"stamp": machine.stamp, "machine": machine.as_dict(), "limits": limits.as_dict()}
        _write_json(folder / "machine.json", described)
        number = 1 + max(map(_number_of, folder.parent.glob("*/request.json")), default=0)
        _write_json(folder / "request.json", {"number": number, "rows": expected, "asked": request.as_dict()})
    except OSError as error:
        raise unwritable(folder, error) from error
    return Run(folder, machine, limits, request, expected, [])


def run_names(results: Path) -> list[str]:
    """Names of the runs below ``results``, in the order in which they were started.

    That is told by a number of each, for a clock may have been set back. Runs that were started at once share one,
    and runs of earlier versions have none and come first; both are ordered by the clock's time.
    """
    paths = results.glob("runs/*/request.json")
    return [path.parent.name for path in sorted(paths, key=lambda path: (_number_of(path), path.parent.name))]


def _number_of(path: Path) -> int:
    """The number in a ``request.json``; 0 if there is none."""
    try:
        number = parse_json(path.read_bytes())["number"]
    except (OSError, ValueError, TypeError, KeyError):
        return 0
    return number if isinstance(number, int) else 0


def open_run(results: Path, name: str, warn: Callable[[str], None]) -> Run:
    """Read a run, to report or to resume it.

    Parameters
    ----------
    results : Path
    name : str
        Its name, ``"latest"``, or the path of its folder.
    warn : callable
        Called with a sentence for each line that is not a whole row.

    Raises
    ------
    StoreError
        There is no such run, or it cannot be read.
    """
    names = run_names(results)
    if name == "latest" and names:
        folder = results / "runs" / names[-1]
    else:
        folder = Path(name) if (Path(name) / "request.json").exists() else results / "runs" / name
    if not (folder / "request.json").exists():
        known = f"one of {', '.join(names[-3:])} or 'latest'" if names else "a run there, and there is none yet"
        raise StoreError(f"no run {name!r} below {results / 'runs'}, expected {known}")
    try:
        described = parse_json((folder / "machine.json").read_bytes())
        machine, limits = Machine.from_dict(described["machine"]), Limits.from_dict(described["limits"])
        wanted = parse_json((folder / "request.json").read_bytes())
        # Earlier versions called a row that was asked for a task.
        request, expected = Request.from_dict(wanted["asked"]), int(wanted.get("rows", wanted.get("tasks")))
        rows = read_rows(folder / _ROWS, warn)
    except OSError as error:
        raise StoreError(f"cannot read {error.filename}: {error.strerror}, expected a run's file") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreError(f"{folder} has a damaged machine.json or request.json, expected a run's own") from error
    return Run(folder, machine, limits, request, expected, rows)


#: What a column's values may be in JSON, which tells numbers apart by whether they have a point.
_KINDS = {name: {kind, type(None), int if kind is float else kind} for name, kind in COLUMNS.items()}


def read_rows(path: Path, warn: Callable[[str], None]) -> list[Row]:
    """Rows of a ``rows.jsonl``.

    Parameters
    ----------
    path : Path
    warn : callable
        Called with a sentence for each line that is not a whole row.
    """
    rows: list[Row] = []
    for line in read_lines(path, warn):
        row = {**LATER_COLUMNS, **line}
        if set(COLUMNS) <= set(row):
            bad = next((name for name, kinds in _KINDS.items() if type(row[name]) not in kinds), None)
            if bad is None:
                rows.append({name: row[name] for name in COLUMNS})
            else:
                told = f"{row[bad]!r}"[:60]
                warn(f"{path} has a row with {bad} {told}, which is left out, expected {COLUMNS[bad].__name__}")
        else:
            warn(f"{path} has a row without {min(set(COLUMNS) - set(row))!r}, which is left out, expected all columns")
    return rows


def _write_json(path: Path, value: object) -> None:
    replace_file(path, lambda part: part.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8"))
