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
from contextlib import AbstractContextManager, nullcontext

import numba
from numba.np.ufunc import parallel

__all__ = ["region", "resolve"]


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


def region() -> AbstractContextManager[object]:
    """What a run holds while it is in a parallel region; loads the threading layer, if nothing did so far."""
    parallel._launch_threads()
    return _REGION if numba.threading_layer() == "workqueue" else nullcontext()
