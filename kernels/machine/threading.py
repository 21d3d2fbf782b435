"""How many threads a run uses; never changes what the user's own Numba code sees."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numba

__all__ = ["limited_to", "resolve"]


def resolve(threads: int | None) -> int:
    """Turn a request into a number of threads; ``None`` means all that Numba may use.

    Raises
    ------
    ValueError
        The number is not between 1 and what Numba was started with.
    """
    most: int = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    if threads is None:
        return numba.get_num_threads()
    if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= most:
        raise ValueError(f"threads is {threads!r}, expected a whole number from 1 to {most}")
    return threads


@contextmanager
def limited_to(threads: int) -> Iterator[None]:
    """Run the block on ``threads`` Numba threads and put the caller's mask back.

    One thread needs no mask: such a run enters no parallel region.
    """
    if threads == 1:
        yield
        return
    before = numba.get_num_threads()
    if before == threads:
        yield
        return
    numba.set_num_threads(threads)
    try:
        yield
    finally:
        numba.set_num_threads(before)
