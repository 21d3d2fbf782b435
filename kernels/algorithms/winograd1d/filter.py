"""Minimal filtering along the height of a map, with pixels of a row in vectors.

Source rows become n transformed rows, each of which is multiplied with its own taps, and the
products of all input channels become m output rows. Kernel columns are shifts of a
transformed row, as in a direct convolution. Neither transform moves a pixel to another lane,
so that both are a few instructions a vector; strides between columns are taken out before.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from kernels.algorithms.cook_toom import transform_matrices
from kernels.epilogue import NO_EPILOGUE, Epilogue
from kernels.machine.matrix_codelet import MatrixCodelet, matrix_codelet
from kernels.machine.tile_shape import TileShape

__all__ = ["HeightFilter", "RowFilter", "RowTransform", "row_filter"]


class RowFilter(NamedTuple):
    """A minimal filter over rows: matrices as in Y = A^T [(G g) * (B^T d)], and which rows d are."""

    at: np.ndarray
    g: np.ndarray
    bt: np.ndarray
    rows: tuple[int, ...]

    @property
    def weights(self) -> MatrixCodelet:
        """From rows of taps to those that transformed rows are multiplied by."""
        return matrix_codelet(self.g)

    @property
    def into(self) -> MatrixCodelet:
        """From source rows to transformed ones."""
        return matrix_codelet(self.bt)

    @property
    def out(self) -> MatrixCodelet:
        """From transformed rows to output rows."""
        return matrix_codelet(self.at)


@functools.cache
def row_filter(SH: int) -> RowFilter:
    """F(4, 3) at stride 1; F(3, 2) over even rows beside three products with odd ones at stride 2."""
    if SH == 1:
        at, g, bt = (np.array(each, np.float64) for each in transform_matrices(4, 3, (0, 1, -1, 2, -2)))
        return RowFilter(at, g, bt, tuple(range(6)))
    at, g, bt = (np.array(each, np.float64) for each in transform_matrices(3, 2, (0, 1, -1)))
    taps = np.zeros((7, 3))
    taps[:4, ::2], taps[4:, 1] = g, 1
    into = np.eye(7)
    into[:4, :4] = bt
    return RowFilter(np.hstack([at, np.eye(3)]), taps, into, (0, 2, 4, 6, 1, 3, 5))


class RowTransform(NamedTuple):
    """What the transform of a strip is specialised by.

    Attributes
    ----------
    dtype : str
    lanes : int
    PACK : int
        Strips of m output rows that lie side by side in a vector.
    SH, SW : int
        Strides, 1 or 2.
    """

    dtype: str
    lanes: int
    PACK: int
    SH: int
    SW: int

    @property
    def m(self) -> int:
        """Output rows."""
        return len(row_filter(self.SH).at)

    @property
    def n(self) -> int:
        """Transformed rows."""
        return len(row_filter(self.SH).bt)

    @property
    def pitch(self) -> int:
        """Lanes of a strip."""
        return self.lanes // self.PACK


class HeightFilter(NamedTuple):
    """A tile of OCB output channels x n transformed rows x one vector of columns: what products are specialised by.

    Attributes
    ----------
    dtype : str
    OCB, lanes : int
        Output channels and elements a vector.
    PACK : int
        Strips of m output rows that lie side by side in a vector.
    KW, SW, DW : int
        Kernel columns, the stride between output columns (1 or 2) and the dilation; 0 if that is any.
    SH : int
        Source rows from one output row to the next, 1 or 2.
    narrow : bool
        Whether the map is narrower than the lanes of a strip.
    epilogue : Epilogue
        Its kind.
    """

    dtype: str
    OCB: int
    lanes: int
    PACK: int
    KW: int
    SW: int
    DW: int
    SH: int
    narrow: bool
    epilogue: Epilogue = NO_EPILOGUE

    @property
    def n(self) -> int:
        """Transformed rows."""
        return len(row_filter(self.SH).bt)

    @property
    def m(self) -> int:
        """Output rows."""
        return len(row_filter(self.SH).at)

    @property
    def pitch(self) -> int:
        """Lanes of a strip."""
        return self.lanes // self.PACK

    @property
    def TAPS(self) -> int:
        """Weights of an input channel."""
        return self.n * self.KW * self.OCB

    @property
    def tile(self) -> TileShape:
        """Rows are (channel, transformed row)."""
        return TileShape(self.OCB * self.n, 1, self.lanes)
