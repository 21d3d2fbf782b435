"""Sums of arrays, each times a number, and averages of planes: one pass over what is read.

Layout: arrays behind each other, ``[k][n]``. A register tile of one row of NV vectors sums a run of NR
elements over all k, so that the sum is written once and the arrays are read as K streams.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from kernels.machine.jit import inner, kernel, parallel_kernel, share_of
from kernels.machine.register_tile import tile_rank1, tile_rows
from kernels.machine.tile_memory import tile_store

__all__ = ["average_parallel", "average_serial", "blend_parallel", "blend_serial"]


@inner
def _blend(tile_shape, NR, begin, end, N, factors, zeros, stack, to):
    """Runs ``begin`` to ``end`` of NR elements of ``to``."""
    for run in range(begin, end):
        # The last one reaches back, so that it is whole.
        at = min(run * NR, N - NR)
        tile = tile_rows(tile_shape, zeros, 0)
        for k in range(factors.size):
            tile = tile_rank1(tile, factors, k, 0, stack, k * N + at)
        tile_store(tile, to, at, 0)


@inner
def _blend_short(N, factors, stack, to):
    """All of fewer elements than a run has."""
    for n in range(N):
        total = to.dtype.type(0)
        for k in range(factors.size):
            total += factors[k] * stack[k * N + n]
        to[n] = total


@kernel
def blend_serial(tile_shape, NR, parts, N, factors, zeros, stack, to):
    """``to[n]`` becomes the sum over k of ``factors[k] * stack[k * N + n]``."""
    if N < NR:
        _blend_short(N, factors, stack, to)
    else:
        _blend(tile_shape, NR, 0, (N + NR - 1) // NR, N, factors, zeros, stack, to)


@parallel_kernel
def blend_parallel(tile_shape, NR, parts, N, factors, zeros, stack, to):
    """As `blend_serial`, on ``parts`` threads."""
    if N < NR:
        _blend_short(N, factors, stack, to)
    else:
        for part in prange(parts):
            begin, end = share_of((N + NR - 1) // NR, part, parts)
            _blend(tile_shape, NR, begin, end, N, factors, zeros, stack, to)


@inner
def _average(tile_shape, NR, begin, end, N, one, zeros, src, local, to):
    """Averages of planes ``begin`` to ``end`` of N elements: vectors in their precision, then in float64."""
    for plane in range(begin, end):
        tile = tile_rows(tile_shape, zeros, 0)
        whole = N // NR * NR
        for at in range(plane * N, plane * N + whole, NR):
            tile = tile_rank1(tile, one, 0, 0, src, at)
        tile_store(tile, local, 0, 0)
        total = 0.0
        for n in range(NR):
            total += local[n]
        for at in range(plane * N + whole, (plane + 1) * N):
            total += src[at]
        to[plane] = total / N


@kernel
def average_serial(tile_shape, NR, parts, N, one, zeros, src, local, to):
    """``to[plane]`` becomes the average of N elements of ``src``."""
    _average(tile_shape, NR, 0, to.size, N, one, zeros, src, local[0], to)


@parallel_kernel
def average_parallel(tile_shape, NR, parts, N, one, zeros, src, local, to):
    """As `average_serial`, on ``parts`` threads."""
    for part in prange(parts):
        begin, end = share_of(np.intp(to.size), part, parts)
        _average(tile_shape, NR, begin, end, N, one, zeros, src, local[part], to)
