"""Averages over the pixels of maps.

Layout: planes behind each other. Loops, outside in: plane, which threads share; runs of a plane, summed in a register
tile of one row of vectors; the sums of its lanes and the pixels that are left, in float64. A small plane takes some 30
cycles, so one call of the microkernel takes all the planes of a thread.
"""

from __future__ import annotations

import numpy as np

from kernels.blocks.experts.blend import run_spec
from kernels.machine.microkernel import Doubles, Elements, call, macrokernel, microkernel
from kernels.machine.parallel import Launch, address_of, share_of
from kernels.machine.register_tile import tile_rank1, tile_zeros
from kernels.machine.static import number
from kernels.machine.tile_memory import tile_store

__all__ = ["PlaneAverage"]


@microkernel
def average_planes(spec, src: Elements, N: int, one: Elements, local: Elements, to: Doubles, begin: int, end: int):
    """``to[plane]`` becomes the average of N elements; ``local`` has room for a run."""
    NR = number(spec.run.NR)
    whole = N // NR * NR
    for plane in range(begin, end):
        tile = tile_zeros(spec.run, src)
        for at in range(plane * N, plane * N + whole, NR):
            tile = tile_rank1(tile, one, 0, 0, src, at)
        tile_store(tile, local, 0, 0)
        total = 0.0
        for n in range(NR):
            total += local[n]
        for at in range(plane * N + whole, (plane + 1) * N):
            total += src[at]
        to[plane] = total / N


@macrokernel(("PLANES", "N", "one", "local", "local_step", "average"))
def _planes(z, step, part, parts):
    begin, end = share_of(z.PLANES, part, parts)
    if begin < end:
        call(z.average, (z.src, z.N, z.one, z.local + part * z.local_step, z.dst, begin, end))


class PlaneAverage:
    """Averages over the pixels of maps (N, C, H, W).

    Parameters
    ----------
    shape : tuple of int
        (N, C, H, W).
    dtype : {"float32", "float64"}
    threads : int
    """

    def __init__(self, shape: tuple[int, ...], dtype: str, threads: int) -> None:
        spec = run_spec(dtype)
        one, local = np.ones(1, dtype), np.zeros((threads, spec.run.NR), dtype)
        self._result = np.zeros(shape[:2])
        record = _planes.record(
            PLANES=shape[0] * shape[1], N=shape[2] * shape[3], one=address_of(one), local=address_of(local),
            local_step=local.strides[0], average=average_planes.address(spec),
        )  # fmt: skip
        self._launch = Launch(_planes, record, threads, keep=(one, local))

    def __call__(self, src: np.ndarray) -> np.ndarray:
        """Averages (N, C) in float64: an array that the next call writes to."""
        self._launch(src, self._result, self._result)
        return self._result
