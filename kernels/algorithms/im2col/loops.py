"""The loops of im2col: the convolution as one matrix product, its columns packed panel by panel.

Source: Chellapilla, Puri and Simard, "High Performance Convolutional Neural Networks for Document Processing" (2006);
blocking after Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008).

- ``im2col_gemm``: dst[oc][pixel] = wei[oc][k] x columns[k][pixel], k over ic, kh, kw.

Layout: weights [g][oc / MR][ic / C][kh][kw][C][MR]; columns [kh][kw][C][NR + a vector] of one panel of pixels and one
block of C input channels: the whole matrix never exists. A run of pixels of one output row is copied by masked vectors,
which also bring the zeros of the padding. Without stride and padding the columns of a 1x1 kernel are the source itself
and are read from there.
Tile: MR output channels (broadcast) x NR pixels (vectors), so that its rows are rows of NCHW and nothing is transposed.
Channels and whole vectors past the edge cost nothing.
Loops, outside in: image, group, share of the channel blocks, panel of NR pixels (these four number the items that
threads take); block of C input channels; block of MR output channels; tap
(the last two in `kernels.algorithms.im2col.microkernel`). The columns of a block stay in L1 and L2 while every block of
channels passes over them; the sums of a panel wait in scratch (L2) between blocks of input channels.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from kernels.algorithms.im2col.blocking import Split, channel_tile, column_blocks, split_of
from kernels.algorithms.im2col.costs import gemm_amounts
from kernels.algorithms.im2col.microkernel import ColumnsSpec, PanelSpec, columns_panel, pack_columns
from kernels.costs.amounts import Amounts, lines_of_layer
from kernels.machine.cpu import LINE_BYTES, cache_bytes, lanes_of, vector_bytes
from kernels.machine.microkernel import call, macrokernel
from kernels.machine.packing import Biases, Panels, in_channel_blocks
from kernels.machine.parallel import Launch, address_of, share_of
from kernels.machine.tile_shape import TileShape
from kernels.problem import Conv2dProblem
from kernels.registry import Packing, Run, Scratch, Setup, algorithm

#: Planes so many bytes apart fall into the same sets of L1, and each on a page of its own.
_PAGE = 4096
#: A panel that is used by so many channel blocks is worth a copy though it could be read from the source, if its rows
#: fall into the same sets of L1, or lie on more pages than the first level of the TLB holds.
_WORTH_COPYING, _PAGES = 5, 64


class _Sizes(NamedTuple):
    """Every extent that the kernels need."""

    G: int
    ICG: int
    OCG: int
    BLOCKS: int  # blocks of output channels per group
    SHARES: int  # parts that the blocks are shared out in
    PANELS: int  # panels of pixels per image and group
    KC: int  # input channels per block
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
    COPIED: bool  # whether every panel is copied, or only one that ends within a vector


#: What else is in the record: items, columns and sums of each thread, and addresses. Of the microkernels of tiles there
#: are four: for whole panels and the last, for all blocks of channels but the last and for that.
_ELSE = (
    "ITEMS", "ITEM", "COLUMNS", "WAITING", "pack", "tile", "tile_last", "short", "short_last",
    "wei", "bias", "columns", "sums", "slope",
    # Distance of rows of the next panel, which are asked for; 0 if columns are no rows of the source or that is in L2.
    "FOLLOWING",
)  # fmt: skip


@macrokernel((*_Sizes._fields, *_ELSE))
def _panels(z, step, part, parts):
    """Items are numbered over (image, group, share of the blocks, panel).

    Panels within shares: the last panel may be short, and each thread then has its part of it.
    """
    OHW = z.OH * z.OW
    columns, sums = z.columns + part * z.COLUMNS * z.ITEM, z.sums + part * z.WAITING * z.ITEM
    begin, end = share_of(z.ITEMS, part, parts)
    for item in range(begin, end):
        panel = item % z.PANELS
        share = item // z.PANELS % z.SHARES
        g = item // (z.SHARES * z.PANELS) % z.G
        n = item // (z.SHARES * z.PANELS * z.G)
        pixel = panel * z.NR
        count = min(z.NR, OHW - pixel)
        copied = z.COPIED or count % z.LANES != 0
        block0, block1 = share * z.BLOCKS // z.SHARES, (share + 1) * z.BLOCKS // z.SHARES
        for c0 in range(0, z.ICG, z.KC):
            C = min(z.KC, z.ICG - c0)
            source = z.src + ((n * z.G + g) * z.ICG + c0) * z.IH * z.IW * z.ITEM
            rows, row = source + pixel * z.ITEM, OHW
            if copied:
                rows, row = columns, z.NR + z.LANES
                call(
                    z.pack,
                    (
                        source, C, pixel, count, rows, row, z.IH, z.IW, z.OW, z.KH, z.KW, z.SH, z.SW, z.DH, z.DW,
                        z.PH, z.PW, z.NR * z.SW,
                    ),
                )  # fmt: skip
            # All blocks but the last of the group, and that one.
            for at_edge in range(2):
                first = max(block0, z.BLOCKS - 1) if at_edge else block0
                blocks = (block1 if at_edge else min(block1, z.BLOCKS - 1)) - first
                if blocks <= 0:
                    continue
                if at_edge:
                    tile = z.tile_last if count == z.NR else z.short_last
                else:
                    tile = z.tile if count == z.NR else z.short
                at = (g * z.BLOCKS + first) * z.MR
                out = ((n * z.G * z.OCG + g * z.OCG + first * z.MR) * OHW + pixel) * z.ITEM
                call(
                    tile,
                    (
                        z.wei + (at * z.ICG + c0 * z.MR) * z.KH * z.KW * z.ITEM, z.ICG * z.KH * z.KW * z.MR, z.MR,
                        rows, row, C * z.KH * z.KW, blocks, z.bias + at * z.ITEM, 1 if c0 == 0 else 0,
                        1 if c0 + C == z.ICG else 0, sums + (first - block0) * z.MR * z.NR * z.ITEM, z.MR * z.NR,
                        z.dst + out, OHW, count, z.residual + out, z.slope, source + (pixel + z.NR) * z.ITEM,
                        0 if at_edge else z.FOLLOWING,
                    ),
                )  # fmt: skip


@functools.lru_cache(maxsize=1024)
def _sizes(p: Conv2dProblem, threads: int) -> tuple[_Sizes, TileShape, Split]:
    OCG, ICG = p.oc // p.g, p.ic // p.g
    shape = channel_tile(OCG, p.oh * p.ow, lanes_of(p.dtype))
    BLOCKS, PANELS = -(-OCG // shape.MR), -(-p.oh * p.ow // shape.NR)
    copied = not _is_source(p) or (BLOCKS >= _WORTH_COPYING and _is_far_apart(p))
    # Few panels leave threads idle: then the channel blocks of a panel are shared out too.
    split = split_of(shape, p.oh * p.ow, p.mb * p.g, BLOCKS, copied, threads)
    sizes = _Sizes(
        G=p.g, ICG=ICG, OCG=OCG, BLOCKS=BLOCKS, SHARES=split.shares, PANELS=PANELS,
        KC=column_blocks(p, shape), KH=p.kh, KW=p.kw, SH=p.sh, SW=p.sw, DH=p.dh, DW=p.dw, PH=p.ph, PW=p.pw, IH=p.ih,
        IW=p.iw, OH=p.oh, OW=p.ow, LANES=shape.lanes, MR=shape.MR, NR=shape.NR,
        COPIED=copied,
    )  # fmt: skip
    return sizes, shape, split


def _is_source(p: Conv2dProblem) -> bool:
    """Whether columns are the source itself."""
    return p.kh == p.kw == p.sh == p.sw == 1 and p.padded_shape == (p.ih, p.iw)


def _is_far_apart(p: Conv2dProblem) -> bool:
    """Whether rows of a panel that is read from the source would drive each other from L1 or the TLB."""
    plane, rows = p.oh * p.ow * p.itemsize, p.ic // p.g
    # Of L1's sets those that rows fall into, and how many lines they hold.
    sets = _PAGE // max(LINE_BYTES, math.gcd(plane, _PAGE))
    crowded = rows > sets * (cache_bytes(1) // _PAGE)
    # Measured with vectors of 32 bytes: 1.09 times as fast over eleven 1x1 layers, and slower with few pages.
    many_pages = vector_bytes() < 64 and rows * min(plane, _PAGE) > _PAGES * _PAGE
    return crowded or many_pages


def _waiting(z: _Sizes) -> int:
    """Sums that each thread puts by."""
    return -(-z.BLOCKS // z.SHARES) * z.MR * z.NR if z.KC < z.ICG else 0


def _scratch(p: Conv2dProblem, threads: int) -> Scratch:
    z, _, _ = _sizes(p, threads)
    return {"columns": (threads, z.KC * z.KH * z.KW * (z.NR + z.LANES)), "sums": (threads, _waiting(z))}


def _packing(p: Conv2dProblem, threads: int) -> Packing:
    z, _, _ = _sizes(p, 1)
    places = in_channel_blocks(z.ICG, range(z.KH * z.KW), z.KC)
    panels = Panels(p.weight_shape, p.dtype, p.g, z.MR, threads, places)
    biases = Biases(p.oc, p.dtype, p.g, z.MR)
    return Packing((panels.packed, biases.packed), panels, biases)


def _amounts(p: Conv2dProblem, threads: int) -> Amounts:
    return gemm_amounts(p, *_sizes(p, threads))


def panel_specs(setup: Setup) -> dict[str, PanelSpec]:
    """The microkernels of tiles that a problem needs, by their names in the record."""
    p = setup.problem
    z, _, _ = _sizes(p, 1)
    short = z.OH * z.OW % z.NR
    specs = {}
    for name, count in (("tile", z.NR if z.OH * z.OW >= z.NR else 0), ("short", short)):
        for suffix, MR in (("", z.MR if z.BLOCKS > 1 else 0), ("_last", z.OCG - (z.BLOCKS - 1) * z.MR)):
            if count and MR:
                each = TileShape(MR, -(-count // z.LANES), z.LANES)
                specs[name + suffix] = PanelSpec(p.dtype, each, count % z.LANES > 0, setup.epilogue.kind)
    return specs


@algorithm(
    "im2col_gemm",
    family="im2col",
    error_factor=8.0,
    exact_on_integers=True,
    window_only=True,
    packing=_packing,
    scratch=_scratch,
    amounts=_amounts,
)
def im2col_gemm(setup: Setup) -> Run:
    """One matrix product over columns packed panel by panel."""
    p, threads = setup.problem, setup.threads
    wei, bias = setup.packed
    z, _, _ = _sizes(p, threads)
    slope = np.array([setup.epilogue.slope], p.dtype)
    arrays = {"wei": wei, "bias": bias, "slope": slope, **setup.scratch}
    addresses = {name: columns_panel.address(spec) for name, spec in panel_specs(setup).items()}
    # Not needed by a problem whose every panel is read from the source.
    if z.COPIED or z.OH * z.OW % z.LANES:
        pitch = p.sw if p.sw <= 2 else 0
        addresses["pack"] = pack_columns.address(ColumnsSpec(p.dtype, TileShape(1, 1, z.LANES), pitch))
    record = _panels.record(
        **z._asdict(),
        **addresses,
        **{name: address_of(array) for name, array in arrays.items()},
        ITEMS=p.mb * z.G * z.PANELS * z.SHARES, ITEM=p.itemsize,
        COLUMNS=z.KC * z.KH * z.KW * (z.NR + z.LANES), WAITING=_waiting(z),
        FOLLOWING=z.IH * z.IW if _is_source(p) and any(lines_of_layer(p).values()) else 0,
    )  # fmt: skip
    return Launch(_panels, record, threads, keep=tuple(arrays.values()))
