"""Rows on disk: appended one by one while a run goes on, tables when it is done.

A run is a folder: ``machine.json`` (stamp and limits), ``request.json`` (what was asked
for), ``takes.jsonl`` (a line for each bout in each generation of processes, every sample in
it, on the disk before the next begins), ``rows.jsonl`` (a line a row), and once it is
finished ``rows.csv`` and ``rows.parquet``. What a run has stored is never rewritten: a
line cut off by a killed process stays where it is, and what it held is measured again.
"""

from __future__ import annotations

import json
import secrets
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from suite.environment import Limits, Machine
from suite.lines import append_line, read_lines, replace_file
from suite.outcome import Take
from suite.rows import COLUMNS, LATER_COLUMNS, Row, key_of
from suite.runner import Ledger
from suite.selection import Bout, Request, bouts_of

__all__ = [
    "Run",
    "StoreError",
    "frame_of",
    "latest_of",
    "open_run",
    "require_writable",
    "run_names",
    "start_run",
    "unwritable",
]

_TAKES, _ROWS = "takes.jsonl", "rows.jsonl"

#: Kinds of columns in pandas; each of them has a value for 'none'.
_KINDS = {str: "string", int: "Int64", float: "Float64"}


class StoreError(Exception):
    """A run cannot be read or written."""


class Run:
    """One run's folder.

    Attributes
    ----------
    folder : Path
    machine : Machine
    limits : Limits
    request : Request
    expected : int
        How many tasks were asked for.
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

    @property
    def name(self) -> str:
        """The folder's name, by which a run is called."""
        return self.folder.name

    @property
    def missing(self) -> int:
        """How many tasks have no row yet."""
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

    def append_takes(self, bout: Bout, generation: int, takes: dict[str, Take]) -> None:
        """Store what came of one bout in one generation; it is on the disk when this returns.

        Raises
        ------
        StoreError
            The file cannot be written.
        """
        found = {name: take.as_dict() for name, take in takes.items()}
        self._append(_TAKES, {"bout": bout.key, "generation": generation, "takes": found})

    def _append(self, name: str, value: object) -> None:
        path = self.folder / name
        try:
            append_line(path, value)
        except OSError as error:
            raise unwritable(path, error) from error

    def ledger(self, warn: Callable[[str], None]) -> Ledger:
        """The takes that are stored, without those of contenders that failed: they are tried again.

        Parameters
        ----------
        warn : callable
            Told, in a sentence, of each line that is not whole.
        """
        bouts = {bout.key: bout for bout in bouts_of(self.request.tasks())}
        found = Ledger()
        for line in read_lines(self.folder / _TAKES, warn):
            try:
                bout, generation = bouts.get(tuple(line["bout"])), int(line["generation"])
                takes = {name: Take(**take) for name, take in line["takes"].items()}
            except (KeyError, TypeError, ValueError, AttributeError):
                warn(f"{self.folder / _TAKES} has a line that is no take and is left out, expected a run's own")
                continue
            if bout is not None:
                found.add(bout, generation, takes)
        for generations in found.takes.values():
            failed = {name for takes in generations.values() for name, take in takes.items() if take.status == "failed"}
            for takes in generations.values():
                for name in failed & takes.keys():
                    del takes[name]
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


def latest_of(rows: list[Row]) -> list[Row]:
    """Of a task that a run measured twice, the last row."""
    return [*{(row["run"], key_of(row)): row for row in rows}.values()]


def frame_of(rows: list[Row]) -> pd.DataFrame:
    """`latest_of` rows as a table: a column each of `suite.rows.COLUMNS`."""
    latest = latest_of(rows)
    columns = {
        name: pd.array([row[name] for row in latest], dtype=_KINDS[kind])  # type: ignore[call-overload]
        for name, kind in COLUMNS.items()
    }
    return pd.DataFrame(columns)


def require_writable(results: Path) -> None:
    """Find out before anything is measured whether runs can be stored below ``results``.

    Raises
    ------
    StoreError
        They cannot.
    """
    folder = results / "runs"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise unwritable(folder, error) from error


def start_run(results: Path, machine: Machine, limits: Limits, request: Request, expected: int) -> Run:
    """Make a new run's folder below ``results/runs``; ``expected`` is how many tasks it has.

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
        folder.mkdir(parents=True)
        described = {"stamp": machine.stamp, "machine": machine.as_dict(), "limits": limits.as_dict()}
        _write_json(folder / "machine.json", described)
        _write_json(folder / "request.json", {"tasks": expected, "asked": request.as_dict()})
        (folder / _ROWS).touch()
    except OSError as error:
        raise unwritable(folder, error) from error
    return Run(folder, machine, limits, request, expected, [])


def run_names(results: Path) -> list[str]:
    """Names of the runs below ``results``, oldest first."""
    return sorted(path.parent.name for path in results.glob("runs/*/request.json"))


def open_run(results: Path, name: str, warn: Callable[[str], None]) -> Run:
    """Read a run, to report or to resume it.

    Parameters
    ----------
    results : Path
    name : str
        Its name, ``"latest"``, or the path of its folder.
    warn : callable
        Told, in a sentence, of each line that is not a whole row.

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
        described = json.loads((folder / "machine.json").read_text(encoding="utf-8"))
        machine, limits = Machine.from_dict(described["machine"]), Limits.from_dict(described["limits"])
        wanted = json.loads((folder / "request.json").read_text(encoding="utf-8"))
        request, expected = Request.from_dict(wanted["asked"]), int(wanted["tasks"])
        rows = _rows(folder / _ROWS, warn)
    except OSError as error:
        raise StoreError(f"cannot read {error.filename}: {error.strerror}, expected a run's file") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreError(f"{folder} has a damaged machine.json or request.json, expected a run's own") from error
    return Run(folder, machine, limits, request, expected, rows)


def _rows(path: Path, warn: Callable[[str], None]) -> list[Row]:
    rows: list[Row] = []
    for line in read_lines(path, warn):
        row = {**LATER_COLUMNS, **line}
        if set(COLUMNS) <= set(row):
            rows.append({name: row[name] for name in COLUMNS})
        else:
            warn(f"{path} has a row without {min(set(COLUMNS) - set(row))!r}, which is left out, expected all columns")
    return rows


def _write_json(path: Path, value: object) -> None:
    replace_file(path, lambda part: part.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8"))


def unwritable(path: Path, error: OSError) -> StoreError:
    """One sentence for a file or folder that cannot be written."""
    return StoreError(f"cannot write {path}: {error.strerror or error}, expected a folder that can be written to")
