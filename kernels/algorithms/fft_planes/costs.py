"""Amounts of the transforms of planes."""

from __future__ import annotations

from kernels.algorithms.fft_planes.sizes import Sizes, line_operations
from kernels.costs.amounts import LINE_BYTES, Amounts, ceil_div, lines_beyond_l2, lines_of_layer, longest_share
from kernels.machine.cpu import lanes_of
from kernels.problem import Conv2dProblem

__all__ = ["plane_amounts"]


def plane_amounts(p: Conv2dProblem, z: Sizes, threads: int) -> Amounts:
    """Of the loops in `kernels.algorithms.fft_planes.loops`."""
    lanes, (down, across) = lanes_of(p.dtype), z[:2]
    blocks = p.oc if z.shared else ceil_div(p.oc, lanes)
    items = p.mb * blocks * (ceil_div(z.tiles, lanes) if z.shared else z.tiles)
    rows, points = down.live + down.outputs, across.half
    number = 2 * lanes * p.itemsize
    spectrum = down.rows * z.row * number
    weights = points * down.N * (2 * p.itemsize if z.shared else number)
    # Weights of a block of planes come again for each image, and a spectrum leaves L2 between rows and columns.
    fetched = lines_beyond_l2(weights, weights * blocks + spectrum, items / (1 if z.shared else z.tiles))
    left = lines_beyond_l2(spectrum, spectrum + (0 if z.shared else weights), 4 * items)
    counts = {
        "operations": items * (rows * line_operations(across, True) + points * 2 * line_operations(down, False)) / 2
        + 2.0 * items * points * down.N,
        "numbers": float(items * (rows * across.half * 2 + points * 4 * down.N)),
        "pixels gathered": float(items * down.live * ceil_div(across.live, lanes)),
        "pixels scattered": float(items * down.outputs * ceil_div(across.outputs, lanes)),
        "rows": float(items * rows),
        "columns": float(items * points),
        "items": float(items),
        "spectrum from L3": left.l3 + left.memory,
        "weights from L3": fetched.l3,
        "weights from memory": fetched.memory,
        "lines padded": p.mb * p.ic * p.ih * p.iw * p.itemsize / LINE_BYTES if z.shared else 0.0,
        "calls": 1.0,
        **lines_of_layer(p),
    }
    return Amounts("planes", counts, longest_share(items, threads))
