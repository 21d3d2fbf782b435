"""Direct convolution: the sum as it is written, no transform of the input.

Versions:

- ``direct_naive``: the seven loops, parallel over images x output channels. The
  yardstick that every other kernel is compared with, and readable beside the formula.
- ``direct_tiled``: a register tile of pixels x channels over the padded source, nothing
  packed but the weights. Any stride or dilation is just an address step.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
from numba import prange

from kernels.machine.blocking import TileShape, lanes_of, pick_tile
from kernels.machine.jit import kernel, parallel_kernel, share_of
from kernels.machine.packing import (
    fill_bias_blocks,
    pack_weight_blocks,
    pad_source,
    tap_offsets,
)
from kernels.machine.simd import tile_load, tile_rank1, tile_rows, tile_store, tile_store_transposed
from kernels.machine.static import static
from kernels.machine.workspace import carve, workspace_bytes
from kernels.problem import Conv2dProblem
from kernels.registry import Packed, algorithm


@kernel
def _naive_plane(src, wei, bia, dst, n, oc, G, SH, SW, PH, PW, DH, DW):
    """One output plane; the tap loops are outside, so that the pixel loop vectorises."""
    _, _, IH, IW = src.shape
    OC, ICG, KH, KW = wei.shape
    _, _, OH, OW = dst.shape
    first = (oc // (OC // G)) * ICG
    dst[n, oc, :, :] = bia[oc]
    for ic in range(ICG):
        for kh in range(KH):
            for kw in range(KW):
                w = wei[oc, ic, kh, kw]
                for oh in range(OH):
                    ih = oh * SH + kh * DH - PH
                    if ih < 0 or ih >= IH:
                        continue
                    shift = kw * DW - PW
                    begin = max(0, -(shift // SW))
                    end = min(OW, (IW - 1 - shift) // SW + 1)
                    out = dst[n, oc, oh, begin : max(begin, end)]
                    if SW == 1:
                        # A step that the compiler knows, and no index that could be negative:
                        # the loop becomes vectors.
                        row = src[n, first + ic, ih, begin + shift :]
                        for i in range(out.size):
                            out[i] += w * row[i]
                    else:
                        for i in range(out.size):
                            out[i] += w * src[n, first + ic, ih, (begin + i) * SW + shift]


@parallel_kernel
def _naive_parallel(src, wei, bia, dst, G, SH, SW, PH, PW, DH, DW):
    MB, OC = dst.shape[0], dst.shape[1]
    for plane in prange(MB * OC):
        _naive_plane(src, wei, bia, dst, plane // OC, plane % OC, G, SH, SW, PH, PW, DH, DW)


@kernel
def _naive_serial(src, wei, bia, dst, G, SH, SW, PH, PW, DH, DW):
    MB, OC = dst.shape[0], dst.shape[1]
    for plane in range(MB * OC):
        _naive_plane(src, wei, bia, dst, plane // OC, plane % OC, G, SH, SW, PH, PW, DH, DW)


@algorithm("direct_naive", family="direct", error_factor=8.0, exact_on_integers=True)
def direct_naive(
    problem: Conv2dProblem,
    packed: Packed,
    src: np.ndarray,
    bia: np.ndarray,
    dst: np.ndarray,
    workspace: np.ndarray,
    threads: int,
) -> None:
    """The seven loops, parallel over images x output channels."""
    p = problem
    run = _naive_serial if threads == 1 else _naive_parallel
    run(src, packed[0], bia, dst, p.g, p.sh, p.sw, p.ph, p.pw, p.dh, p.dw)


# -- direct_tiled ---------------------------------------------------------------------
#
# Layout: source padded once, flat [mb][ic][HP][WP]; weights [g][oc / NR][ic][kh][kw][NR].
# Tile: MR neighbouring output pixels of a row (broadcast) x NR output channels (vectors).
# Loops, outside in: image, group, block of NR channels, strip of output rows; then block of
# KC taps, row, tile of pixels, tap. A tap (ic, kh, kw) is an offset into the source, read
# from a table: one loop around the multiply-adds, for 1x1 and for 7x7 alike. The source
# rows under a tile stay in L1 for a block of taps, its weights in L2; the sums of a strip
# wait in scratch between blocks.

#: Bytes of source under one tile that a block of input channels may take: two thirds of a 48 KB L1.
_SOURCE_BYTES = 48 * 1024
#: Tiles a strip aims at: 16 of 14 x 32 floats are 28 KB.
_STRIP_TILES = 16


class _Codes(NamedTuple):
    """What the kernels are specialised by."""

    shape: TileShape
    step: int  # from one pixel of the tile to the next


class _Sizes(NamedTuple):
    """Every extent that the kernels need."""

    G: int
    ICG: int
    OCG: int
    BLOCKS: int  # blocks of output channels a group
    K: int  # taps: input channels a group x kernel rows x kernel columns
    KC: int  # taps a block
    SH: int
    SW: int
    HP: int
    WP: int
    OH: int
    OW: int
    R: int  # output rows a strip
    STRIPS: int
    MR: int
    NR: int
    COPIED: bool  # whether the source is read from a padded copy


@kernel
def _tiled_strips(codes, z, begin, end, src, taps, wei, bia, dst, sums):
    """Strips ``begin`` to ``end``, numbered over (image, group, channel block, strip)."""
    OHW = z.OH * z.OW
    for item in range(begin, end):
        first = item % z.STRIPS * z.R
        block = item // z.STRIPS % z.BLOCKS
        g = item // (z.STRIPS * z.BLOCKS) % z.G
        n = item // (z.STRIPS * z.BLOCKS * z.G)
        live = min(z.NR, z.OCG - block * z.NR)
        out = (n * z.G * z.OCG + g * z.OCG + block * z.NR) * OHW
        for k0 in range(0, z.K, z.KC):
            k1 = min(k0 + z.KC, z.K)
            slot = 0
            for oh in range(first, min(first + z.R, z.OH)):
                for column in range(0, z.OW, z.MR):
                    # The last tile of a row reaches back, so that it never reads past the row.
                    ow = max(0, min(column, z.OW - z.MR))
                    if k0 == 0:
                        tile = tile_rows(codes.shape, bia, (g * z.BLOCKS + block) * z.NR)
                    else:
                        tile = tile_load(codes.shape, sums, slot, z.NR)
                    si = ((n * z.G + g) * z.ICG * z.HP + oh * z.SH) * z.WP + ow * z.SW
                    wi = ((g * z.BLOCKS + block) * z.K + k0) * z.NR
                    for k in range(k0, k1):
                        tile = tile_rank1(tile, src, si + taps[k], codes.step, wei, wi)
                        wi += z.NR
                    if k1 == z.K:
                        tile_store_transposed(tile, dst, out + oh * z.OW + ow, OHW, min(z.MR, z.OW - ow), live)
                    else:
                        tile_store(tile, sums, slot, z.NR)
                    slot += z.MR * z.NR


@parallel_kernel
def _tiled_parallel(codes, z, parts, items, src, taps, wei, bia, dst, sums):
    for part in prange(parts):
        begin, end = share_of(items, part, parts)
        _tiled_strips(codes, z, begin, end, src, taps, wei, bia, dst, sums[part])


@functools.lru_cache(maxsize=1024)
def _tiled_sizes(p: Conv2dProblem) -> tuple[_Sizes, TileShape]:
    shape = pick_tile(p.ow, p.oc // p.g, lanes_of(p.dtype))
    across = -(-p.ow // shape.MR)
    # Strips of equal length, so that the last one is not nearly empty.
    STRIPS = -(-p.oh // max(1, _STRIP_TILES // across))
    R = -(-p.oh // STRIPS)
    # Cache lines under one tile, a row of the kernel at a time; a whole number of input channels a block.
    lines = p.kh * (((shape.MR - 1) * p.sw + p.kernel_extent[1]) * p.itemsize // 64 + 1)
    ICG = p.ic // p.g
    blocks = -(-ICG // max(1, _SOURCE_BYTES // (lines * 64)))
    KC = -(-ICG // blocks) * p.kh * p.kw
    HP, WP = p.padded_shape
    sizes = _Sizes(
        G=p.g, ICG=ICG, OCG=p.oc // p.g, BLOCKS=-(-(p.oc // p.g) // shape.NR), K=ICG * p.kh * p.kw,
        KC=KC, SH=p.sh, SW=p.sw, HP=HP, WP=WP, OH=p.oh, OW=p.ow, R=R, STRIPS=-(-p.oh // R), MR=shape.MR,
        NR=shape.NR, COPIED=p.padded_shape != (p.ih, p.iw) or p.ow < shape.MR,
    )  # fmt: skip
    return sizes, shape


def _tiled_scratch(p: Conv2dProblem, threads: int) -> dict[str, tuple[int, ...]]:
    z, _ = _tiled_sizes(p)
    return {
        # With room for the reach of the last tile: read, multiplied and thrown away.
        "padded": (p.mb * p.ic * z.HP * z.WP + z.MR * z.SW if z.COPIED else 0,),
        "bias": (z.G, z.BLOCKS * z.NR),
        "sums": (threads, z.R * -(-z.OW // z.MR) * z.MR * z.NR if z.KC < z.K else 0),
    }


def _tiled_prepare(p: Conv2dProblem, wei: np.ndarray) -> Packed:
    z, shape = _tiled_sizes(p)
    return static(_Codes(shape, p.sw)), tap_offsets(p, z.HP * z.WP, z.WP), pack_weight_blocks(wei, p.g, z.NR)


def _tiled_workspace(p: Conv2dProblem, threads: int) -> int:
    return workspace_bytes(_tiled_scratch(p, threads), p.dtype)


@algorithm(
    "direct_tiled",
    family="direct",
    error_factor=8.0,
    exact_on_integers=True,
    prepare=_tiled_prepare,
    workspace=_tiled_workspace,
)
def direct_tiled(
    problem: Conv2dProblem,
    packed: Packed,
    src: np.ndarray,
    bia: np.ndarray,
    dst: np.ndarray,
    workspace: np.ndarray,
    threads: int,
) -> None:
    """A register tile of pixels x channels over the padded source."""
    p = problem
    codes, taps, wei = packed
    z, _ = _tiled_sizes(p)
    scratch = carve(workspace, _tiled_scratch(p, threads), p.dtype)
    padded, bias, sums = scratch["padded"], scratch["bias"], scratch["sums"]
    fill_bias_blocks(bia, bias)
    if z.COPIED:
        padded[-z.MR * z.SW :] = 0
        pad_source(p, src, padded, threads)
    else:
        padded = src.reshape(-1)
    items = p.mb * z.G * z.BLOCKS * z.STRIPS
    arrays: Any = (padded, taps, wei, bias.reshape(-1), dst.reshape(-1))
    if threads == 1:
        _tiled_strips(codes, z, 0, items, *arrays, sums[0])
    else:
        _tiled_parallel(codes, z, threads, items, *arrays, sums)
