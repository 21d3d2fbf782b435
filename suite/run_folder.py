"""One run's folder: what is added to it while the run goes on, what was added before, and its tables.

``takes.jsonl`` has a line for each bout in each generation of processes, every sample in it, on the
disk before the next begins; ``rows.jsonl`` has a line a row; once the run is finished there are
``rows.csv`` and ``rows.parquet``. What is stored is never rewritten: a line cut off by a killed
process stays where it is, and what it held is measured again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from suite.environment import Limits, Machine
from suite.frames import frame_of
from suite.lines import append_line, read_lines, replace_file
from suite.outcome import Take
from suite.rows import COLUMNS, LATER_COLUMNS, Row, key_of
from suite.runner import Ledger
from suite.selection import Bout, Request, bouts_of

__all__ = ["ROWS", "Run", "StoreError", "read_rows", "unwritable"]

_TAKES, ROWS = "takes.jsonl", "rows.jsonl"


class StoreError(Exception):
    """A run cannot be read or written."""


def unwritable(path: Path, error: OSError) -> StoreError:
    """One sentence for a file or folder that cannot be written."""
    return StoreError(f"cannot write {path}: {error.strerror or error}, expected a folder that can be written to")


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
        self._append(ROWS, whole)
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
        found = Ledger(screen=self.request.screen)
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


def read_rows(path: Path, warn: Callable[[str], None]) -> list[Row]:
    """Rows of a ``rows.jsonl``; ``warn`` is told, in a sentence, of each line that is not a whole one."""
    rows: list[Row] = []
    for line in read_lines(path, warn):
        row = {**LATER_COLUMNS, **line}
        if set(COLUMNS) <= set(row):
            rows.append({name: row[name] for name in COLUMNS})
        else:
            warn(f"{path} has a row without {min(set(COLUMNS) - set(row))!r}, which is left out, expected all columns")
    return rows
