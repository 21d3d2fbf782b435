"""How many threads a run uses, and what of it survives a fork; never changes what the user's own Numba code sees.

The threading layer is the one that Numba finds first (tbb, omp, workqueue) or that the user
names by ``NUMBA_THREADING_LAYER``: it serves all Numba code of a process, so it is not ours to
set. With tbb and omp several Python threads may be in parallel regions at once. Numba's workqueue
aborts the process if they are; there our regions take turns. That cannot keep them from
meeting a region of the user's own Numba code: to run both at once takes tbb or omp.

A forked child has one thread. A lock that another thread of the parent held is free in the child, and a fork waits
until no other thread compiles. GNU OpenMP ends a child that uses it after its parent did: there a run is done by one
thread, with one warning; start children by ``spawn`` or ``forkserver`` for more.
A run on one thread enters no parallel region and is free of all that.
"""

from __future__ import annotations

import functools
import operator
import os
import threading
import warnings
import weakref
from contextlib import AbstractContextManager, nullcontext

import numba
from numba.core.compiler_lock import global_compiler_lock
from numba.np.ufunc import parallel

__all__ = ["is_cut_off", "new_lock", "region", "resolve"]

_LOCKS: weakref.WeakSet[threading.Lock] = weakref.WeakSet()


def new_lock() -> threading.Lock:
    """A lock that is free in a forked child, whichever thread held it."""
    lock = threading.Lock()
    _LOCKS.add(lock)
    return lock


#: Held by the run that is in a parallel region, if only one may be.
_REGION = new_lock()


class _Child:
    """What a forked child inherited."""

    #: Whether the parent used a layer that ends a child that uses it.
    is_cut_off = False


def _in_child() -> None:
    for lock in list(_LOCKS):
        lock._at_fork_reinit()  # type: ignore[attr-defined]
    global_compiler_lock.release()
    _Child.is_cut_off = _Child.is_cut_off or _is_used_gnu_openmp()


def _is_used_gnu_openmp() -> bool:
    if not parallel._is_initialized or parallel.threading_layer() != "omp":
        return False
    from numba.np.ufunc import omppool  # type: ignore[attr-defined]

    return bool(omppool.openmp_vendor == "GNU")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=global_compiler_lock.acquire, after_in_parent=global_compiler_lock.release, after_in_child=_in_child
    )


def resolve(threads: int | None) -> int:
    """Turn a request into a number of threads; ``None`` means all that Numba may use.

    Raises
    ------
    ValueError
        The number is not between 1 and what Numba was started with.
    """
    if threads is None:
        return numba.get_num_threads()
    most: int = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    try:
        number = operator.index(threads)
        if isinstance(threads, bool) or not 1 <= number <= most:
            raise TypeError
    except TypeError:
        raise ValueError(f"threads is {threads!r}, expected a whole number from 1 to {most}") from None
    return number


def is_cut_off() -> bool:
    """Whether parallel regions are closed to this process; the first time that this matters is a warning."""
    if _Child.is_cut_off:
        _warn_once()
    return _Child.is_cut_off


@functools.cache
def _warn_once() -> None:
    warnings.warn(
        "this process was forked from one that used GNU OpenMP, which it cannot use: runs on several threads are "
        "done by one; start children by 'spawn' or 'forkserver' instead",
        RuntimeWarning,
        stacklevel=2,
    )


def region() -> AbstractContextManager[object]:
    """What a run holds while it is in a parallel region; loads the threading layer, if nothing did so far."""
    parallel._launch_threads()
    return _REGION if parallel.threading_layer() == "workqueue" else nullcontext()
