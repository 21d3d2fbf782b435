"""The microkernels of im2col: the packing of a panel's columns, and the product of blocks of channels with a panel.

A tile is MR output channels (broadcast) by NV vectors of neighbouring pixels, so that its rows are rows of NCHW and
nothing is transposed.

What is batched: a call takes all blocks of channels of a panel, since one block of few input channels takes but some
hundred cycles; packing takes the whole panel.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kernels.epilogue import Epilogue
from kernels.machine.cpu import LINE_BYTES
from kernels.machine.microkernel import Elements, microkernel
from kernels.machine.register_tile import tile_rank1, tile_splat
from kernels.machine.static import number
from kernels.machine.tile_memory import (
    ask_for,
    ask_to_write,
    tile_load,
    tile_load_strided,
    tile_store,
    tile_store_columns,
)
from kernels.machine.tile_shape import TileShape

__all__ = ["ColumnsSpec", "PanelSpec", "columns_panel", "pack_columns"]


class PanelSpec(NamedTuple):
    """What the product of a panel is specialised by.

    Attributes
    ----------
    dtype : str
    shape : TileShape
        MR channels of NV vectors of pixels.
    partial : bool
        Whether some of the last vector's pixels do not exist.
    epilogue : Epilogue
        Without the number of its slope.
    """

    dtype: str
    shape: TileShape
    partial: bool
    epilogue: Epilogue

    @property
    def line(self) -> int:
        """Elements of a cache line; of a row that is shorter, its own."""
        return min(LINE_BYTES // np.dtype(self.dtype).itemsize, self.shape.NR)


@microkernel
def columns_panel(
    spec, wei: Elements, wei_step: int, MR: int, columns: Elements, row: int, K: int, blocks: int,
    bias: Elements, begins: int, ends: int, sums: Elements, sums_step: int, dst: Elements, plane: int, count: int,
    residual: Elements, slope: Elements, following: Elements, following_row: int,
):  # fmt: skip
    """Add K rows of ``columns``, ``row`` elements apart, to ``blocks`` blocks of channels.

    Row k of block n is multiplied by ``wei[n * wei_step + k * MR :]``. The sums begin as the bias or, unless this
    ``begins`` them, are waiting in ``sums``; where they do not end they are put by there. The last of them go to planes
    of the result, ``plane`` elements apart, the first ``count`` pixels of each; their lines are asked for before a sum.
    Step by step so are K rows of the next panel at ``following``, ``following_row`` elements apart (none if that is 0):
    rows of a source are pages apart, which the hardware's own streams do not foresee.
    """
    LINE = number(spec.line)
    # Of lines the last element: rows begin anywhere in one, whose beginning the panel before has asked for.
    asked, line = 0, LINE - 1
    for block in range(blocks):
        if begins:
            tile = tile_splat(spec.shape, bias, block * MR)
        else:
            tile = tile_load(spec.shape, sums, block * sums_step, number(spec.shape.NR))
        at = block * wei_step
        if ends:
            for m in range(number(spec.shape.MR)):
                for last in range(LINE - 1, number(spec.shape.NR), LINE):
                    ask_to_write(dst, (block * MR + m) * plane + last)
        for k in range(K):
            ask_for(following, asked + line)
            line += LINE
            if line >= number(spec.shape.NR):
                # The last row stays the last: no row is behind it.
                asked, line = min(asked + following_row, (K - 1) * following_row), LINE - 1
            tile = tile_rank1(tile, wei, at + k * MR, 1, columns, k * row)
        if ends:
            out = block * MR * plane
            tile_store_columns(tile, dst, out, plane, count, spec.partial, spec.epilogue, residual, slope)
        else:
            tile_store(tile, sums, block * sums_step, number(spec.shape.NR))


class ColumnsSpec(NamedTuple):
    """What packing is specialised by: ``pitch`` is 1 or 2, or 0 where the stride is given at run time."""

    dtype: str
    vector: TileShape
    pitch: int


@microkernel
def pack_columns(
    spec, src: Elements, C: int, first: int, count: int, columns: Elements, WIDE: int,
    IH: int, IW: int, OW: int, KH: int, KW: int, SH: int, SW: int, DH: int, DW: int, PH: int, PW: int,
    ahead: int,
):  # fmt: skip
    """Columns ``[kh][kw][C][WIDE]`` of pixels ``first`` to ``first + count``, of C planes from ``src`` on.

    A run of pixels of one output row at a time, a vector of it at a time, and its place in all planes in one loop: what
    of the vector lies on padding is the same for all. A vector that ends past its run is overwritten by the next run,
    or ends between rows. What stands ``ahead`` elements behind, the next panel's, is asked for.
    """
    LANES = number(spec.vector.lanes)
    if number(spec.pitch):
        SW = number(spec.pitch)
    done = 0
    oh, ow = first // OW, first % OW
    while done < count:
        run = min(count - done, OW - ow)
        for kh in range(KH):
            ih = oh * SH + kh * DH - PH
            for kw in range(KW):
                for v in range(0, run, LANES):
                    iw = (ow + v) * SW + kw * DW - PW
                    begin = max(0, -(iw // SW))
                    end = max(0, min(LANES, min(run - v, (IW - 1 - iw) // SW + 1)))
                    if ih < 0 or ih >= IH:
                        end = 0
                    at = ih * IW + iw
                    out = (kh * KW + kw) * C * WIDE + done + v
                    for _ in range(C):
                        ask_for(src, at + ahead)
                        tile_store(tile_load_strided(spec.vector, spec.pitch, src, at, SW, begin, end), columns, out, 0)
                        at += IH * IW
                        out += WIDE
        done += run
        oh, ow = oh + 1, 0
