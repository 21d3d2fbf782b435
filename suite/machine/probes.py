"""Probes of what the machine can do at most: multiply-adds per second, bytes per second.

The one file of the suite that looks behind the public face of ``kernels``: a limit is only
a limit when its probe is built from the same register tile as the kernels that are judged
by it, and the phases of a transform are seen from within only. The probes are compiled in every
process (half a second), because the disk cache of `kernels.machine.compile` is of pieces of
``kernels`` alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numba
import numpy as np
from numba import prange

from kernels.machine import cpu, register_tile, tile_memory, tile_shape
from kernels.machine.static import static
from kernels.machine.threads import region, resolve
from kernels.phases import Phase, least_seconds, profile, shortest_sample_s
from kernels.problem import Conv2dProblem

__all__ = [
    "PHASED",
    "cpu_class",
    "cpu_model",
    "least_seconds",
    "measure_bandwidth",
    "measure_fma",
    "measure_phases",
    "measure_reading",
    "resolve_threads",
    "vector_bytes",
]

#: Families of algorithms that have phases.
PHASED = ("winograd", "fft")

#: Depth of the probe's product: both operands (14 and 32 floats a step) fill a quarter of a 48 KB L1.
_DEPTH = 64

#: Samples of which the best counts, and the least seconds of each.
_SAMPLES = 15
_LEAST_S = 0.02

Clock = Callable[[], float]


@numba.njit(error_model="numpy", nogil=True)
def _fma_loop(shape, MR, NR, a, b, c, start, DEPTH, repeats):
    """Products over operands that stay in L1; the tile stays in registers from first to last."""
    tile = register_tile.tile_rows(shape, c, start)
    for _ in range(repeats):
        for k in range(DEPTH):
            tile = register_tile.tile_rank1(tile, a, k * MR, 1, b, k * NR)
    tile_memory.tile_store(tile, c, start, NR)


@numba.njit(error_model="numpy", nogil=True, parallel=True)
def _fma_parallel(shape, MR, NR, a, b, c, DEPTH, repeats, parts):
    for part in prange(parts):
        _fma_loop(shape, MR, NR, a, b, c, part * MR * NR, DEPTH, repeats)


@numba.njit(error_model="numpy", nogil=True)
def _triad_loop(a, b, c, factor, repeats):
    for _ in range(repeats):
        for i in range(a.size):
            a[i] = b[i] + factor * c[i]


@numba.njit(error_model="numpy", nogil=True, parallel=True)
def _triad_parallel(a, b, c, factor, repeats, parts):
    # Threads meet once a call, not once a pass: a wait for a busy core is not the memory's.
    for part in prange(parts):
        first, last = part * a.size // parts, (part + 1) * a.size // parts
        _triad_loop(a[first:last], b[first:last], c[first:last], factor, repeats)


@numba.njit(error_model="numpy", nogil=True)
def _read_loop(a, repeats):
    """Sums of whole numbers: those the compiler may add in any order, hence by vectors."""
    total = np.int64(0)
    for pass_ in range(repeats):
        for i in range(a.size):
            total += a[i]
        # A pass over what is not written to would be done once for all.
        a[pass_ % a.size] = total
    return total


def cpu_model() -> str:
    """The CPU's model name."""
    return cpu.cpu_model()


def cpu_class() -> str:
    """The kind of CPU that costs are fitted for."""
    return cpu.cpu_class()


def vector_bytes() -> int:
    """Bytes of the vectors that the kernels use."""
    return cpu.vector_bytes()


def resolve_threads(threads: int | None) -> int:
    """The number of threads that a request means; ``None`` is all of them.

    Raises
    ------
    ValueError
        The number is not between 1 and what Numba was started with.
    """
    return resolve(threads)


def measure_fma(dtype: str, threads: int, least_s: float = _LEAST_S, clock: Clock = time.perf_counter) -> float:
    """Multiply-adds at the machine's limit, in GFLOP/s (two a multiply-add).

    Parameters
    ----------
    dtype : {"float32", "float64"}
    threads : int
    least_s : float
        Least seconds of one sample; the best of fifteen counts.
    clock : callable
        Tells seconds; ``time.thread_time`` leaves out what others take of the core of one thread.
    """
    MR, NV = (14, 2) if cpu.vector_bytes() == 64 else (6, 2)
    shape = tile_shape.TileShape(MR, NV, cpu.lanes_of(dtype))
    # So small that no sum overflows, and far from denormals.
    a, b = (np.full(_DEPTH * width, 1e-3, dtype) for width in (MR, shape.NR))
    c = np.zeros(threads * MR * shape.NR, dtype)
    operands: Any = (static(shape), MR, shape.NR, a, b, c)

    def run(repeats: int) -> None:
        if threads == 1:
            _fma_loop(*operands, 0, _DEPTH, repeats)  # type: ignore[call-arg]
        else:
            _fma_parallel(*operands, _DEPTH, repeats, threads)  # type: ignore[call-arg]

    flops = 2 * MR * shape.NR * _DEPTH * threads
    with _limited_to(threads):
        return flops * _best_rate(run, least_s, clock) / 1e9


def measure_bandwidth(threads: int, nbytes: int, least_s: float = _LEAST_S, clock: Clock = time.perf_counter) -> float:
    """Memory bandwidth in GB/s: ``a = b + factor * c``, two arrays read and one written.

    Bytes are counted as the loop states them; the line that a store fetches first is not.

    Parameters
    ----------
    threads : int
    nbytes : int
        Size of the three arrays together: several times the last cache, to be memory's, or half of
        a cache that the next smaller one cannot hold, to be that cache's.
    least_s, clock
        As `measure_fma` has them.
    """
    # Filled, because pages of zeros that were never written may all be one page.
    a, b, c = (np.full(max(1, nbytes // 12), value, np.float32) for value in (1.0, 2.0, 3.0))

    factor = np.float32(0.5)

    def run(repeats: int) -> None:
        if threads == 1:
            _triad_loop(a, b, c, factor, repeats)
        else:
            _triad_parallel(a, b, c, factor, repeats, threads)

    with _limited_to(threads):
        return 3 * a.nbytes * _best_rate(run, least_s, clock) / 1e9


def measure_reading(nbytes: int, least_s: float = _LEAST_S, clock: Clock = time.perf_counter) -> float:
    """Bandwidth of reading alone in GB/s, on one thread.

    Parameters
    ----------
    nbytes : int
        Size of what is read, chosen as in `measure_bandwidth`.
    least_s, clock
        As `measure_fma` has them.
    """
    a = np.ones(max(1, nbytes // 8), np.int64)
    return a.nbytes * _best_rate(lambda repeats: _read_loop(a, repeats), least_s, clock) / 1e9


def measure_phases(problem: Conv2dProblem, algorithm: str) -> list[Phase]:
    """Processor time, operations and least bytes of the phases of an algorithm of a family in `PHASED`, on one thread.

    Raises
    ------
    UnsupportedProblem
    """
    return profile(problem, algorithm)


@contextmanager
def _limited_to(threads: int) -> Iterator[None]:
    """Run the block on so many of Numba's threads, and put the caller's number back."""
    if threads == 1:
        yield
        return
    with region():
        before = numba.get_num_threads()
        numba.set_num_threads(threads)
        try:
            yield
        finally:
            numba.set_num_threads(before)


def _best_rate(run: Callable[[int], None], least_s: float, clock: Clock) -> float:
    """Most repeats a second over several samples, compilation and calibration before them."""
    run(1)
    repeats, least_s = 1, max(least_s, shortest_sample_s(clock))
    while (seconds := _seconds(run, repeats, clock)) < least_s:
        repeats = max(2 * repeats, int(1.2 * repeats * least_s / max(seconds, 1e-6)))
    return repeats / min(_seconds(run, repeats, clock) for _ in range(_SAMPLES))


def _seconds(run: Callable[[int], None], repeats: int, clock: Clock) -> float:
    start = clock()
    run(repeats)
    return clock() - start
