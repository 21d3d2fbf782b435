"""Referees that several generations of processes ask for, as far as memory goes."""

from __future__ import annotations

from collections.abc import Callable

from kernels import Conv2dProblem
from suite.verify import Referee

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
        Makes a problem's referee.
    most_bytes : int
        What those that are kept hold at most, the latest not counted.
    """

    def __init__(self, make: Callable[[Conv2dProblem], Referee] = Referee, most_bytes: int = _MOST_BYTES) -> None:
        self._make = make
        self._left = most_bytes
        self._kept: dict[Conv2dProblem, Referee] = {}
        self._latest: tuple[Conv2dProblem, Referee] | None = None

    def __call__(self, problem: Conv2dProblem) -> Referee:
        """The referee of a problem."""
        if problem in self._kept:
            return self._kept[problem]
        if self._latest is None or self._latest[0] != problem:
            # Let go first: two large layers need not be there at once.
            self._latest = None
            self._latest = problem, self._make(problem)
            needed = _bytes_of(problem)
            if needed <= self._left:
                self._left -= needed
                self._kept[problem] = self._latest[1]
        return self._latest[1]


def _bytes_of(p: Conv2dProblem) -> int:
    """What a referee holds once it was asked for both fills: inputs, and results in float64."""
    src, wei = p.mb * p.ic * p.ih * p.iw, p.oc * (p.ic // p.g) * p.kh * p.kw
    return 2 * (p.itemsize * (src + wei + p.oc) + 8 * p.mb * p.oc * p.oh * p.ow)
