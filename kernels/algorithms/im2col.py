"""im2col: the convolution as one matrix product, its columns packed panel by panel.

Source: Chellapilla, Puri and Simard, "High Performance Convolutional Neural Networks for
Document Processing" (2006); blocking after Goto and van de Geijn, "Anatomy of
High-Performance Matrix Multiplication" (2008).

- ``im2col_gemm``: dst[oc][pixel] = wei[oc][k] x columns[k][pixel], k over ic, kh, kw.

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

import functools
from typing import NamedTuple

import numpy as np
from numba import prange

from kernels.costs.amounts import Amounts
from kernels.costs.im2col import gemm_amounts
from kernels.epilogue import Epilogue
from kernels.machine.cpu import lanes_of
from kernels.machine.jit import inner, kernel, parallel_kernel, share_of
from kernels.machine.launch import Launch
from kernels.machine.packing import fill_bias, pack_columns, pack_weight_blocks
from kernels.machine.reduction import Clip, tile_sum
from kernels.machine.register_tile import tile_rank1, tile_rows
from kernels.machine.static import static
from kernels.machine.tile_memory import tile_load, tile_store, tile_store_partial
from kernels.machine.tile_shape import TileShape, channel_tile, column_blocks
from kernels.problem import Conv2dProblem
from kernels.registry import Packed, Run, Scratch, Setup, algorithm

#: Planes so many bytes apart fall into the same sets of L1: there, a panel that is used by so
#: many channel blocks is copied though it could be read from the source.
_SAME_SETS, _WORTH_COPYING = 4096, 5


class _Codes(NamedTuple):
    """What the kernels are specialised by."""

    shape: TileShape
    vector: TileShape  # one vector, for copies
    clips: tuple[Clip, ...]  # [number of vectors - 1][whether the block of channels is the last]
    step: int  # between source columns of neighbouring pixels
    one: int
    epilogue: Epilogue


class _Sizes(NamedTuple):
    """Every extent that the kernels need."""

    G: int
    ICG: int
    OCG: int
    BLOCKS: int  # blocks of output channels a group
    SHARES: int  # parts that the blocks are shared out in
    PANELS: int  # panels of pixels an image and group
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
    COPIED: bool  # whether every panel is copied, or only one that ends within a vector


@inner
def _panels(codes, z, begin, end, src, rows, wei, bias, one, dst, residual, columns, sums):
    """Items ``begin`` to ``end``, numbered over (image, group, share of the blocks, panel).

    Panels within shares: the last panel may be short, and each thread then has its part of it.
    """
    OHW = z.OH * z.OW
    for item in range(begin, end):
        panel = item % z.PANELS
        share = item // z.PANELS % z.SHARES
        g = item // (z.SHARES * z.PANELS) % z.G
        n = item // (z.SHARES * z.PANELS * z.G)
        count = min(z.NR, OHW - panel * z.NR)
        vectors = (count + z.LANES - 1) // z.LANES
        copied = z.COPIED or count % z.LANES != 0
        for c0 in range(0, z.ICG, z.KC):
            C = min(z.KC, z.ICG - c0)
            plane = (n * z.G + g) * z.ICG + c0
            K = C * z.KH * z.KW
            if copied:
                pack_columns(codes, z, src, plane, C, panel * z.NR, count, columns)
            for block in range(share * z.BLOCKS // z.SHARES, (share + 1) * z.BLOCKS // z.SHARES):
                at = (g * z.BLOCKS + block) * z.MR
                slot = (block - share * z.BLOCKS // z.SHARES) * z.MR * z.NR
                if c0 == 0:
                    tile = tile_rank1(tile_rows(codes.shape, one, z.NR), bias, at, codes.one, one, 0)
                else:
                    tile = tile_load(codes.shape, sums, slot, z.NR)
                clip = 2 * (vectors - 1) + (1 if block == z.BLOCKS - 1 else 0)
                wi = (at * z.ICG + c0 * z.MR) * z.KH * z.KW
                b, bi, row = (columns, 0, z.NR + z.LANES) if copied else (src, plane * OHW + panel * z.NR, OHW)
                tile = tile_sum(codes.clips, clip, tile, wei, wi, codes.one, rows, 0, K, b, bi, row, 0)
                if c0 + C == z.ICG:
                    out = (n * z.G * z.OCG + g * z.OCG + block * z.MR) * OHW + panel * z.NR
                    live = z.OCG - block * z.MR
                    tile_store_partial(tile, dst, out, OHW, live, count, codes.epilogue, residual, None)
                else:
                    tile_store(tile, sums, slot, z.NR)


@kernel
def _panels_serial(codes, z, parts, items, src, rows, wei, bia, one, dst, residual, bias, columns, sums):
    fill_bias(bia, bias, z.G, z.OCG, z.BLOCKS * z.MR)
    _panels(codes, z, 0, items, src, rows, wei, bias, one, dst, residual, columns[0], sums[0])


@parallel_kernel
def _panels_parallel(codes, z, parts, items, src, rows, wei, bia, one, dst, residual, bias, columns, sums):
    fill_bias(bia, bias, z.G, z.OCG, z.BLOCKS * z.MR)
    for part in prange(parts):
        begin, end = share_of(items, part, parts)
        _panels(codes, z, begin, end, src, rows, wei, bias, one, dst, residual, columns[part], sums[part])


@functools.lru_cache(maxsize=1024)
def _sizes(p: Conv2dProblem, threads: int) -> tuple[_Sizes, TileShape]:
    OCG, ICG = p.oc // p.g, p.ic // p.g
    shape = channel_tile(OCG, p.oh * p.ow, lanes_of(p.dtype))
    BLOCKS, PANELS = -(-OCG // shape.MR), -(-p.oh * p.ow // shape.NR)
    # Few panels leave threads idle: then the channel blocks of a panel are shared out too.
    wanted = -(-4 * threads // max(1, p.mb * p.g * PANELS)) if threads > 1 else 1
    is_source = p.kh == p.kw == p.sh == p.sw == 1 and p.padded_shape == (p.ih, p.iw)
    sizes = _Sizes(
        G=p.g, ICG=ICG, OCG=OCG, BLOCKS=BLOCKS, SHARES=min(BLOCKS, wanted), PANELS=PANELS,
        KC=column_blocks(p, shape), KH=p.kh, KW=p.kw, SH=p.sh, SW=p.sw, DH=p.dh, DW=p.dw, PH=p.ph, PW=p.pw, IH=p.ih,
        IW=p.iw, OH=p.oh, OW=p.ow, LANES=shape.lanes, MR=shape.MR, NR=shape.NR,
        COPIED=not is_source or (p.oh * p.ow * p.itemsize % _SAME_SETS == 0 and BLOCKS >= _WORTH_COPYING),
    )  # fmt: skip
    return sizes, shape


def _scratch(p: Conv2dProblem, threads: int) -> Scratch:
    z, _ = _sizes(p, threads)
    return {
        "bias": (z.G * z.BLOCKS * z.MR,),
        "columns": (threads, z.KC * z.KH * z.KW * (z.NR + z.LANES)),
        "sums": (threads, -(-z.BLOCKS // z.SHARES) * z.MR * z.NR if z.KC < z.ICG else 0),
    }


def _prepare(p: Conv2dProblem, wei: np.ndarray) -> Packed:
    z, _ = _sizes(p, 1)
    one = np.zeros(2 * z.NR, p.dtype)  # a row of ones, then a row of zeros
    one[: z.NR] = 1
    panels = pack_weight_blocks(wei, p.g, z.MR).reshape(z.G, z.BLOCKS, z.ICG, z.KH, z.KW, z.MR)
    panels = panels.transpose(0, 1, 3, 4, 2, 5)
    cuts = [slice(c, c + z.KC) for c in range(0, z.ICG, z.KC)]
    packed = np.concatenate([panels[:, :, :, :, cut].reshape(z.G, z.BLOCKS, -1) for cut in cuts], axis=2)
    return np.arange(z.KC * z.KH * z.KW) * z.MR, packed.reshape(-1), one


def _amounts(p: Conv2dProblem, threads: int) -> Amounts:
    return gemm_amounts(p, *_sizes(p, threads), threads)


@algorithm(
    "im2col_gemm",
    family="im2col",
    error_factor=8.0,
    exact_on_integers=True,
    prepare=_prepare,
    scratch=_scratch,
    amounts=_amounts,
)
def im2col_gemm(setup: Setup) -> Run:
    """One matrix product over columns packed panel by panel."""
    p, threads, bia = setup.problem, setup.threads, setup.bia
    rows, wei, one = setup.packed
    z, shape = _sizes(p, threads)
    last = z.OCG - (z.BLOCKS - 1) * z.MR
    clips = tuple(Clip(0, MR, NV) for NV in range(1, shape.NV + 1) for MR in (z.MR, last))
    codes = static(_Codes(shape, TileShape(1, 1, shape.lanes), clips, p.sw, 1, setup.epilogue))
    items = p.mb * z.G * z.PANELS * z.SHARES
    bias, columns, sums = (setup.scratch[name] for name in ("bias", "columns", "sums"))
    launch = Launch(_panels_serial if threads == 1 else _panels_parallel)

    def run(src: np.ndarray, dst: np.ndarray, residual: np.ndarray) -> None:
        source, result, added = src.reshape(-1), dst.reshape(-1), residual.reshape(-1)
        launch(codes, z, threads, items, source, rows, wei, bia, one, result, added, bias, columns, sums)

    return run
