"""What was made last, found by what it was made of; the least recently used goes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

import numpy as np

from kernels.machine.threads import new_lock

__all__ = ["Recent", "Same"]

Value = TypeVar("Value")


class Same:
    """Arrays as a part of a key: equal if they are the same objects, which are never written to.

    A key holds its arrays, so that no other ones take their place in memory.
    """

    __slots__ = ("_arrays", "_hash")

    def __init__(self, *arrays: np.ndarray | None) -> None:
        self._arrays = arrays
        self._hash = hash(tuple(map(id, arrays)))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and [*map(id, self._arrays)] == [*map(id, other._arrays)]


class Recent(Generic[Value]):
    """Values by key; safe for threads, and empty in copies and pickles: what is in it can be made anew.

    Parameters
    ----------
    most : int
        Values that are kept.
    most_bytes : int
        What all but the last one take together.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._lock = new_lock()
        self._values: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()
        self._nbytes = 0

    def __reduce__(self) -> tuple[type[Recent[Value]], tuple[int, int]]:
        return type(self), (self._most, self._most_bytes)

    def __len__(self) -> int:
        return len(self._values)

    def clear(self) -> None:
        """Forget all values."""
        with self._lock:
            self._values.clear()
            self._nbytes = 0

    def get(self, key: Hashable) -> Value | None:
        """The value under ``key``, if there is one."""
        with self._lock:
            found = self._values.get(key)
            if found is None:
                return None
            self._values.move_to_end(key)
            return found[0]

    def keep(self, key: Hashable, value: Value, nbytes: int) -> Value:
        """Keep a value that takes so many bytes; another thread's that is there already is returned instead."""
        with self._lock:
            found = self._values.setdefault(key, (value, nbytes))
            if found[0] is value:
                self._nbytes += nbytes
            while len(self._values) > self._most or (len(self._values) > 1 and self._nbytes > self._most_bytes):
                self._nbytes -= self._values.popitem(last=False)[1][1]
            return found[0]
