"""Microkernels of `im2col_gemm`: blocks of a matrix product, and the copy of a panel's columns.

A call takes all whole channel blocks of a panel, since one of 64 input channels takes 400 cycles alone; the last
block, if it has fewer channels, is a call of its own. The tile stays in registers over all of K: MR broadcasts of
weights, NV vectors of pixels and MR x NV multiply-adds a step.
"""

from __future__ import annotations

from typing import NamedTuple

from kernels.epilogue import Epilogue
from kernels.machine.microkernel import Elements, microkernel
from kernels.machine.register_tile import tile_rank1, tile_zeros
from kernels.machine.static import number
from kernels.machine.tile_memory import tile_load, tile_load_strided, tile_store, tile_store_partial
from kernels.machine.tile_shape import TileShape

__all__ = ["ColumnSpec", "GemmSpec", "gemm_blocks", "pack_columns"]


class GemmSpec(NamedTuple):
    """What `gemm_blocks` is specialised by; of the epilogue the kind."""

    dtype: str
    shape: TileShape
    epilogue: Epilogue


class ColumnSpec(NamedTuple):
    """What `pack_columns` is specialised by: one vector, and the step between pixels, 0 if it is any."""

    dtype: str
    vector: TileShape
    pitch: int

    @property
    def step(self) -> int:
        """The step that vectors are picked with, in code that a pitch of 0 leaves out."""
        return max(1, self.pitch)


@microkernel
def gemm_blocks(
    spec, blocks: int, K: int, wei: Elements, wei_row: int, wei_step: int, b: Elements, b_step: int,
    bias: Elements, bias_step: int, ones: Elements, sums: Elements, sums_step: int, is_first: int, is_last: int,
    dst: Elements, dst_step: int, OHW: int, count: int, residual: Elements, slope: Elements,
):  # fmt: skip
    """``blocks`` blocks of MR channels by ``count`` pixels, whose last vector may be short: K more terms of the sums.

    A step of K takes ``wei_row`` weights, of which the first MR count here. The first block of input channels starts
    from the bias, others from ``sums``; the last one ends in ``dst``.
    """
    MR, NR = number(spec.shape.MR), number(spec.shape.NR)
    for block in range(blocks):
        if is_first:
            tile = tile_rank1(tile_zeros(spec.shape, ones), bias, block * bias_step, 1, ones, 0)
        else:
            tile = tile_load(spec.shape, sums, block * sums_step, NR)
        at = block * wei_step
        for k in range(K):
            tile = tile_rank1(tile, wei, at + k * wei_row, 1, b, k * b_step)
        if is_last:
            tile_store_partial(tile, dst, block * dst_step, OHW, MR, count, spec.epilogue, residual, slope)
        else:
            tile_store(tile, sums, block * sums_step, NR)


@microkernel
def pack_columns(
    spec, src: Elements, columns: Elements, first: int, count: int, C: int, WIDE: int, OW: int, IH: int, IW: int,
    KH: int, KW: int, SH: int, SW: int, DH: int, DW: int, PH: int, PW: int,
):  # fmt: skip
    """Columns ``[kh][kw][C][WIDE]`` of pixels ``first`` to ``first + count``, of C planes from ``src`` on.

    A run of pixels of one output row at a time, a vector of it at a time, and its place in
    all planes in one loop: what of the vector lies on padding is the same for all. A vector
    that ends past its run is overwritten by the next run, or ends between rows.
    """
    LANES = number(spec.vector.lanes)
    if number(spec.pitch) == 1:
        SW = 1
    elif number(spec.pitch) == 2:
        SW = 2
    done = 0
    while done < count:
        oh, ow = (first + done) // OW, (first + done) % OW
        run = min(count - done, OW - ow)
        for kh in range(KH):
            ih = oh * SH + kh * DH - PH
            for kw in range(KW):
                for v in range(0, run, LANES):
                    iw = (ow + v) * SW + kw * DW - PW
                    begin = max(0, -(iw // SW))
                    end = min(LANES, run - v, (IW - 1 - iw) // SW + 1)
                    if ih < 0 or ih >= IH:
                        end = 0
                    at = ih * IW + iw
                    out = (kh * KW + kw) * C * WIDE + done + v
                    for _ in range(C):
                        if number(spec.pitch):
                            tile_store(tile_load_strided(spec.vector, spec.step, src, at, begin, end), columns, out, 0)
                        else:
                            # No vector holds two of them.
                            tile_store(tile_zeros(spec.vector, columns), columns, out, 0)
                            for lane in range(begin, end):
                                columns[out + lane] = src[at + lane * SW]
                        at += IH * IW
                        out += WIDE
        done += run
