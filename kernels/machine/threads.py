"""How many threads a run uses; never changes what the user's own Numba code sees.

The threading layer is the one that Numba finds first (tbb, omp, workqueue) or that the user
names by ``NUMBA_THREADING_LAYER``: it serves all Numba code of a process, so it is not ours to
set. With tbb and omp several Python threads may be in parallel regions at once. Numba's workqueue
aborts the process when they are; there our regions take turns. That cannot keep them from
meeting a region of the user's own Numba code: whoever runs both at once needs tbb or omp. GNU
OpenMP in turn ends a forked child that uses it after its parent did: start children by ``spawn``.
A run on one thread enters no parallel region and is free of all that.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numba

__all__ = ["limited_to", "resolve"]


#: Held by the run that is in a parallel region, where only one may be.
_REGION = threading.Lock()


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
    before = numba.get_num_threads()  # loads the layer, if nothing did so far
    with _turn():
        if before == threads:
            yield
            return
        numba.set_num_threads(threads)
        try:
            yield
        finally:
            numba.set_num_threads(before)


def _turn() -> AbstractContextManager[object]:
    """What to hold while in a parallel region."""
    return _REGION if numba.threading_layer() == "workqueue" else nullcontext()
