"""The macrokernel of `im2col_gemm`.

Layout: weights [g][oc / MR][ic / C][kh][kw][C][MR]; columns [kh][kw][C][NR + a vector] of one panel of
pixels and one block of C input channels: the whole matrix never exists. A run of pixels of
one output row is copied by masked vectors, which also bring the zeros of the padding.
Without stride and padding the columns of a 1x1 kernel are the source itself and are read from there.
Tile: MR output channels (broadcast) x NR pixels (vectors), so that its rows are rows of
NCHW and nothing is transposed. Channels and whole vectors past the edge cost nothing.
Loops, outside in: image, group, share of the channel blocks, panel of NR pixels (these four
number the items that threads take); block of C input channels; block of MR output channels;
tap. The columns of a block stay in L1 and L2 while every block of channels passes over
them; the sums of a panel wait in scratch (L2) between blocks of input channels.
"""

from __future__ import annotations

from kernels.algorithms.im2col.blocking import Sizes
from kernels.machine.compile import inner
from kernels.machine.microkernel import call, macrokernel
from kernels.machine.parallel import share_of

__all__ = ["panels"]

#: Fields of the record beside the extents: addresses of microkernels and arrays.
_FIELDS = (
    "ITEM",  # bytes of an element
    "pack", "gemm", "gemm_last_block", "gemm_last_panel", "gemm_last_of_both",
    "wei", "bias", "ones", "slope", "columns", "sums",
)  # fmt: skip


@inner
def _multiply(z, gemm, first, blocks, g, out, pixels, c0, C, b, b_step, sums):
    """``blocks`` channel blocks of a group, from ``first`` on, by ``pixels`` pixels of a panel."""
    taps = z.KH * z.KW
    at = (g * z.BLOCKS + first) * z.MR
    wei = z.wei + (at * z.ICG + c0 * z.MR) * taps * z.ITEM
    to = out + first * z.MR * z.OH * z.OW * z.ITEM
    call(
        gemm,
        (
            blocks, C * taps, wei, z.MR, z.MR * z.ICG * taps, b, b_step, z.bias + at * z.ITEM, z.MR,
            z.ones, sums, z.MR * z.NR, c0 == 0, c0 + C == z.ICG, z.dst + to, z.MR * z.OH * z.OW, z.OH * z.OW,
            pixels, z.residual + to, z.slope,
        ),
    )  # fmt: skip


@macrokernel((*Sizes._fields, *_FIELDS))
def panels(z, step, part, parts):
    """The items of one thread, numbered over (image, group, share of the blocks, panel).

    Panels within shares: the last panel may be short, and each thread then has its part of it.
    """
    OHW = z.OH * z.OW
    WHOLE = z.OCG // z.MR
    columns, sums = z.columns + part * z.COLUMNS * z.ITEM, z.sums + part * z.SUMS * z.ITEM
    begin, end = share_of(z.ITEMS, part, parts)
    for item in range(begin, end):
        panel = item % z.PANELS
        share = item // z.PANELS % z.SHARES
        g = item // (z.SHARES * z.PANELS) % z.G
        n = item // (z.SHARES * z.PANELS * z.G)
        pixel = panel * z.NR
        count = min(z.NR, OHW - pixel)
        copied = z.COPIED or count % z.LANES != 0
        first, last = share_of(z.BLOCKS, share, z.SHARES)
        whole = min(last, WHOLE)
        gemm, gemm_last = z.gemm, z.gemm_last_block
        if panel == z.PANELS - 1:
            gemm, gemm_last = z.gemm_last_panel, z.gemm_last_of_both
        out = ((n * z.G + g) * z.OCG * OHW + pixel) * z.ITEM
        for c0 in range(0, z.ICG, z.KC):
            C = min(z.KC, z.ICG - c0)
            src = z.src + ((n * z.G + g) * z.ICG + c0) * z.IH * z.IW * z.ITEM
            b, b_step = src + pixel * z.ITEM, OHW
            if copied:
                b, b_step = columns, z.NR + z.LANES
                call(
                    z.pack,
                    (
                        src, columns, pixel, count, C, b_step, z.OW, z.IH, z.IW,
                        z.KH, z.KW, z.SH, z.SW, z.DH, z.DW, z.PH, z.PW,
                    ),
                )  # fmt: skip
            if first < whole:
                _multiply(z, gemm, first, whole - first, g, out, count, c0, C, b, b_step, sums)
            if whole < last:
                put_by = sums + (whole - first) * z.MR * z.NR * z.ITEM
                _multiply(z, gemm_last, whole, 1, g, out, count, c0, C, b, b_step, put_by)
