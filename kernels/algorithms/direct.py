"""Direct convolution: the sum as it is written, no transform of the input.

Versions:

- ``direct_naive``: the seven loops, parallel over images x output channels. The
  yardstick that every other kernel is compared with, and readable beside the formula.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from kernels.machine.blocking import TileShape, lanes_of, pick_tile
from kernels.machine.jit import kernel, parallel_kernel
from kernels.machine.packing import pack_weight_blocks, pad_planes, pad_planes_parallel
from kernels.machine.simd import tile_rank1, tile_rows, tile_store_transposed
from kernels.machine.static import static
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
# Layout: source padded once, flat [mb][ic][hp][wp]; weights [g][oc / NR][ic][kh][kw][NR].
# Tile: MR neighbouring output pixels of a row (broadcast) x NR output channels (vectors).
# Any stride or dilation is just an address step.
# Loops, outside in: image, group, block of NR channels, output row, tile of pixels,
# then ic, kh, kw. A block's weights (NR * ic * kh * kw) stream from L2 once a tile; the
# ic * kh source rows under a tile row stay in L1.


def _tile_shape(p: Conv2dProblem) -> TileShape:
    return pick_tile(p.ow, p.oc // p.g, lanes_of(p.dtype))


@kernel
def _tiled_rows(
    shape, MR, NR, begin, end, src, wei, bia, dst, MB, G, ICG, OCG, KH, KW, SH, step, SW, DH, DW, WP, PLANE, OH, OW
):
    """Output rows ``begin`` to ``end``, numbered over (image, group, channel block, row)."""
    BLOCKS = (OCG + NR - 1) // NR
    for item in range(begin, end):
        oh = item % OH
        block = item // OH % BLOCKS
        g = item // (OH * BLOCKS) % G
        n = item // (OH * BLOCKS * G)
        panel = (g * BLOCKS + block) * ICG * KH * KW * NR
        first = (n * G + g) * ICG * PLANE + oh * SH * WP
        oc = g * OCG + block * NR
        out = (n * G * OCG + oc) * OH * OW + oh * OW
        for ow in range(0, OW, MR):
            tile = tile_rows(shape, bia, (g * BLOCKS + block) * NR)
            wi = panel
            for ic in range(ICG):
                for kh in range(KH):
                    si = first + ic * PLANE + kh * DH * WP + ow * SW
                    for kw in range(KW):
                        tile = tile_rank1(tile, src, si + kw * DW, step, wei, wi)
                        wi += NR
            tile_store_transposed(tile, dst, out + ow, OH * OW, min(MR, OW - ow), min(NR, OCG - block * NR))


@parallel_kernel
def _tiled_parallel(
    shape, MR, NR, parts, items, src, wei, bia, dst, MB, G, ICG, OCG, KH, KW, SH, step, SW, DH, DW, WP, PLANE, OH, OW
):
    for part in prange(parts):
        _tiled_rows(
            shape,
            MR,
            NR,
            part * items // parts,
            (part + 1) * items // parts,
            src,
            wei,
            bia,
            dst,
            MB,
            G,
            ICG,
            OCG,
            KH,
            KW,
            SH,
            step,
            SW,
            DH,
            DW,
            WP,
            PLANE,
            OH,
            OW,
        )


def _tiled_prepare(p: Conv2dProblem, wei: np.ndarray) -> Packed:
    shape = _tile_shape(p)
    return shape, pack_weight_blocks(wei, p.g, shape.NR), static(shape), static(p.sw)


def _tiled_sizes(p: Conv2dProblem) -> tuple[int, int]:
    """Elements of the padded source, with room for the last tile's reach, and of the bias."""
    shape = _tile_shape(p)
    HP, WP = p.padded_shape
    source = p.mb * p.ic * HP * WP + shape.MR * p.sw
    return source, p.g * -(-(p.oc // p.g) // shape.NR) * shape.NR


def _tiled_workspace(p: Conv2dProblem, threads: int) -> int:
    return sum(_tiled_sizes(p)) * p.itemsize


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
    shape, wei, tile, step = packed
    ICG, OCG = p.ic // p.g, p.oc // p.g
    HP, WP = p.padded_shape
    source, biases = _tiled_sizes(p)
    scratch = workspace.view(p.dtype)
    padded, bias_blocks = scratch[:source], scratch[source : source + biases]
    bias_rows = bias_blocks.reshape(p.g, -1)
    bias_rows[:, OCG:] = 0
    bias_rows[:, :OCG] = bia.reshape(p.g, OCG)
    # The reach of the last tile: read, multiplied and thrown away, so it must only be finite.
    padded[source - shape.MR * p.sw :] = 0
    pad = pad_planes if threads == 1 else pad_planes_parallel
    pad(src.reshape(-1), padded, p.mb, p.ic, p.ic, p.ih, p.iw, p.ph, p.pw, HP, WP)
    items = p.mb * p.g * (biases // p.g // shape.NR) * p.oh
    sizes = (p.mb, p.g, ICG, OCG, p.kh, p.kw, p.sh, step, p.sw, p.dh, p.dw, WP, HP * WP, p.oh, p.ow)
    arrays = (padded, wei, bias_blocks, dst.reshape(-1))
    if threads == 1:
        _tiled_rows(tile, shape.MR, shape.NR, 0, items, *arrays, *sizes)
    else:
        _tiled_parallel(tile, shape.MR, shape.NR, threads, items, *arrays, *sizes)
