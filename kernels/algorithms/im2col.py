"""im2col: the convolution as one matrix product, its columns packed panel by panel.

``im2col_gemm``: dst[oc][pixel] = wei[oc][k] x columns[k][pixel], k over ic, kh, kw.

Layout: weights [g][oc / MR][k][MR]; one panel of columns [k][NR] a thread, filled by vector
copies of runs of pixels and never the whole matrix. Tile: MR output channels (broadcast) x
NR pixels (vectors), so that rows of the tile are rows of NCHW and nothing is transposed.
Loops, outside in: image, group, panel of NR pixels, block of MR channels, k. The panel
stays in L2 (in L1 where k is small) while every block of channels passes over it.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from kernels.machine.blocking import TileShape, lanes_of, pick_tile
from kernels.machine.jit import kernel, parallel_kernel
from kernels.machine.packing import pack_weight_blocks, pad_planes, pad_planes_parallel
from kernels.machine.simd import (
    tile_load,
    tile_rank1,
    tile_rows,
    tile_store,
    tile_store_partial,
)
from kernels.machine.static import static
from kernels.problem import Conv2dProblem
from kernels.registry import Packed, algorithm


def _tile_shape(p: Conv2dProblem) -> TileShape:
    return pick_tile(p.oc // p.g, p.oh * p.ow, lanes_of(p.dtype))


@kernel
def _copy_run(vector, src, at, SW, columns, out, count, LANES):
    """``count`` pixels in steps of SW; may write up to a vector past the run, which is filled later."""
    if SW == 1 and at + count + LANES <= src.size:
        for j in range(0, count, LANES):
            tile_store(tile_load(vector, src, at + j, 0), columns, out + j, 0)
    else:
        for j in range(count):
            columns[out + j] = src[at + j * SW]


@kernel
def _pack_columns(vector, src, origin, first, count, columns, ICG, KH, KW, SH, SW, DH, DW, WP, PLANE, OW, LANES, NR):
    """Columns of pixels ``first`` to ``first + count`` of one group of one image."""
    k = 0
    for ic in range(ICG):
        for kh in range(KH):
            for kw in range(KW):
                tap = origin + ic * PLANE + kh * DH * WP + kw * DW
                done = 0
                while done < count:
                    oh, ow = (first + done) // OW, (first + done) % OW
                    run = min(count - done, OW - ow)
                    _copy_run(vector, src, tap + oh * SH * WP + ow * SW, SW, columns, k * NR + done, run, LANES)
                    done += run
                k += 1


@kernel
def _panels(
    shape,
    vector,
    begin,
    end,
    src,
    wei,
    bias,
    ones,
    dst,
    columns,
    CHUNKS,
    G,
    ICG,
    OCG,
    KH,
    KW,
    SH,
    SW,
    DH,
    DW,
    WP,
    PLANE,
    OHW,
    OW,
    LANES,
    MR,
    NR,
):
    """Work items ``begin`` to ``end``, numbered over (image, group, panel, chunk of channel blocks)."""
    PANELS = (OHW + NR - 1) // NR
    BLOCKS = (OCG + MR - 1) // MR
    K = ICG * KH * KW
    packed = -1
    for item in range(begin, end):
        chunk = item % CHUNKS
        panel = item // CHUNKS % PANELS
        g = item // (CHUNKS * PANELS) % G
        n = item // (CHUNKS * PANELS * G)
        count = min(NR, OHW - panel * NR)
        if item // CHUNKS != packed:
            packed = item // CHUNKS
            _pack_columns(
                vector,
                src,
                (n * G + g) * ICG * PLANE,
                panel * NR,
                count,
                columns,
                ICG,
                KH,
                KW,
                SH,
                SW,
                DH,
                DW,
                WP,
                PLANE,
                OW,
                LANES,
                NR,
            )
        for block in range(chunk * BLOCKS // CHUNKS, (chunk + 1) * BLOCKS // CHUNKS):
            at = (g * BLOCKS + block) * MR
            tile = tile_rows(shape, ones, NR)
            tile = tile_rank1(tile, bias, at, 1, ones, 0)
            wi = at * K
            for k in range(K):
                tile = tile_rank1(tile, wei, wi, 1, columns, k * NR)
                wi += MR
            out = (n * G * OCG + g * OCG + block * MR) * OHW + panel * NR
            tile_store_partial(tile, dst, out, OHW, OCG - block * MR, count)


@parallel_kernel
def _panels_parallel(
    shape,
    vector,
    parts,
    items,
    src,
    wei,
    bias,
    ones,
    dst,
    columns,
    CHUNKS,
    G,
    ICG,
    OCG,
    KH,
    KW,
    SH,
    SW,
    DH,
    DW,
    WP,
    PLANE,
    OHW,
    OW,
    LANES,
    MR,
    NR,
):
    own = columns.size // parts
    for part in prange(parts):
        _panels(
            shape,
            vector,
            part * items // parts,
            (part + 1) * items // parts,
            src,
            wei,
            bias,
            ones,
            dst,
            columns[part * own : (part + 1) * own],
            CHUNKS,
            G,
            ICG,
            OCG,
            KH,
            KW,
            SH,
            SW,
            DH,
            DW,
            WP,
            PLANE,
            OHW,
            OW,
            LANES,
            MR,
            NR,
        )


def _prepare(p: Conv2dProblem, wei: np.ndarray) -> Packed:
    shape = _tile_shape(p)
    ones = np.zeros(2 * shape.NR, p.dtype)  # a row of ones, then a row of zeros
    ones[: shape.NR] = 1
    return shape, pack_weight_blocks(wei, p.g, shape.MR), ones, static(shape), static(TileShape(1, 1, shape.lanes))


def _is_padded(p: Conv2dProblem) -> bool:
    return p.padded_shape != (p.ih, p.iw)


def _sizes(p: Conv2dProblem) -> tuple[int, int, int]:
    """Elements of the padded source, of the bias in whole blocks, and of one thread's columns."""
    shape = _tile_shape(p)
    HP, WP = p.padded_shape
    source = p.mb * p.ic * HP * WP if _is_padded(p) else 0
    biases = p.g * -(-(p.oc // p.g) // shape.MR) * shape.MR
    return source, biases, (p.ic // p.g) * p.kh * p.kw * shape.NR + shape.lanes


def _workspace(p: Conv2dProblem, threads: int) -> int:
    source, biases, columns = _sizes(p)
    return (source + biases + threads * columns) * p.itemsize


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
    shape, wei, ones, tile, vector = packed
    ICG, OCG = p.ic // p.g, p.oc // p.g
    HP, WP = p.padded_shape
    source, biases, _ = _sizes(p)
    scratch = workspace.view(p.dtype)
    padded, bias_blocks, panels = scratch[:source], scratch[source : source + biases], scratch[source + biases :]
    bias_rows = bias_blocks.reshape(p.g, -1)
    bias_rows[:, OCG:] = 0
    bias_rows[:, :OCG] = bia.reshape(p.g, OCG)
    flat = src.reshape(-1)
    if _is_padded(p):
        pad = pad_planes if threads == 1 else pad_planes_parallel
        pad(flat, padded, p.mb, p.ic, p.ic, p.ih, p.iw, p.ph, p.pw, HP, WP)
        flat = padded
    pixel_panels = p.mb * p.g * -(-p.oh * p.ow // shape.NR)
    # Few panels leave threads idle: then the channel blocks are shared out too.
    chunks = 1 if threads == 1 else max(1, min(biases // p.g // shape.MR, 4 * threads // pixel_panels))
    sizes = (p.g, ICG, OCG, p.kh, p.kw, p.sh, p.sw, p.dh, p.dw, WP, HP * WP, p.oh * p.ow, p.ow)
    arrays = (flat, wei, bias_blocks, ones, dst.reshape(-1), panels)
    tail = (chunks, *sizes, shape.lanes, shape.MR, shape.NR)
    items = pixel_panels * chunks
    if threads == 1:
        _panels(tile, vector, 0, items, *arrays, *tail)
    else:
        _panels_parallel(tile, vector, threads, items, *arrays, *tail)
