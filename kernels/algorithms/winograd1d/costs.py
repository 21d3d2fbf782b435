"""Amounts of the filter along the height: loops over planes, pixels in vectors."""

from __future__ import annotations

from kernels.algorithms.winograd1d.filter import HeightFilter
from kernels.costs.amounts import LINE_BYTES, Amounts, ceil_div, lines_beyond_l2, lines_of_layer, longest_share
from kernels.machine.cpu import cache_bytes
from kernels.problem import Conv2dProblem

__all__ = ["filter_amounts"]

#: Time of a tile of half vectors, in that of a whole one.
_HALF = 0.6


def filter_amounts(
    p: Conv2dProblem, h: HeightFilter, rest: HeightFilter, columns: int, WS: int, threads: int
) -> Amounts:
    """Of the loops in `kernels.algorithms.winograd1d.loops`: ``h`` covers ``columns``, ``rest`` what is left."""
    OCG, ICG, N = p.oc // p.g, p.ic // p.g, h.n * p.sw
    strips, blocks = p.mb * p.g * ceil_div(p.oh, h.m * h.PACK), ceil_div(OCG, h.OCB)
    half = rest.lanes < h.lanes
    vectors = columns // h.lanes + ceil_div(p.ow - columns, rest.lanes) * (_HALF if half else 1.0)
    tiles = strips * blocks * vectors
    loads = tiles * ICG * h.n * h.KW
    rows = ICG * N * WS * p.itemsize
    weights = p.g * blocks * ICG * h.TAPS * p.itemsize
    read = lines_beyond_l2(weights, weights, p.mb * strips / max(1, p.mb * p.g))
    counts = {
        "multiply-adds": loads * h.OCB,
        "waits": tiles * ICG * h.KW * max(0, 8 - h.n * h.OCB),
        "pixel loads": loads,
        "pixel loads from L2": loads if rows > cache_bytes(1) * 3 // 4 else 0.0,
        "rows transformed": strips * ICG * WS / h.lanes * N,
        "result vectors": tiles * h.OCB * h.m,
        "tiles": tiles,
        "weights from L2": strips * blocks * vectors * ICG * h.TAPS * p.itemsize / LINE_BYTES
        if weights > 16384
        else 0.0,
        "weights from L3": read.l3,
        "weights from memory": read.memory,
        "calls": 1.0,
        **lines_of_layer(p),
    }
    return Amounts("filter", counts, longest_share(strips, threads))
