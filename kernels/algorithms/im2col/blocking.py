"""Sizes of `im2col_gemm`: the register tile, blocks of input channels, panels and what threads share."""

from __future__ import annotations

import functools
from typing import NamedTuple

from kernels.machine.cpu import cache_bytes, lanes_of, vector_registers
from kernels.machine.tile_shape import TileShape
from kernels.problem import Conv2dProblem

__all__ = ["Sizes", "sizes_of"]

#: Planes so many bytes apart fall into the same sets of L1: there, a panel that is used by so
#: many channel blocks is copied though it could be read from the source.
_SAME_SETS, _WORTH_COPYING = 4096, 5


class Sizes(NamedTuple):
    """Every extent that the loops need, in elements."""

    G: int
    ICG: int
    OCG: int
    BLOCKS: int  # blocks of output channels a group
    SHARES: int  # parts that the blocks are shared out in
    PANELS: int  # panels of pixels an image and group
    ITEMS: int  # what threads share: panels of shares of groups of images
    KC: int  # input channels a block
    KH: int
    KW: int
    SH: int
    SW: int
    DH: int
    DW: int
    PH: int
    PW: int
    IH: int
    IW: int
    OH: int
    OW: int
    LANES: int
    MR: int
    NR: int
    COPIED: int  # whether every panel is copied, or only one that ends within a vector
    COLUMNS: int  # of a thread's scratch
    SUMS: int  # of a thread's scratch; none if all input channels are one block


def channel_tile(channels: int, pixels: int, lanes: int) -> TileShape:
    """The tile of output channels (broadcast) by neighbouring pixels (vectors).

    Channels and whole vectors past the edge cost nothing, so all that counts is that blocks are about equally long
    and fill the registers.
    """
    registers = vector_registers()
    NV = min(3 if registers == 32 else 2, -(-pixels // lanes))
    most = (registers - 1) // NV - 1
    MR = -(-channels // -(-channels // min(most, channels)))
    return TileShape(MR, min((registers - 1) // (MR + 1), 8, max(NV, -(-pixels // lanes))), lanes)


def _column_blocks(p: Conv2dProblem, shape: TileShape) -> int:
    """Input channels a block of packed columns, which takes an eighth of L2; blocks are about equally long."""
    ICG = p.ic // p.g
    most = max(1, cache_bytes(2) // 8 // p.itemsize // (shape.NR * p.kh * p.kw))
    return -(-ICG // -(-ICG // most))


@functools.lru_cache(maxsize=1024)
def sizes_of(p: Conv2dProblem, threads: int) -> tuple[Sizes, TileShape]:
    """Extents for the loops, and the register tile."""
    OCG, ICG = p.oc // p.g, p.ic // p.g
    shape = channel_tile(OCG, p.oh * p.ow, lanes_of(p.dtype))
    BLOCKS, PANELS = -(-OCG // shape.MR), -(-p.oh * p.ow // shape.NR)
    # Few panels leave threads idle: then the channel blocks of a panel are shared out too.
    wanted = -(-4 * threads // max(1, p.mb * p.g * PANELS)) if threads > 1 else 1
    SHARES, KC = min(BLOCKS, wanted), _column_blocks(p, shape)
    is_source = p.kh == p.kw == p.sh == p.sw == 1 and p.padded_shape == (p.ih, p.iw)
    sizes = Sizes(
        G=p.g, ICG=ICG, OCG=OCG, BLOCKS=BLOCKS, SHARES=SHARES, PANELS=PANELS, ITEMS=p.mb * p.g * PANELS * SHARES,
        KC=KC, KH=p.kh, KW=p.kw, SH=p.sh, SW=p.sw, DH=p.dh, DW=p.dw, PH=p.ph, PW=p.pw, IH=p.ih, IW=p.iw, OH=p.oh,
        OW=p.ow, LANES=shape.lanes, MR=shape.MR, NR=shape.NR,
        COPIED=int(not is_source or (p.oh * p.ow * p.itemsize % _SAME_SETS == 0 and BLOCKS >= _WORTH_COPYING)),
        COLUMNS=KC * p.kh * p.kw * (shape.NR + shape.lanes),
        SUMS=-(-BLOCKS // SHARES) * shape.MR * shape.NR if KC < ICG else 0,
    )  # fmt: skip
    return sizes, shape
