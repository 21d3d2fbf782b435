"""Amounts of backward weights, in work that other loops were measured by."""

from __future__ import annotations

from typing import Any

from kernels.costs.amounts import LINE_BYTES, Amounts, ceil_div, idle_slots, lines_of_layer, longest_share
from kernels.machine.tile_shape import TileShape
from kernels.problem import Conv2dProblem

__all__ = ["planes_amounts", "tiles_amounts", "winograd_amounts"]

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
        "lines copied": strips * z.PLANE * p.itemsize / LINE_BYTES if z.COPIED else 0.0,
        "calls": 1.0,
        **lines_of_layer(p),
    }
    return Amounts("stencil", counts, longest_share(blocks, threads))


def winograd_amounts(p: Conv2dProblem, z: Any, threads: int) -> Amounts:
    """Of the loops in `kernels.algorithms.backward_weights.winograd_loops`, whose extents are z.

    The work is what forward Winograd has.
    """
    lanes, points = z.LANES, z.R * z.C
    # Points of the tiles of an image, fewer of short ones.
    down = z.FULL_TH * z.R + (z.TH - z.FULL_TH) * z.SHORT_R
    across = z.FULL_TW * z.C + (z.TW - z.FULL_TW) * z.SHORT_C
    taken, share = p.mb * down * across, down * across / max(1, z.TH * z.TW * points)
    rows = z.G * ceil_div(z.ICG, z.MR) * z.MR
    tiles, vectors = p.mb * z.TH * z.TW, z.G * (z.IVECTORS + z.OVECTORS)
    moved = taken * vectors * lanes * p.itemsize / LINE_BYTES
    sums = z.G * points * z.PANELS * z.NR * z.IVECTORS * lanes * p.itemsize / LINE_BYTES
    # Lines that neighbouring tiles share are gathered twice.
    lines = z.TH * p.mb * z.G
    gathered = lines * z.IVECTORS * z.R * z.WX, lines * z.OVECTORS * z.TILE_H * z.WD
    partial = [extent % lanes > 0 for extent in (z.ICG, z.OCG)]
    counts = {
        "multiply-adds": taken * rows * z.PANELS * z.NR / lanes,
        "panels of products": float(z.BLOCKS * points * rows // z.MR * z.PANELS),
        "input steps": share * tiles * vectors * points * (z.R * (z.R > 1) + z.C * (z.C > 1)),
        "points stored": float(taken * vectors),
        "output steps": float(z.G * z.ICG * z.OVECTORS * z.KH * z.C * (z.R + z.KW)),
        "pixels gathered": float(sum(each for each, part in zip(gathered, partial, strict=True) if not part)),
        "pixels gathered in part": float(sum(each for each, part in zip(gathered, partial, strict=True) if part)),
        "result vectors": float(z.G * z.OVECTORS * z.ICG * z.KH * z.KW),
        "points from L3": moved if z.BLOCKS == 1 else 2 * z.BLOCKS * sums,
        "blocks": float(z.BLOCKS),
        "calls": 1.0,
        **lines_of_layer(p),
    }
    return Amounts("winograd", counts, longest_share(z.G * z.OBLOCKS * z.IBLOCKS, threads), 2 * z.BLOCKS)
