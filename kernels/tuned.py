"""Measured choices: how long algorithms took on this machine, kept on disk from one process to the next.

A database of SQLite below the user's data folder, or the file that ``CONVMARK_TUNED`` names;
with ``CONVMARK_TUNED=off`` nothing is read, and nothing can be remembered. Rows are keyed by all
that a time depends on: the CPU's model, the digest of the kernels' sources, of the compiler's
versions and of the CPU's features, the width of vectors, the number of threads, and the
problem without its bias, which costs nothing. Rows of other sources and other machines stay
where they are and are not read.

Times are compared with times of the same call of `remember` only, those of the latest one: what was
measured an hour apart was measured on a machine with another load.
"""

from __future__ import annotations

import functools
import math
import os
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from kernels.errors import TunedError
from kernels.machine.blocking import vector_bytes
from kernels.machine.cpu import cpu_model
from kernels.machine.jit import source_digest
from kernels.problem import Conv2dProblem

if TYPE_CHECKING:
    import sqlite3

__all__ = ["database", "forget", "recall", "remember", "require_writable"]

_VARIABLE = "CONVMARK_TUNED"

#: Seconds that a process waits for another one's transaction: a call of `conv2d` no longer than that.
_PATIENCE_READING_S, _PATIENCE_WRITING_S = 1.0, 30.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS measured (
    cpu TEXT, digest TEXT, vector_bytes INTEGER, threads INTEGER, problem TEXT,
    algorithm TEXT, seconds REAL, measured_at REAL,
    PRIMARY KEY (cpu, digest, vector_bytes, threads, problem, measured_at, algorithm)
) WITHOUT ROWID
"""
_HERE = "cpu = ? AND digest = ? AND vector_bytes = ?"

_NOTHING: Mapping[str, float] = MappingProxyType({})
#: Seconds by algorithm, by problem text and threads.
_Known = dict[tuple[str, int], dict[str, float]]
#: What was read, by the variable's value: once a process.
_loaded: dict[str | None, _Known] = {}
_lock = Lock()


def database() -> Path:
    """Where measured choices are kept; the file need not exist.

    Raises
    ------
    TunedError
        They are switched off.
    """
    named = os.environ.get(_VARIABLE)
    if named == "off":
        raise TunedError(f"{_VARIABLE} is 'off', expected the path of a file to keep measured choices in")
    if named:
        return Path(named)
    # Imported where it is needed: whoever never tunes does not wait for it.
    import platformdirs

    return Path(platformdirs.user_data_dir("convmark", appauthor=False)) / "tuned.sqlite"


def recall(problem: Conv2dProblem, threads: int) -> Mapping[str, float]:
    """Seconds of one call by algorithm, as they were measured together last.

    The disk is read at a process's first call; a file that cannot be read is a warning, once,
    and holds nothing.

    Parameters
    ----------
    problem : Conv2dProblem
        With a bias or without one: that changes nothing.
    threads : int

    Returns
    -------
    mapping of str to float
        Read-only; empty where nothing is known.
    """
    known = _known()
    if not known:
        return _NOTHING
    found = known.get((_text_of(problem), threads))
    return _NOTHING if found is None else MappingProxyType(found)


def remember(problem: Conv2dProblem, threads: int, seconds: Mapping[str, float]) -> None:
    """Keep times that were measured together, in one transaction; several processes may do so at once.

    Parameters
    ----------
    problem : Conv2dProblem
    threads : int
    seconds : mapping of str to float
        Seconds of one call by algorithm. From now on they alone are recalled.

    Raises
    ------
    ValueError
        There is no time, or one is not a positive number.
    TunedError
        The database cannot be written; nothing was.
    """
    if not seconds or not all(math.isfinite(each) and each > 0 for each in seconds.values()):
        raise ValueError(f"seconds are {dict(seconds)}, expected a positive number an algorithm")
    text, now = _text_of(problem), time.time()
    rows = [(*_here(), threads, text, name, float(each), now) for name, each in seconds.items()]
    with _writing() as connection:
        connection.execute(_SCHEMA)
        connection.executemany("INSERT OR REPLACE INTO measured VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    _known()[text, threads] = {name: float(each) for name, each in seconds.items()}


def forget() -> int:
    """Remove everything that was measured on this CPU, whatever the kernels' sources were.

    Returns
    -------
    int
        How many rows that were.

    Raises
    ------
    TunedError
        The database cannot be written.
    """
    count = 0
    if os.path.exists(database()):
        with _writing() as connection:
            connection.execute(_SCHEMA)
            count = connection.execute("DELETE FROM measured WHERE cpu = ?", (cpu_model(),)).rowcount
    _known().clear()
    return count


def require_writable() -> None:
    """Find out, before anything is measured, whether it could be kept.

    Raises
    ------
    TunedError
        The database cannot be written.
    """
    with _writing() as connection:
        connection.execute(_SCHEMA)


def _here() -> tuple[str, str, int]:
    return cpu_model(), source_digest(), vector_bytes()


@functools.lru_cache(maxsize=4096)
def _text_of(problem: Conv2dProblem) -> str:
    return str(problem.replace(bias=False) if problem.bias else problem)


def _known() -> _Known:
    named = os.environ.get(_VARIABLE)
    found = _loaded.get(named)
    if found is None:
        with _lock:
            found = _loaded.get(named)
            if found is None:
                found = _loaded[named] = {} if named == "off" else _read(database())
    return found


def _read(path: Path) -> _Known:
    known: _Known = {}
    # Not `Path.exists`, which raises in a home that one may not look into.
    if not os.path.exists(path):
        return known
    # Only here: whoever has no database does not import it.
    import sqlite3

    latest: dict[tuple[str, int], float] = {}
    query = f"SELECT problem, threads, algorithm, seconds, measured_at FROM measured WHERE {_HERE} ORDER BY measured_at"
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=_PATIENCE_READING_S)
        try:
            for problem, threads, algorithm, seconds, at in connection.execute(query, _here()):
                key = problem, threads
                if latest.get(key) != at:
                    latest[key], known[key] = at, {}
                known[key][algorithm] = seconds
        finally:
            connection.close()
    except sqlite3.Error as error:
        warnings.warn(f"{_sentence('read', path, error)}; nothing measured is used", RuntimeWarning, stacklevel=2)
        return {}
    return known


@contextmanager
def _writing() -> Iterator[sqlite3.Connection]:
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
