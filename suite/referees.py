"""Referees that several generations of processes ask for, as far as memory goes."""

from __future__ import annotations

from collections.abc import Callable

from suite.works import AnyReferee, Work, referee_of

__all__ = ["Referees"]

#: Bytes that kept referees may hold together.
_MOST_BYTES = 2**30


class Referees:
    """Gives the referee of a problem, the same one again where it was kept.

    Generations ask for all layers in the same order. Whoever throws out the one that was not
    asked for the longest throws out the one that is needed next, and once there is one layer too many
    none is ever found again. So those that came first stay, and only what does not fit
    beside them is made anew; the latest is kept in any case, for the bouts of one layer.

    Parameters
    ----------
    make : callable
        Makes the referee of what is timed.
    most_bytes : int
        What those that are kept hold at most, the latest not counted.
    """

    def __init__(self, make: Callable[[Work], AnyReferee] = referee_of, most_bytes: int = _MOST_BYTES) -> None:
        self._make = make
        self._left = most_bytes
        self._kept: dict[Work, AnyReferee] = {}
        self._latest: tuple[Work, AnyReferee] | None = None

    def __call__(self, problem: Work) -> AnyReferee:
        """The referee of a problem."""
        if problem in self._kept:
            return self._kept[problem]
        if self._latest is None or self._latest[0] != problem:
            # Let go first: two large layers need not be there at once.
            self._latest = None
            self._latest = problem, self._make(problem)
            needed = self._latest[1].most_bytes
            if needed <= self._left:
                self._left -= needed
                self._kept[problem] = self._latest[1]
        return self._latest[1]
