"""The register tile of products in a transform's domain, where rows are few and differ from point to point.

As in `kernels.machine.tile_shape`: MR x NV accumulators, MR broadcasts and NV vectors a step. The
products read their panel of weights once a tile of MR rows, the first time from wherever the
weights of a whole layer fit, then from L2: the higher the tile, the less is read. Chosen is
what takes least time over all points of a block.
"""

from __future__ import annotations

from collections.abc import Sequence

from kernels.machine.cpu import vector_registers
from kernels.machine.tile_shape import TileShape, pick_tile

__all__ = ["pick_product_tile"]

#: (MR, NV) by number of vector registers: accumulators, NV vectors and a broadcast must fit.
_TILES = {
    32: (
        (14, 2), (13, 2), (12, 2), (9, 3), (8, 3), (7, 3), (6, 4), (5, 4), (4, 4), (10, 2), (8, 2),
        (25, 1), (16, 1), (3, 6), (1, 8),
    ),
    16: ((6, 2), (5, 2), (4, 2), (8, 1), (3, 3), (1, 8)),
}  # fmt: skip
#: Multiply-adds that must be in flight to hide their latency.
_IN_FLIGHT = 8
#: Cycles a vector of weights takes to come for the first time, by how many bytes there are ...
_FIRST = ((2**19, 1.0), (3 * 2**23, 2.0))
_FROM_MEMORY = 6.0
#: ... and how much of them the products do not hide.
_SHOWN = 0.35
#: Cycles a vector of weights takes from L2.
_AGAIN = 2


def pick_product_tile(
    counts: Sequence[int], columns: int, lanes: int, weight_bytes: int, *, complex_numbers: bool = False
) -> TileShape:
    """The register tile that multiplies ``counts[f]`` rows for every point f in least time.

    Parameters
    ----------
    counts : sequence of int
        Rows, which are tiles, of each point.
    columns : int
        Extent along NR, the vector side; complex numbers count twice.
    lanes : int
    weight_bytes : int
        Of all points.
    complex_numbers : bool
        Whether vectors come in pairs, real ones before imaginary ones.

    Returns
    -------
    TileShape
    """
    if complex_numbers:
        return pick_tile(max(counts), columns, lanes, complex_numbers=True)
    first = next((cycles for size, cycles in _FIRST if weight_bytes <= size), _FROM_MEMORY)

    def cycles(tile: tuple[int, int]) -> float:
        MR, NV = tile
        # Vectors are loaded one a cycle, broadcasts two.
        step = max(MR * NV, MR / 2 + NV, _IN_FLIGHT)
        panels = sum(-(-count // MR) for count in counts)
        wait = first * NV * len(counts)
        return -(-columns // (NV * lanes)) * max(panels * max(step, _AGAIN * NV) + _SHOWN * wait, wait)

    MR, NV = min(_TILES[vector_registers()], key=cycles)
    return TileShape(MR, NV, lanes)
