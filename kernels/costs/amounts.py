"""What is counted of a convolution, and what all algorithms count alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from kernels.machine.cpu import cache_bytes
from kernels.problem import Conv2dProblem

__all__ = [
    "LINE_BYTES",
    "Amounts",
    "ceil_div",
    "idle_slots",
    "lines_beyond_l2",
    "lines_of_layer",
    "longest_run",
    "longest_share",
    "no_amounts",
]

LINE_BYTES = 64
#: Multiply-adds that must be in flight to hide their latency.
_IN_FLIGHT = 8.0
#: What is used again within a layer stays in the last cache up to so many bytes: half of what cores share.
_LAST_CACHE_BYTES = 16 * 2**20


class Amounts(NamedTuple):
    """What one call does.

    Attributes
    ----------
    loops : str
        Whose loops they are: a row of `kernels.costs.table`.
    counts : mapping of str to float
        How often something is done, by what it is; a name whose last word is ``L3`` or ``memory`` counts cache lines
        that come from there or go there.
    longest : float
        The longest of the shares that threads take, relative to equal ones.
    meetings : int
        How often threads wait for each other.
    beside : tuple of Amounts
        What the same call does in other loops.
    """

    loops: str
    counts: Mapping[str, float]
    longest: float = 1.0
    meetings: int = 1
    beside: tuple[Amounts, ...] = ()


class _Lines(NamedTuple):
    """Cache lines by where they come from."""

    l3: float
    memory: float


def no_amounts(problem: Conv2dProblem, threads: int) -> Amounts | None:
    """Of an algorithm that nobody has counted for; it is never chosen unmeasured."""
    return None


def idle_slots(MR: int, NV: int) -> float:
    """Multiply-adds that a tile could do a step and does not.

    It waits where it has too few to hide their latency, or fewer than it has loads: two broadcasts a cycle, one vector.
    """
    return max(0.0, max(_IN_FLIGHT, MR / 2 + NV) - MR * NV)


def longest_share(items: int, threads: int) -> float:
    """The longest share of so many equal items, relative to an equal one."""
    return ceil_div(items, threads) * threads / max(1, items)


def longest_run(items: np.ndarray, threads: int) -> float:
    """Time of the thread that has most to do, if each takes as many items as others, in their order."""
    done = np.concatenate([[0.0], np.cumsum(items)])
    return float(np.max(np.diff(done[np.arange(threads + 1) * len(items) // threads])))


def ceil_div(a: int, b: int) -> int:
    """The quotient a / b, rounded up."""
    return -(-a // b)


def lines_beyond_l2(nbytes: float, reused: float, passes: float = 1.0) -> _Lines:
    """Lines of ``nbytes`` that are read ``passes`` times, between which ``reused`` bytes go by."""
    lines = passes * nbytes / LINE_BYTES
    if reused <= cache_bytes(2) * 3 // 4:
        return _Lines(0.0, 0.0)
    return _Lines(lines, 0.0) if reused <= _LAST_CACHE_BYTES else _Lines(0.0, lines)


def lines_of_layer(p: Conv2dProblem) -> dict[str, float]:
    """Source and result, each once: from where the call before left them."""
    source, result = p.mb * p.ic * p.ih * p.iw * p.itemsize, p.mb * p.oc * p.oh * p.ow * p.itemsize
    read, written = (lines_beyond_l2(each, source + result) for each in (source, result))
    return {
        "source from L3": read.l3, "source from memory": read.memory,
        "result to L3": written.l3, "result to memory": written.memory,
    }  # fmt: skip
