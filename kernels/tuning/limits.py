"""The rates that amounts of work are divided by, as they were measured on this machine.

Without them the rates are those of the machine that costs were fitted on (`reference_limits`).

``convmark tune`` measures them, once a machine, into `kernels.tuning.database`.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from kernels.costs.table import rates
from kernels.machine.cpu import cpu_model, vector_bytes
from kernels.tuning.database import VARIABLE, database, ignore, remove, rows, writing

if TYPE_CHECKING:
    import sqlite3

__all__ = ["Limits", "add_limits", "forget_limits", "measured_limits", "reference_limits", "remember_limits"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS limits (
    cpu TEXT, vector_bytes INTEGER, fma_per_s REAL, memory_bytes_per_s REAL, measured_at TEXT DEFAULT CURRENT_TIMESTAMP
)
"""


class Limits(NamedTuple):
    """What one core of a machine does in a second, and what all of them share.

    Attributes
    ----------
    cycles_per_s : float
        Clock.
    fma_per_s : float
        Multiply-adds of whole vectors.
    memory_bytes_per_s : float
        Between memory and one core.
    """

    cycles_per_s: float
    fma_per_s: float
    memory_bytes_per_s: float

    @classmethod
    def measured(cls, fma_per_s: float, memory_bytes_per_s: float) -> Limits:
        """From what can be measured on this machine.

        A core starts two multiply-adds a cycle, but of the widest vectors some start one: as no clock is faster, more
        are two.
        """
        is_one = vector_bytes() == 64 and fma_per_s < _FASTEST_CLOCK
        return cls(fma_per_s if is_one else fma_per_s / 2, fma_per_s, memory_bytes_per_s)


#: What no core does in a second: fewer, or more.
_LEAST_RATE, _MOST_RATE = 1e3, 1e15
#: No clock is faster.
_FASTEST_CLOCK = 6.2e9


def reference_limits() -> Limits:
    """The machine that costs were fitted on, of this kind of CPU."""
    return Limits(*rates())


def remember_limits(fma_per_s: float, memory_bytes_per_s: float) -> None:
    """Keep rates of one core that were measured; the latest count.

    Raises
    ------
    ValueError
        One is not positive.
    TunedError
        The database cannot be written.
    """
    if not (fma_per_s > 0 and memory_bytes_per_s > 0):
        raise ValueError(f"rates are {fma_per_s} and {memory_bytes_per_s} a second, expected positive ones")
    with writing() as connection:
        add_limits(connection, [(cpu_model(), vector_bytes(), fma_per_s, memory_bytes_per_s)])


def add_limits(connection: sqlite3.Connection, measured: Iterable[Sequence[Any]]) -> None:
    """Add rows of CPU, vector bytes, multiply-adds and bytes of memory a second."""
    connection.execute(_SCHEMA)
    connection.executemany(
        "INSERT INTO limits (cpu, vector_bytes, fma_per_s, memory_bytes_per_s) VALUES (?, ?, ?, ?)", measured
    )
    _measured.cache_clear()


def measured_limits() -> Limits | None:
    """The rates that were measured on this machine, None where nobody did; the disk is read once a process."""
    return _measured(os.environ.get(VARIABLE))


def forget_limits() -> int:
    """Remove what was measured on this CPU; how many rows that were.

    Raises
    ------
    TunedError
        The database cannot be written.
    """
    count = remove("limits", cpu_model())
    _measured.cache_clear()
    return count


@functools.cache
def _measured(named: str | None) -> Limits | None:
    query = "SELECT fma_per_s, memory_bytes_per_s FROM limits WHERE cpu = ? AND vector_bytes = ? ORDER BY rowid DESC"
    found = rows(f"{query} LIMIT 1", (cpu_model(), vector_bytes()))
    if not found:
        return None
    if not all(isinstance(each, float) and _LEAST_RATE < each < _MOST_RATE for each in found[0]):
        ignore(f"rates of this machine are {found[0]} in {database()}, expected positive numbers")
        return None
    return Limits.measured(*found[0])
