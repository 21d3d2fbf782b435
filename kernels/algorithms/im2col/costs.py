"""Amounts of `im2col_gemm`."""

from __future__ import annotations

from typing import Any

from kernels.algorithms.im2col.blocking import Split
from kernels.costs.amounts import (
    Amounts,
    ceil_div,
    idle_slots,
    lines_beyond_l2,
    lines_of_layer,
)
from kernels.machine.tile_shape import TileShape
from kernels.problem import Conv2dProblem

__all__ = ["gemm_amounts"]


def gemm_amounts(p: Conv2dProblem, z: Any, shape: TileShape, split: Split) -> Amounts:
    """Of the loops in `kernels.algorithms.im2col.loops`, z being its extents."""
    pixels, K = p.oh * p.ow, z.ICG * p.kh * p.kw
    vectors = ceil_div(pixels, shape.lanes)
    panels = p.mb * z.G * z.PANELS
    blocks = ceil_div(z.ICG, z.KC)
    # Idle slots of a step, of the tiles of whole panels and of the one that is left.
    idle = pixels // z.NR * idle_slots(shape.MR, shape.NV)
    if pixels % z.NR:
        idle += idle_slots(shape.MR, ceil_div(pixels % z.NR, shape.lanes))
    # A panel is cut into runs at the ends of rows, each run into vectors.
    runs = p.mb * z.G * (z.PANELS + p.oh) if p.ow % z.NR else p.mb * z.G * z.PANELS
    copied = p.mb * z.G * (p.oh * ceil_div(p.ow, shape.lanes) + z.PANELS) if z.COPIED else 0
    weights = z.G * z.BLOCKS * z.MR * K * p.itemsize
    read = lines_beyond_l2(weights, weights, p.mb * z.PANELS)
    counts = {
        "multiply-adds": float(p.mb * z.G * z.OCG * vectors * K),
        "waits": p.mb * z.G * z.BLOCKS * K * idle,
        "columns copied": float(copied * K) if p.sw == 1 else 0.0,
        "columns picked": float(copied * K) if p.sw > 1 else 0.0,
        "runs of columns": float(runs * p.kh * p.kw * blocks) if z.COPIED else 0.0,
        "panels": float(panels * blocks),
        "tiles": float(panels * z.BLOCKS * blocks),
        "result vectors": float(p.mb * p.oc * vectors),
        "sums put by": float(p.mb * p.oc * vectors * (blocks - 1)),
        "weights from L3": read.l3,
        "weights from memory": read.memory,
        "calls": 1.0,
        **lines_of_layer(p),
    }
    return Amounts("columns", counts, split.longest)
