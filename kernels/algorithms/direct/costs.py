"""Amounts of `direct_tiled`."""

from __future__ import annotations

from typing import Any

from kernels.algorithms.direct.blocking import RowTiles, Split
from kernels.costs.amounts import (
    LINE_BYTES,
    Amounts,
    ceil_div,
    idle_slots,
    lines_beyond_l2,
    lines_of_layer,
)
from kernels.machine.cpu import cache_bytes
from kernels.problem import Conv2dProblem

__all__ = ["tiled_amounts"]


def tiled_amounts(p: Conv2dProblem, z: Any, row: RowTiles, split: Split) -> Amounts:
    """Of the loops in `kernels.algorithms.direct.loops`, whose extents are z."""
    vectors = ceil_div(z.OCG, row.shape.lanes)
    rows = p.mb * z.G * z.OH * z.BLOCKS
    tiles = rows * z.ACROSS
    NV = min(row.shape.NV, vectors)
    inside = p.macs_useful / max(1, p.macs_nominal)
    idle = z.WIDE * idle_slots(z.MR, NV) + (z.ACROSS - z.WIDE) * idle_slots(z.MR - 1, NV)
    weights = z.G * z.BLOCKS * z.NR * z.ICG * z.KH * z.KW * p.itemsize
    passes = p.mb * z.STRIPS
    # Strips of a share of the blocks follow one another, and find its weights in L2.
    again = z.SHARES > 1 and weights / (z.G * z.SHARES) <= cache_bytes(2) / 2
    read = lines_beyond_l2(weights, weights + p.mb * p.ic * p.ih * p.iw * p.itemsize, p.mb if again else passes)
    blocks = ceil_div(z.ICG, z.KC)
    counts = {
        "multiply-adds": p.macs_useful / max(1, p.oc) * z.G * vectors,
        "waits": rows * z.ICG * z.KH * z.KW * inside * idle,
        "tiles": float(tiles * blocks),
        "runs of taps": float(tiles * z.KW * blocks),
        "result vectors": float(p.mb * p.oh * p.ow * z.G * vectors),
        "sums put by": float(p.mb * p.oh * p.ow * z.G * vectors * (blocks - 1)),
        "padded lines": p.mb * p.ic * z.IH * z.IW * p.itemsize / LINE_BYTES if p.ih * p.iw < z.IH * z.IW else 0.0,
        "weights from L2": passes * weights / LINE_BYTES,
        "weights from L3": read.l3,
        "weights from memory": read.memory,
        "calls": 1.0,
        **lines_of_layer(p),
    }
    return Amounts("tiles", counts, split.longest)
