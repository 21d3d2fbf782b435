"""Oracles that several generations of processes ask for, as far as memory allows."""

from __future__ import annotations

from collections.abc import Callable

from suite.oracles import AnyOracle, oracle_of
from suite.workload import Workload

__all__ = ["OracleCache"]

#: Bytes that kept oracles may hold together.
_MOST_BYTES = 2**30


class OracleCache:
    """Gives the oracle of a problem, the same one again if it was kept.

    Generations ask for all layers in the same order. A cache that drops the least recently used
    would drop the one that is needed next, and with one layer too many would never find any again.
    So those that came first stay, and only what does not fit with them is made anew; the latest is
    kept in any case, for the cases of one layer.

    Parameters
    ----------
    make : callable
        Makes the oracle of a workload.
    most_bytes : int
        What those that are kept hold at most, the latest not counted.
    """

    def __init__(self, make: Callable[[Workload], AnyOracle] = oracle_of, most_bytes: int = _MOST_BYTES) -> None:
        self._make = make
        self._left = most_bytes
        self._kept: dict[Workload, AnyOracle] = {}
        self._latest: tuple[Workload, AnyOracle] | None = None

    def __call__(self, problem: Workload) -> AnyOracle:
        """The oracle of a problem."""
        if problem in self._kept:
            return self._kept[problem]
        if self._latest is None or self._latest[0] != problem:
            # Released first: two large layers need not be there at once.
            self._latest = None
            self._latest = problem, self._make(problem)
            needed = self._latest[1].most_bytes
            if needed <= self._left:
                self._left -= needed
                self._kept[problem] = self._latest[1]
        return self._latest[1]
