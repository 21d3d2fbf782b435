"""Sizes that follow from the machine: vectors, register tiles and how one is picked.

A register tile of MR x NV accumulators reads MR broadcasts and NV vectors for MR x NV
multiply-adds. It must fit the registers (accumulators + NV vectors + one broadcast), must
have at least eight accumulators (two multiply-adds a cycle, four cycles each) and should
load no more than it multiplies. Among the shapes that do, the one wins that wastes least on
rows and columns past the edge; equal ones are in the order of the table.
"""

from __future__ import annotations

from dataclasses import dataclass

from kernels.machine.cpu import IN_FLIGHT, vector_registers

__all__ = ["TileShape", "pick_tile"]

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
