"""Rows on disk: appended one by one while a run goes on, tables when it is done.

A run is a folder: ``machine.json`` (stamp and limits), ``request.json`` (what was asked
for), ``rows.jsonl`` (a line a row, on the disk before the next task starts), and once it
is finished ``rows.csv`` and ``rows.parquet``. What a run has stored is never rewritten: a
line cut off by a killed process stays where it is, and its row is measured again.
"""

from __future__ import annotations

import json
import os
import secrets
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from suite.environment import Limits, Machine
from suite.rows import COLUMNS, Row, key_of
from suite.selection import Request

__all__ = ["Run", "StoreError", "frame_of", "open_run", "require_writable", "run_names", "start_run", "unwritable"]

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
        path = self.folder / "rows.jsonl"
        try:
            with path.open("ab+") as file:
                line = json.dumps(whole).encode() + b"\n"
                # After a line that was cut off, start a new one rather than glue this row to it.
                if file.tell() and not _ends_with_newline(file):
                    line = b"\n" + line
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise unwritable(path, error) from error
        self.rows.append(whole)

    def finish(self) -> None:
        """Write ``rows.csv`` and ``rows.parquet`` of everything that is stored.

        Raises
        ------
        StoreError
            A file cannot be written.
        """
        frame = frame_of(self.rows)
        try:
            _replace(self.folder / "rows.csv", lambda path: frame.to_csv(path, index=False))
            _replace(self.folder / "rows.parquet", lambda path: frame.to_parquet(path, index=False))
        except OSError as error:
            raise unwritable(self.folder, error) from error


def frame_of(rows: list[Row]) -> pd.DataFrame:
    """Rows as a table: a column each of `suite.rows.COLUMNS`; of a task that a run measured twice, the last row."""
    latest = {(row["run"], key_of(row)): row for row in rows}
    columns = {
        name: pd.array([row[name] for row in latest.values()], dtype=_KINDS[kind])  # type: ignore[call-overload]
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
        (folder / "rows.jsonl").touch()
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
        text = (folder / "rows.jsonl").read_bytes()
    except OSError as error:
        raise StoreError(f"cannot read {error.filename}: {error.strerror}, expected a run's file") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreError(f"{folder} has a damaged machine.json or request.json, expected a run's own") from error
    return Run(folder, machine, limits, request, expected, _parse(text, folder / "rows.jsonl", warn))


def _parse(text: bytes, path: Path, warn: Callable[[str], None]) -> list[Row]:
    rows: list[Row] = []
    for number, line in enumerate(text.split(b"\n"), 1):
        if not line:
            continue
        try:
            row = json.loads(line)
            rows.append({name: row[name] for name in COLUMNS})
        except (ValueError, TypeError, KeyError):
            warn(f"{path} line {number} is not a whole row and is left out, expected one JSON object a line")
    return rows


def _ends_with_newline(file: Any) -> bool:
    file.seek(-1, os.SEEK_END)
    return bool(file.read(1) == b"\n")


def _write_json(path: Path, value: object) -> None:
    _replace(path, lambda part: part.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8"))


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Write beside the file and move over it: nobody ever reads half of it."""
    part = path.with_name(f"{path.name}.part")
    write(part)
    part.replace(path)


def unwritable(path: Path, error: OSError) -> StoreError:
    """One sentence for a file or folder that cannot be written."""
    return StoreError(f"cannot write {path}: {error.strerror or error}, expected a folder that can be written to")
