"""Sizes that follow from the machine: vectors, register tiles and how one is picked.

A register tile of MR x NV accumulators reads MR broadcasts and NV vectors for MR x NV
multiply-adds. It must fit the registers (accumulators + NV vectors + one broadcast), must
have at least eight accumulators (two multiply-adds a cycle, four cycles each) and should
load no more than it multiplies. Among the shapes that do, the one wins that wastes least on
rows and columns past the edge; equal ones are in the order of the table.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from kernels.machine.cpu import IN_FLIGHT, cache_bytes, vector_registers
from kernels.problem import Conv2dProblem

__all__ = [
    "TileShape",
    "pick_tile",
    "pixel_tile",
    "strip_blocks",
]

#: (MR, NV) by number of vector registers.
_TILES = {
    32: ((14, 2), (9, 3), (8, 3), (7, 3), (6, 4), (16, 1), (4, 4), (1, 8)),
    16: ((6, 2), (4, 2), (8, 1), (3, 3), (1, 8)),
}
#: The same for complex numbers, whose real and imaginary vectors come in pairs and whose
#: broadcasts are two.
_COMPLEX_TILES = {32: ((12, 2), (6, 4), (4, 4), (1, 8)), 16: ((5, 2), (3, 2), (1, 6))}


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
    registers = vector_registers()

    def slots(tile: tuple[int, int]) -> int:
        MR, NV = tile
        steps = -(-rows // MR) * -(-columns // (NV * lanes))
        return steps * max(MR * NV, MR + NV, IN_FLIGHT)

    MR, NV = min((_COMPLEX_TILES if complex_numbers else _TILES)[registers], key=slots)
    return TileShape(MR, NV, lanes)


def pixel_tile(pixels: int, channels: int, lanes: int) -> TileShape:
    """The tile of a row's pixels (broadcast) by output channels (vectors).

    Rows and vectors past the edge cost nothing (`kernels.machine.reduction`), so all that
    counts is that the tiles of a row are equally long and fill the registers.
    """
    registers = vector_registers()
    vectors = -(-channels // lanes)
    # Accumulators, vectors of weights and one broadcast; two vectors a row, where there are two.
    most = (registers - 1) // min(2, vectors) - 1
    MR = -(-pixels // -(-pixels // most))
    return TileShape(MR, min(vectors, (registers - 1) // (MR + 1), 8), lanes)


@functools.lru_cache(maxsize=1024)
def strip_blocks(p: Conv2dProblem, shape: TileShape) -> tuple[int, int]:
    """Input channels a block and tiles a strip, for a direct convolution of one group.

    The source under a strip and the weights of one block of output channels share three
    quarters of L2. Of all that fit, the pair is taken that moves fewest bytes beyond L2: the
    weights once a strip, the sums twice for every block of input channels but the first.
    """
    ICG, OCG = p.ic // p.g, p.oc // p.g
    across = -(-p.ow // shape.MR)
    tiles = p.oh * across
    budget = cache_bytes(2) * 3 // 4 // p.itemsize
    weights = ICG * OCG * p.kh * p.kw
    # A tap's weights serve MR rows. Seven rows take long enough for them to come from L2; below,
    # they have to be in L1: a third of it, beside the source and the sums.
    most = ICG if shape.MR >= 7 else max(1, cache_bytes(1) // 3 // p.itemsize // (p.kh * p.kw * shape.NR))
    best = None
    for blocks in range(-(-ICG // min(most, ICG)), ICG + 1):
        KC = -(-ICG // blocks)
        if best is not None and best[1] == KC:
            continue
        room = budget - KC * p.kh * p.kw * shape.NR
        strips = 1
        while strips < tiles and _source_under(p, shape, -(-tiles // strips), KC) > room:
            strips = min(tiles, strips + max(1, strips // 8))
        fits = _source_under(p, shape, -(-tiles // strips), KC) <= room
        moved = strips * weights + 2 * (blocks - 1) * OCG * p.oh * p.ow
        if best is None or (not fits, moved) < best[0]:
            best = (not fits, moved), KC, -(-tiles // strips)
        if KC <= 16:
            break
    assert best is not None
    return best[1], best[2]


def _source_under(p: Conv2dProblem, shape: TileShape, tiles: int, channels: int) -> int:
    """Elements of source that a strip of that many tiles reads."""
    across = -(-p.ow // shape.MR)
    if p.oh == 1:
        return channels * p.kh * min(p.iw, tiles * shape.MR * p.sw + p.kw * p.dw)
    rows = (-(-tiles // across) - 1) * p.sh + p.kernel_extent[0]
    return channels * min(rows, p.padded_shape[0]) * p.iw
