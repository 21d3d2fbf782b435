"""The file of what was measured on this machine: an SQLite database, read rarely, written in whole transactions.

It lies below the user's data folder, or where ``CONVMARK_TUNED`` says; with ``CONVMARK_TUNED=off`` nothing
is read, and nothing can be written. `kernels.tuning.measured` keeps measured choices in it, `kernels.tuning.limits`
the machine's rates.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kernels.errors import TunedError

if TYPE_CHECKING:
    import sqlite3

__all__ = ["VARIABLE", "database", "remove", "rows", "writing"]

VARIABLE = "CONVMARK_TUNED"

#: Seconds that a process waits for another one's transaction: a call of `conv2d` no longer than that.
_PATIENCE_READING_S, _PATIENCE_WRITING_S = 1.0, 30.0


def database() -> Path:
    """Where it is kept; the file need not exist.

    Raises
    ------
    TunedError
        It is switched off.
    """
    named = os.environ.get(VARIABLE)
    if named == "off":
        raise TunedError(f"{VARIABLE} is 'off', expected the path of a file to keep measured choices in")
    if named:
        return Path(named)
    # Imported where it is needed: whoever never tunes does not wait for it.
    import platformdirs

    return Path(platformdirs.user_data_dir("convmark", appauthor=False)) / "tuned.sqlite"


def rows(query: str, parameters: Sequence[object]) -> list[tuple[Any, ...]]:
    """What the database has; nothing where it is switched off, does not exist, or has no such table yet.

    A file that cannot be read is a warning.
    """
    path = None if os.environ.get(VARIABLE) == "off" else database()
    # Not `Path.exists`, which raises in a home that one may not look into.
    if path is None or not os.path.exists(path):
        return []
    # Only here: whoever has no database does not import it.
    import sqlite3

    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=_PATIENCE_READING_S)
        try:
            return connection.execute(query, parameters).fetchall()
        finally:
            connection.close()
    except sqlite3.Error as error:
        if "no such table" not in str(error):
            warnings.warn(f"{_sentence('read', path, error)}; nothing measured is used", RuntimeWarning, stacklevel=2)
        return []


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
        yield connection
        connection.execute("COMMIT")
    except (sqlite3.Error, OSError) as error:
        raise TunedError(_sentence("write", path, error)) from error
    finally:
        # What was not committed is undone by this.
        if connection is not None:
            connection.close()


def _sentence(verb: str, path: Path, error: Exception) -> str:
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"cannot {verb} {path}: {words}, expected a database of measured choices"
