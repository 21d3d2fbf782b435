"""Measured choices: how long algorithms took on this machine, kept on disk from one process to the next.

Rows of `kernels.tuning.database`, keyed by all that a time depends on: the CPU's model, the digest of the
sources that algorithms are made of, of the compiler's versions and of the CPU's features, the width of vectors, the
number of threads, and the problem without its bias, which costs nothing. Rows of other sources and
other machines stay where they are and are not read.

Times are compared with times of the same call of `remember` only, those of the latest one: what was
measured an hour apart was measured on a machine with another load. Calls are counted; the clock, which may be
set back, is only written down.
"""

from __future__ import annotations

import functools
import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import Any

from kernels.arguments import read_count
from kernels.machine.compile import code_digest
from kernels.machine.cpu import cpu_model, vector_bytes
from kernels.problem import Conv2dProblem
from kernels.tuning.database import VARIABLE, database, ignore, remove, rows, writing
from kernels.tuning.limits import add_limits, forget_limits

__all__ = ["add", "database", "export", "forget", "recall", "remember", "require_writable"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS times (
    cpu TEXT, digest TEXT, vector_bytes INTEGER, threads INTEGER, problem TEXT,
    turn INTEGER, algorithm TEXT, seconds REAL, measured_at REAL,
    PRIMARY KEY (cpu, digest, vector_bytes, threads, problem, turn, algorithm)
) WITHOUT ROWID
"""
#: What algorithms are made of is what this imports.
_FAMILIES = "kernels.algorithms"
_HERE = "cpu = ? AND digest = ? AND vector_bytes = ?"

_NOTHING: Mapping[str, float] = MappingProxyType({})
#: Seconds by algorithm, by problem text and threads.
_Known = dict[tuple[str, int], dict[str, float]]
#: What was read, by the variable's value: once a process.
_loaded: dict[str | None, _Known] = {}
_lock = Lock()


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
        There is no time, or one is not a positive number, or ``threads`` is none of at least 1.
    TunedError
        The database cannot be written; nothing was.
    """
    if not seconds or not all(math.isfinite(each) and each > 0 for each in seconds.values()):
        raise ValueError(f"seconds are {dict(seconds)}, expected a positive number an algorithm")
    threads = read_count("threads", threads, 1)
    text, now = _text_of(problem), time.time()
    with writing() as connection:
        connection.execute(_SCHEMA)
        # Of before calls were counted.
        connection.execute("DROP TABLE IF EXISTS measured")
        (turn,) = connection.execute("SELECT COALESCE(MAX(turn), 0) + 1 FROM times").fetchone()
        measured = [(*_here(), threads, text, turn, name, float(each), now) for name, each in seconds.items()]
        connection.executemany("INSERT INTO times VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", measured)
    _known()[text, threads] = {name: float(each) for name, each in seconds.items()}


def forget() -> int:
    """Remove everything that was measured on this CPU: times, whatever the kernels' sources were, and its limits.

    Returns
    -------
    int
        How many rows that were.

    Raises
    ------
    TunedError
        The database cannot be written.
    """
    count = remove("times", cpu_model())
    _known().clear()
    return count + forget_limits()


def require_writable() -> None:
    """Find out, before anything is measured, whether it could be kept.

    Raises
    ------
    TunedError
        The database cannot be written.
    """
    with writing() as connection:
        connection.execute(_SCHEMA)


def export(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All that a database holds, of any CPU, as rows for `add`.

    Parameters
    ----------
    path : Path
        One as `database` names it; one that is not there holds nothing.

    Returns
    -------
    dict
        ``times``: CPU, digest, vector bytes, threads, problem, turn, algorithm, seconds, when. ``limits``: CPU, vector
        bytes, multiply-adds and bytes of memory a second.
    """
    return {
        "times": rows("SELECT * FROM times ORDER BY turn", (), path),
        "limits": rows("SELECT cpu, vector_bytes, fma_per_s, memory_bytes_per_s FROM limits ORDER BY rowid", (), path),
    }


def add(exported: Mapping[str, Sequence[Sequence[Any]]]) -> int:
    """Keep what other machines have measured, in one transaction; it is recalled on CPUs like theirs.

    Parameters
    ----------
    exported : mapping
        What `export` returns, through JSON or not.

    Returns
    -------
    int
        How many times were added.

    Raises
    ------
    TunedError
        The database cannot be written; nothing was.
    """
    with writing() as connection:
        connection.execute(_SCHEMA)
        (latest,) = connection.execute("SELECT COALESCE(MAX(turn), 0) FROM times").fetchone()
        turns: dict[int, int] = {}
        for cpu, digest, width, threads, problem, turn, *others in exported["times"]:
            turn = turns.setdefault(turn, latest + 1 + len(turns))
            values = (cpu, digest, width, threads, problem, turn, *others)
            connection.execute("INSERT INTO times VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
        add_limits(connection, exported["limits"])
    _loaded.clear()
    return len(exported["times"])


def _here() -> tuple[str, str, int]:
    return cpu_model(), code_digest(_FAMILIES), vector_bytes()


@functools.lru_cache(maxsize=4096)
def _text_of(problem: Conv2dProblem) -> str:
    return str(problem.replace(bias=False) if problem.bias else problem)


def _known() -> _Known:
    named = os.environ.get(VARIABLE)
    found = _loaded.get(named)
    if found is None:
        with _lock:
            found = _loaded.get(named)
            if found is None:
                found = _loaded[named] = _read()
    return found


def _read() -> _Known:
    known: _Known = {}
    latest: dict[tuple[str, int], int] = {}
    query = f"SELECT problem, threads, algorithm, seconds, turn FROM times WHERE {_HERE} ORDER BY turn"
    for problem, threads, algorithm, seconds, turn in rows(query, _here()):
        if not (isinstance(seconds, float) and 0 < seconds < math.inf):
            ignore(f"a time of {algorithm} on {problem} is {seconds!r} in {database()}, expected a positive number")
            return {}
        key = problem, threads
        if latest.get(key) != turn:
            latest[key], known[key] = turn, {}
        known[key][algorithm] = seconds
    return known
