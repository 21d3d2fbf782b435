"""im2col: the convolution as one matrix product, its columns packed panel by panel.

Source: Chellapilla, Puri and Simard, "High Performance Convolutional Neural Networks for
Document Processing" (2006); blocking after Goto and van de Geijn, "Anatomy of
High-Performance Matrix Multiplication" (2008).

- ``im2col_gemm``: dst[oc][pixel] = wei[oc][k] x columns[k][pixel], k over ic, kh, kw.

Layout: weights [g][oc / MR][k][MR]; columns [k][NR] of one panel of pixels and one block of
KC taps, filled by vector copies of runs of pixels: the whole matrix never exists.
Tile: MR output channels (broadcast) x NR pixels (vectors), so that its rows are rows of
NCHW and nothing is transposed.
Loops, outside in: image, group, panel of NR pixels; block of KC taps; block of MR channels;
tap. The columns of a block stay in L1 and L2 while every block of channels passes over
them; the sums of a panel wait in scratch (L2) between blocks of taps.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
from numba import prange

from kernels.machine.blocking import TileShape, lanes_of, pick_tile
from kernels.machine.jit import kernel, parallel_kernel, share_of
from kernels.machine.packing import fill_bias_blocks, pack_weight_blocks, pad_source, tap_offsets
from kernels.machine.simd import tile_load, tile_rank1, tile_rows, tile_store, tile_store_partial
from kernels.machine.static import static
from kernels.machine.workspace import carve, workspace_bytes
from kernels.problem import Conv2dProblem
from kernels.registry import Packed, algorithm

#: Taps a block: 256 rows of 48 floats are 48 KB.
_KC = 256


class _Codes(NamedTuple):
    """What the kernels are specialised by."""

    shape: TileShape
    vector: TileShape  # one vector, for copies


class _Sizes(NamedTuple):
    """Every extent that the kernels need."""

    G: int
    ICG: int
    OCG: int
    BLOCKS: int  # blocks of output channels a group
    CHUNKS: int  # work items that share one panel
    PANELS: int  # panels of pixels an image and group
    K: int
    KC: int
    SH: int
    SW: int
    HP: int
    WP: int
    OH: int
    OW: int
    LANES: int
    MR: int
    NR: int


@kernel
def _copy_run(codes, z, src, at, columns, out, count):
    """``count`` pixels in steps of SW; may write up to a vector past the run."""
    if z.SW == 1 and at + count + z.LANES <= src.size:
        for j in range(0, count, z.LANES):
            tile_store(tile_load(codes.vector, src, at + j, 0), columns, out + j, 0)
    elif z.SW == 2:
        # A step that the compiler knows becomes shuffles of vectors.
        for j in range(count):
            columns[out + j] = src[at + 2 * j]
    else:
        for j in range(count):
            columns[out + j] = src[at + z.SW * j]


@kernel
def _pack_columns(codes, z, src, origin, taps, first, count, columns):
    """Columns of pixels ``first`` to ``first + count`` for the given taps.

    Rows are a vector longer than NR: a copy that writes past its run is overwritten by the
    next run or falls between rows.
    """
    done = 0
    while done < count:
        oh, ow = (first + done) // z.OW, (first + done) % z.OW
        run = min(count - done, z.OW - ow)
        at = origin + oh * z.SH * z.WP + ow * z.SW
        for k in range(taps.size):
            _copy_run(codes, z, src, at + taps[k], columns, k * (z.NR + z.LANES) + done, run)
        done += run


@kernel
def _panels(codes, z, begin, end, src, taps, wei, bias, one, dst, columns, sums):
    """Items ``begin`` to ``end``, numbered over (image, group, panel, chunk of channel blocks)."""
    OHW = z.OH * z.OW
    for item in range(begin, end):
        chunk = item % z.CHUNKS
        panel = item // z.CHUNKS % z.PANELS
        g = item // (z.CHUNKS * z.PANELS) % z.G
        n = item // (z.CHUNKS * z.PANELS * z.G)
        count = min(z.NR, OHW - panel * z.NR)
        origin = (n * z.G + g) * z.ICG * z.HP * z.WP
        for k0 in range(0, z.K, z.KC):
            k1 = min(k0 + z.KC, z.K)
            _pack_columns(codes, z, src, origin, taps[k0:k1], panel * z.NR, count, columns)
            for block in range(chunk * z.BLOCKS // z.CHUNKS, (chunk + 1) * z.BLOCKS // z.CHUNKS):
                at = (g * z.BLOCKS + block) * z.MR
                if k0 == 0:
                    tile = tile_rank1(tile_rows(codes.shape, one, z.NR), bias, at, 1, one, 0)
                else:
                    tile = tile_load(codes.shape, sums, block * z.MR * z.NR, z.NR)
                wi = at * z.K + k0 * z.MR
                for k in range(k1 - k0):
                    tile = tile_rank1(tile, wei, wi, 1, columns, k * (z.NR + z.LANES))
                    wi += z.MR
                if k1 == z.K:
                    out = (n * z.G * z.OCG + g * z.OCG + block * z.MR) * OHW + panel * z.NR
                    tile_store_partial(tile, dst, out, OHW, z.OCG - block * z.MR, count)
                else:
                    tile_store(tile, sums, block * z.MR * z.NR, z.NR)


@parallel_kernel
def _panels_parallel(codes, z, parts, items, src, taps, wei, bias, one, dst, columns, sums):
    for part in prange(parts):
        begin, end = share_of(items, part, parts)
        _panels(codes, z, begin, end, src, taps, wei, bias, one, dst, columns[part], sums[part])


def _is_padded(p: Conv2dProblem) -> bool:
    return p.padded_shape != (p.ih, p.iw)


@functools.lru_cache(maxsize=1024)
def _sizes(p: Conv2dProblem, threads: int) -> tuple[_Sizes, TileShape]:
    shape = pick_tile(p.oc // p.g, p.oh * p.ow, lanes_of(p.dtype))
    OCG, ICG = p.oc // p.g, p.ic // p.g
    BLOCKS, PANELS = -(-OCG // shape.MR), -(-p.oh * p.ow // shape.NR)
    # Few panels leave threads idle: then the channel blocks of a panel are shared out too.
    wanted = -(-4 * threads // max(1, p.mb * p.g * PANELS)) if threads > 1 else 1
    K = ICG * p.kh * p.kw
    HP, WP = p.padded_shape
    sizes = _Sizes(
        G=p.g, ICG=ICG, OCG=OCG, BLOCKS=BLOCKS, CHUNKS=min(BLOCKS, wanted), PANELS=PANELS, K=K,
        KC=-(-K // -(-K // _KC)), SH=p.sh, SW=p.sw, HP=HP, WP=WP, OH=p.oh, OW=p.ow, LANES=shape.lanes, MR=shape.MR,
        NR=shape.NR,
    )  # fmt: skip
    return sizes, shape


def _scratch(p: Conv2dProblem, threads: int) -> dict[str, tuple[int, ...]]:
    z, _ = _sizes(p, threads)
    return {
        "padded": (p.mb * p.ic * z.HP * z.WP if _is_padded(p) else 0,),
        "bias": (z.G, z.BLOCKS * z.MR),
        "columns": (threads, z.KC * (z.NR + z.LANES)),
        "sums": (threads, z.BLOCKS * z.MR * z.NR if z.KC < z.K else 0),
    }


def _prepare(p: Conv2dProblem, wei: np.ndarray) -> Packed:
    z, shape = _sizes(p, 1)
    one = np.zeros(2 * z.NR, p.dtype)  # a row of ones, then a row of zeros
    one[: z.NR] = 1
    codes = static(_Codes(shape, TileShape(1, 1, shape.lanes)))
    return codes, tap_offsets(p, z.HP * z.WP, z.WP), pack_weight_blocks(wei, p.g, z.MR), one


def _workspace(p: Conv2dProblem, threads: int) -> int:
    return workspace_bytes(_scratch(p, threads), p.dtype)


@algorithm(
    "im2col_gemm",
    family="im2col",
    error_factor=8.0,
    exact_on_integers=True,
    prepare=_prepare,
    workspace=_workspace,
)
def im2col_gemm(
    problem: Conv2dProblem,
    packed: Packed,
    src: np.ndarray,
    bia: np.ndarray,
    dst: np.ndarray,
    workspace: np.ndarray,
    threads: int,
) -> None:
    """One matrix product over columns packed panel by panel."""
    p = problem
    codes, taps, wei, one = packed
    z, _ = _sizes(p, threads)
    scratch = carve(workspace, _scratch(p, threads), p.dtype)
    bias, columns, sums = scratch["bias"], scratch["columns"], scratch["sums"]
    fill_bias_blocks(bia, bias)
    source = src.reshape(-1)
    if _is_padded(p):
        source = scratch["padded"]
        pad_source(p, src, source, threads)
    items = p.mb * z.G * z.PANELS * z.CHUNKS
    arrays: Any = (source, taps, wei, bias.reshape(-1), one, dst.reshape(-1))
    if threads == 1:
        _panels(codes, z, 0, items, *arrays, columns[0], sums[0])
    else:
        _panels_parallel(codes, z, threads, items, *arrays, columns, sums)
