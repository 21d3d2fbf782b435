"""The file of what was measured on this machine: an SQLite database, read rarely, written in whole transactions.

It lies below the user's data folder, or where ``CONVMARK_TUNED`` says; with ``CONVMARK_TUNED=off`` nothing
is read, and nothing can be written. `kernels.tuning.measured` keeps measured choices in it, `kernels.tuning.limits`
the machine's rates.
"""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kernels.errors import TunedError

if TYPE_CHECKING:
    import sqlite3

__all__ = ["VARIABLE", "database", "ignore", "remove", "rows", "writing"]

VARIABLE = "CONVMARK_TUNED"

#: Seconds that a process waits for another one's transaction: a call of `conv2d` no longer than that.
_PATIENCE_READING_S, _PATIENCE_WRITING_S = 1.0, 30.0
#: Of the tables. In the first one, times were in the order of the clock.
_VERSION = 1


def database() -> Path:
    """Where it is kept; the file need not exist.

    Raises
    ------
    TunedError
        It is switched off, or the user has no home.
    """
    named = os.environ.get(VARIABLE)
    if named == "off":
        raise TunedError(f"{VARIABLE} is 'off', expected the path of a file to keep measured choices in")
    try:
        if named:
            return Path(named).expanduser()
        # Only here: it takes some milliseconds to import.
        import platformdirs

        return Path(platformdirs.user_data_dir("convmark", appauthor=False)) / "tuned.sqlite"
    except RuntimeError as error:
        raise TunedError(f"the user has no home, expected {VARIABLE} to name a file for measured choices") from error


def rows(query: str, parameters: Sequence[object], path: Path | None = None) -> list[tuple[Any, ...]]:
    """What the database has, or another one; nothing if it is switched off, does not exist, or has no such table yet.

    A file that cannot be read is one warning. What a killed writer left half written is undone first.
    """
    try:
        path = path or database()
    except TunedError:
        return []
    # Not `Path.exists`, which raises in a home that one may not look into.
    if not os.path.exists(path):
        return []
    # Only here: without a database it is not imported.
    import sqlite3

    try:
        try:
            return _read(path, "ro", query, parameters)
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []
            # A journal that a killed writer left can only be undone by a connection that may write.
            return _read(path, "rw", query, parameters)
    except (sqlite3.Error, OSError, TunedError) as error:
        ignore(_sentence("read", path, error))
        return []


def _read(path: Path, mode: str, query: str, parameters: Sequence[object]) -> list[tuple[Any, ...]]:
    import sqlite3

    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True, timeout=_PATIENCE_READING_S)
    try:
        _check_version(connection)
        return connection.execute(query, parameters).fetchall()
    finally:
        connection.close()


@functools.cache
def ignore(what: str) -> None:
    """Warn, once, that what is in the database is of no use."""
    warnings.warn(f"{what}; nothing measured is used", RuntimeWarning, stacklevel=2)


def _check_version(connection: sqlite3.Connection) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > _VERSION:
        raise TunedError(f"it is of version {version}, expected at most {_VERSION}")


def remove(table: str, cpu: str) -> int:
    """Remove a CPU's rows of a table; how many there were.

    Raises
    ------
    TunedError
        The database cannot be written.
    """
    if not os.path.exists(database()):
        return 0
    with writing() as connection:
        known = connection.execute("SELECT name FROM sqlite_master WHERE name = ?", (table,)).fetchall()
        return connection.execute(f"DELETE FROM {table} WHERE cpu = ?", (cpu,)).rowcount if known else 0


@contextmanager
def writing() -> Iterator[sqlite3.Connection]:
    """A connection of which all is written or nothing."""
    import sqlite3

    path = database()
    connection: Any = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=_PATIENCE_WRITING_S, isolation_level=None)
        # Locked from the beginning: two that both read first could not both go on to write.
        connection.execute("BEGIN IMMEDIATE")
        _check_version(connection)
        connection.execute(f"PRAGMA user_version = {_VERSION}")
        yield connection
        connection.execute("COMMIT")
    except (sqlite3.Error, OSError, TunedError) as error:
        raise TunedError(_sentence("write", path, error)) from error
    finally:
        # What was not committed is undone by this.
        if connection is not None:
            connection.close()


def _sentence(verb: str, path: Path, error: Exception) -> str:
    """Why the database cannot be used."""
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"cannot {verb} {path}: {words}, expected a database of measured choices"
