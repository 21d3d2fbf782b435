"""Amounts of Winograd and FFT: input transform, products, output transform."""

from __future__ import annotations

import functools
import math
from collections import Counter

from kernels.algorithms.transform.codelets.apply import Codelet
from kernels.algorithms.transform.codelets.fourier import FftCodelet
from kernels.algorithms.transform.codelets.phased import PhasedCodelet
from kernels.algorithms.transform.geometry import Sizes, blocks_alike, tiles_at
from kernels.algorithms.transform.tiling import Transform, sizes_of
from kernels.costs.amounts import LINE_BYTES, Amounts, ceil_div, lines_beyond_l2, lines_of_layer, longest_share
from kernels.machine.cpu import cache_bytes
from kernels.problem import Conv2dProblem

__all__ = ["product_rows", "transform_amounts"]

#: The longest share where threads take channels of every block.
_UNEVEN = 1.05


def transform_amounts(p: Conv2dProblem, t: Transform, threads: int) -> Amounts:
    """Of the loops in `kernels.algorithms.transform.loops`."""
    z, _ = sizes_of(p, t, threads)
    lanes, depth = z.LANES, z.PIECES_H * z.PIECES_W * z.ICP
    rows, point_rows, panels = product_rows(z)
    into, out = _steps(t)
    tiles, inputs, outputs = p.mb * z.G * z.TH * z.TW, z.ICP // lanes, ceil_div(z.OCG, lanes)
    # Short tiles take as many points less.
    share = point_rows / max(1, tiles * z.F)
    gathered = z.ITEMS * inputs * z.PIXELS / lanes
    weights = z.G * z.F * z.OCB * depth * z.NR * p.itemsize
    # Blocks of a group follow one another: the first finds its weights where the image before left them.
    images = ceil_div(p.mb, z.IMAGES)
    block = (z.F * z.VSTEP + z.SUMS * z.MSTEP) * p.itemsize
    first = lines_beyond_l2(weights, weights + block, images)
    again = lines_beyond_l2(weights, weights // z.G + block, images * (z.BLOCKS - 1))
    partial = p.ic // p.g % lanes > 0
    # V and M of a block that leave L2 come back from L3.
    moved = (point_rows * depth + rows * z.OCB * z.NR) * p.itemsize / LINE_BYTES
    # Pixels or rows of a vector of channels that leave L1.
    local = (z.PIXELS + z.MID + z.MH * z.WR * lanes) * p.itemsize
    counts = {
        "multiply-adds": z.W * point_rows * depth * z.OCB * z.NR / lanes,
        "panels of products": float(panels * z.OCB),
        "input steps": share * tiles * inputs * into * z.PIECES_H * z.PIECES_W,
        "points stored": point_rows * depth / lanes * z.W,
        "output steps": share * tiles * outputs * out,
        "pixels gathered": 0.0 if partial else gathered,
        "pixels gathered in part": gathered if partial else 0.0,
        "pixels from L2": gathered if local > cache_bytes(1) else 0.0,
        "result vectors": float(p.mb * p.oh * z.SH * p.ow * z.SW * z.G * outputs),
        "blocks": float(z.ITEMS * (inputs + outputs)),
        "weights from L2": images * z.BLOCKS * weights / LINE_BYTES,
        "weights from L3": first.l3 + again.l3,
        "weights from memory": first.memory + again.memory,
        "points from L3": moved if block > cache_bytes(2) else 0.0,
        "calls": 1.0,
        **lines_of_layer(p),
    }
    longest = longest_share(z.ITEMS, threads) if z.PHASES == 1 else _UNEVEN
    return Amounts("fft" if t.steps else "winograd", counts, longest, 1 if z.PHASES == 1 else z.PHASES * z.ITEMS)


def product_rows(z: Sizes) -> tuple[int, int, int]:
    """Rows of all products, rows times the points that each is summed over, and panels; rows are whole panels."""
    # Sums down a column, and along a row, that are alike: of short tiles or not, of one point or two.
    down = Counter((i < z.SHORT_SUMS_H, 1 + (i < z.TWICE_H)) for i in range(z.SUMS // z.SUMS_C))
    across = Counter((i < z.SHORT_SUMS_W, 1 + (i < z.TWICE_W)) for i in range(z.SUMS_C))
    rows = point_rows = panels = 0
    for block, times in blocks_alike(z):
        for (short_h, points_h), count_h in down.items():
            for (short_w, points_w), count_w in across.items():
                first = (0 if short_h else z.SHORT_SUMS_H) * z.SUMS_C + (0 if short_w else z.SHORT_SUMS_W)
                here = times * count_h * count_w * ceil_div(tiles_at(z, block, first), z.MR)
                panels += here
                rows += here * z.MR
                point_rows += here * z.MR * points_h * points_w
    return rows, point_rows, panels


@functools.cache
def _steps(t: Transform) -> tuple[float, float]:
    """Multiply-adds that transform a vector of tiles: into points, and out of them."""
    if t.steps:
        into = t.down.n * _products(t.across.into) + t.across.into.outputs * _products(t.down.into)
    else:
        # Columns that neighbouring tiles share are transformed once.
        columns = t.across.m * t.across.stride
        into = columns * _products(t.down.into) + t.down.into.outputs * _products(t.across.into)
    out = t.across.out.inputs * _products(t.down.out) + t.down.out.outputs * _products(t.across.out)
    return into, out


def _products(codelet: Codelet) -> float:
    """Multiply-adds of a codelet: of a matrix those that are not with zero, though some share their work."""
    if isinstance(codelet, FftCodelet):
        # Split radix, of real numbers half.
        return 4.0 * codelet.n * math.log2(codelet.n) / (2 if min(codelet.widths) == 1 else 1)
    if isinstance(codelet, PhasedCodelet):
        return _products(codelet.even) + _products(codelet.odd)
    return float(sum(number != 0 for row in codelet.rows for number in row))
