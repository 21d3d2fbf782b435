"""Sums of arrays, each times a number: one pass over what is read.

Layout: arrays behind each other, ``[k][n]``. A register tile of one row of NV vectors sums a run of NR elements over
all k, so that the sum is written once and the arrays are read as K streams. A run takes some 20 cycles, so one call of
the microkernel makes all the runs of a thread.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kernels.machine.cpu import lanes_of
from kernels.machine.microkernel import Elements, call, macrokernel, microkernel
from kernels.machine.parallel import Launch, address_of, share_of
from kernels.machine.register_tile import tile_rank1, tile_zeros
from kernels.machine.static import number
from kernels.machine.tile_memory import tile_store
from kernels.machine.tile_shape import TileShape

__all__ = ["RunSpec", "blending", "run_spec"]

#: Vectors of a run of elements: enough sums in flight, a cache line of each stream after the other.
_VECTORS = 4


class RunSpec(NamedTuple):
    """What passes over runs of elements are specialised by."""

    dtype: str
    run: TileShape


def run_spec(dtype: str) -> RunSpec:
    """The microkernel of runs for an element type."""
    return RunSpec(dtype, TileShape(1, _VECTORS, lanes_of(dtype)))


@microkernel
def blend_runs(spec, factors: Elements, K: int, stack: Elements, N: int, to: Elements, begin: int, end: int):
    """Runs ``begin`` to ``end`` of ``to[n]``, the sum over k of ``factors[k] * stack[k * N + n]``."""
    NR = number(spec.run.NR)
    if N < NR:
        for n in range(N):
            to[n] = factors[0] * stack[n]
            for k in range(1, K):
                to[n] += factors[k] * stack[k * N + n]
    else:
        for run in range(begin, end):
            # The last one reaches back, so that it is whole.
            at = min(run * NR, N - NR)
            tile = tile_zeros(spec.run, to)
            for k in range(K):
                tile = tile_rank1(tile, factors, k, 0, stack, k * N + at)
            tile_store(tile, to, at, 0)


@macrokernel(("RUNS", "K", "N", "factors", "blend"))
def _runs(z, step, part, parts):
    begin, end = share_of(z.RUNS, part, parts)
    if begin < end:
        call(z.blend, (z.factors, z.K, z.src, z.N, z.dst, begin, end))


def blending(factors: np.ndarray, N: int, threads: int) -> Launch:
    """``blending(...)(stack, to, to)``: ``to`` becomes the sum of arrays ``stack`` (K, N) times ``factors`` (K,).

    ``factors`` is read at each call.
    """
    spec = run_spec(factors.dtype.name)
    sizes = {"RUNS": -(-N // spec.run.NR), "K": factors.size, "N": N}
    record = _runs.record(**sizes, factors=address_of(factors), blend=blend_runs.address(spec))
    return Launch(_runs, record, threads, keep=(factors,))
