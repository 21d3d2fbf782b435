"""Sizes that follow from the machine: vectors, register tiles and how one is picked.

A register tile of MR x NV accumulators reads MR broadcasts and NV vectors for MR x NV
multiply-adds. It must fit the registers (accumulators + NV vectors + one broadcast), must
have at least eight accumulators (two multiply-adds a cycle, four cycles each) and should
load no more than it multiplies. Among the shapes that do, the one wins that wastes least on
rows and columns past the edge; equal ones are in the order of the table.
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass

import llvmlite.binding as llvm
import numpy as np

__all__ = ["TileShape", "lanes_of", "pick_tile", "vector_bytes"]

#: (MR, NV) by number of vector registers.
_TILES = {
    32: ((14, 2), (9, 3), (8, 3), (7, 3), (6, 4), (16, 1), (4, 4), (1, 8)),
    16: ((6, 2), (4, 2), (8, 1), (3, 3), (1, 8)),
}
#: The same for complex numbers, whose real and imaginary vectors come in pairs and whose
#: broadcasts are two.
_COMPLEX_TILES = {32: ((12, 2), (6, 4), (4, 4), (1, 8)), 16: ((5, 2), (3, 2), (1, 6))}
#: Multiply-adds that must be in flight to hide their latency.
_IN_FLIGHT = 8


@functools.cache
def vector_bytes() -> int:
    """Bytes of the vectors in use: the CPU's widest, or ``CONVMARK_VECTOR_BYTES``.

    Raises
    ------
    ValueError
        The variable is not 16, 32 or 64.
    """
    forced = os.environ.get("CONVMARK_VECTOR_BYTES")
    if forced is not None:
        if forced not in ("16", "32", "64"):
            raise ValueError(f"CONVMARK_VECTOR_BYTES is {forced!r}, expected 16, 32 or 64")
        return int(forced)
    features = llvm.get_host_cpu_features()
    if features.get("avx512f"):
        return 64
    return 32 if features.get("avx2") and features.get("fma") else 16


def lanes_of(dtype: str) -> int:
    """Elements of ``dtype`` in one vector."""
    return vector_bytes() // np.dtype(dtype).itemsize


@dataclass(frozen=True)
class TileShape:
    """MR rows of NV vectors of ``lanes`` elements."""

    MR: int
    NV: int
    lanes: int

    @property
    def NR(self) -> int:
        """Columns in elements."""
        return self.NV * self.lanes


def pick_tile(rows: int, columns: int, lanes: int, *, complex_numbers: bool = False) -> TileShape:
    """The register tile that covers ``rows`` x ``columns`` elements in least time.

    Parameters
    ----------
    rows : int
        Extent along MR, the broadcast side.
    columns : int
        Extent along NR, the vector side; complex numbers count twice.
    lanes : int
    complex_numbers : bool
        Whether NV must be even, real vectors before imaginary ones.

    Returns
    -------
    TileShape
    """
    registers = 32 if vector_bytes() == 64 else 16

    def slots(tile: tuple[int, int]) -> int:
        MR, NV = tile
        steps = -(-rows // MR) * -(-columns // (NV * lanes))
        return steps * max(MR * NV, MR + NV, _IN_FLIGHT)

    MR, NV = min((_COMPLEX_TILES if complex_numbers else _TILES)[registers], key=slots)
    return TileShape(MR, NV, lanes)
