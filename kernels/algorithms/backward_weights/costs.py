"""Amounts of backward weights, in work that other loops were measured by."""

from __future__ import annotations

from typing import Any

from kernels.costs.amounts import LINE_BYTES, Amounts, ceil_div, idle_slots, lines_of_layer, longest_share
from kernels.machine.tile_shape import TileShape
from kernels.problem import Conv2dProblem

__all__ = ["planes_amounts", "tiles_amounts"]

#: Time of a multiply-add of planes, in that of one of a stencil: beside each a vector of the source is loaded, mostly
#: across cache lines. Measured on Zen 4, over four layers of three input channels: 1.4 to 2.1.
_LOADED = 1.65


def tiles_amounts(p: Conv2dProblem, z: Any, shape: TileShape, threads: int) -> Amounts:
    """Of the loops in `kernels.algorithms.backward_weights.loops`, whose extents are z.

    Vectors that are copied and transposed are those of im2col's columns.
    """
    pixels = p.mb * p.oh * p.ow
    blocks = ceil_div(p.mb, z.IMAGES) * ceil_div(p.oh, z.LINES) * ceil_div(p.ow, z.COLUMNS)
    tiles = z.G * z.IBLOCKS * ceil_div(z.ICB * z.TAPS, shape.MR)
    copied = p.mb * z.IC * z.SHARES * ceil_div(z.OH, z.LINES) * z.HC * z.WC if z.COPIED else 0
    transposed = z.G * z.IBLOCKS * z.PANELS * z.NR * pixels
    counts = {
        "multiply-adds": float(tiles * z.PANELS * shape.MR * shape.NV * pixels),
        "waits": tiles * z.PANELS * pixels * idle_slots(shape.MR, shape.NV),
        "columns copied": (copied + transposed) / shape.lanes,
        "panels": float(z.G * z.IBLOCKS * z.PANELS * blocks),
        "tiles": float(tiles * z.PANELS * blocks),
        "calls": 1.0,
        **lines_of_layer(p),
    }
    return Amounts("columns", counts, longest_share(z.G * z.IBLOCKS * z.SHARES, threads))


def planes_amounts(p: Conv2dProblem, z: Any, sums: int, blocks: int, threads: int) -> Amounts:
    """Of the loops in `kernels.algorithms.backward_weights.planes`, whose extents are z.

    ``sums`` are the vectors of a channel's tiles, ``blocks`` the items. A vector of the source is loaded for each tap.
    """
    lanes = z.LANES
    vectors = p.mb * p.ic * p.oh * ceil_div(p.ow, lanes)
    strips = p.mb * p.ic * ceil_div(p.oh, z.LINES)
    counts = {
        "multiply-adds": _LOADED * vectors * (sums + z.OCG),
        "planes": float(strips),
        "tiles": float(strips * z.CALLS),
        "lines copied": strips * z.PLANE * p.itemsize / LINE_BYTES,
        "calls": 1.0,
        **lines_of_layer(p),
    }
    return Amounts("stencil", counts, longest_share(blocks, threads))
