"""Minimal filtering along the height of a map, with pixels of a row in vectors.

Source rows become n transformed rows, each of which is multiplied with its own taps, and the
products of all input channels become m output rows. Kernel columns are shifts of a
transformed row, as in a direct convolution. Neither transform moves a pixel to another lane,
so that both are a few instructions a vector; strides between columns are taken out before.
"""

from __future__ import annotations

from dataclasses import dataclass

from kernels.machine.matrix_codelet import MatrixCodelet
from kernels.machine.tile_shape import TileShape

__all__ = ["HeightFilter"]


@dataclass(frozen=True)
class HeightFilter:
    """A tile of OCB output channels x n transformed rows x one vector of columns.

    Attributes
    ----------
    OCB, lanes : int
        Output channels and elements a vector.
    PACK : int
        Strips of m output rows that lie side by side in a vector, ``pitch`` lanes each.
    U : int
        Output columns of a strip that count.
    KW, SW, DW : int
        Kernel columns, the stride between output columns (1 or 2) and the dilation.
    SH : int
        Source rows from one output row to the next.
    rows : tuple of int
        Source rows, in the order in which ``into`` takes them.
    into, out : MatrixCodelet
        From source rows to n transformed ones; from those to m output rows.
    """

    OCB: int
    lanes: int
    PACK: int
    U: int
    KW: int
    SW: int
    DW: int
    SH: int
    rows: tuple[int, ...]
    into: MatrixCodelet
    out: MatrixCodelet

    @property
    def n(self) -> int:
        """Transformed rows."""
        return self.into.outputs

    @property
    def m(self) -> int:
        """Output rows."""
        return self.out.outputs

    @property
    def pitch(self) -> int:
        """Lanes of a strip."""
        return self.lanes // self.PACK

    @property
    def tile(self) -> TileShape:
        """Rows are (channel, transformed row)."""
        return TileShape(self.OCB * self.n, 1, self.lanes)
