"""Amounts of the stencils and of the filter along the height: loops over planes, pixels in vectors."""

from __future__ import annotations

from typing import Any

from kernels.costs.amounts import LINE_BYTES, Amounts, ceil_div, lines_beyond_l2, lines_of_layer, longest_share
from kernels.machine.cpu import cache_bytes
from kernels.machine.stencil import Stencil
from kernels.problem import Conv2dProblem

__all__ = ["filter_amounts", "stencil_amounts"]

#: Time of a tile of half vectors, in that of a whole one.
_HALF = 0.6


def stencil_amounts(p: Conv2dProblem, whole: Stencil, rest: Stencil, columns: int, threads: int) -> Amounts:
    """Of the loops in `kernels.algorithms.grouped`: ``whole`` tiles cover ``columns``, ``rest`` what is left."""
    OCG, ICG = p.oc // p.g, p.ic // p.g
    blocks = ceil_div(OCG, whole.OCB)
    strips = p.mb * p.g * blocks * ceil_div(p.oh, whole.R)
    across = (
        (columns // whole.NR, whole, 1.0),
        (ceil_div(p.ow - columns, rest.NR), rest, _HALF if rest.lanes < whole.lanes else 1.0),
    )
    tiles = strips * sum(count * share for count, _, share in across)
    source = ICG * p.ih * p.iw * p.itemsize
    lines = sum(strips * count * ICG * s.source_rows * len(s.loads) for count, s, _ in across)
    again = lines_beyond_l2(p.mb * p.ic * p.ih * p.iw * p.itemsize, source, blocks - 1)
    rows_under = ICG * whole.source_rows * p.iw * p.itemsize
    counts = {
        "multiply-adds": strips * ICG * sum(count * s.work * share for count, s, share in across),
        "waits": strips * ICG * sum(count * max(0, s.cycles - s.work) * share for count, s, share in across),
        "pixel loads": float(lines),
        "shifts and picks": float(sum(strips * count * ICG * _picks(s) for count, s, _ in across)),
        "pixel loads from L2": float(lines) if rows_under > cache_bytes(1) else 0.0,
        "channels of tiles": tiles * ICG,
        "planes": float(p.mb * p.ic * blocks),
        "tiles": tiles,
        "result vectors": strips * sum(count * s.OCB * s.R * s.NV for count, s, _ in across),
        "source again from L3": again.l3,
        "source again from memory": again.memory,
        "padded lines": 0.0 if whole.masked else p.mb * p.ic * p.ih * p.iw * p.itemsize / LINE_BYTES,
        "calls": 1.0,
        **lines_of_layer(p),
    }
    return Amounts("stencil", counts, longest_share(strips, threads))


def _picks(s: Stencil) -> int:
    """Vectors an input channel that are put together out of those that were loaded."""
    width = (s.U - 1) * s.SW + 1 + (s.KW - 1) * s.DW
    shared = s.SW > 1 or width <= s.lanes
    return s.source_rows * s.KW * s.NV if shared else 0


def filter_amounts(p: Conv2dProblem, c: Any, threads: int) -> Amounts:
    """Of the loops in `kernels.algorithms.grouped_winograd`, c being its constants."""
    OCG, ICG, h = p.oc // p.g, p.ic // p.g, c.whole
    strips, blocks = p.mb * p.g * ceil_div(p.oh, c.M), ceil_div(OCG, c.OCB)
    half = c.rest.lanes < c.LANES
    vectors = c.WHOLE // c.LANES + ceil_div(p.ow - c.WHOLE, c.REST) * (_HALF if half else 1.0)
    tiles = strips * blocks * vectors
    loads = tiles * ICG * h.n * h.KW
    rows = ICG * c.N * c.WS * p.itemsize
    weights = p.g * blocks * ICG * c.TAPS * p.itemsize
    read = lines_beyond_l2(weights, weights, p.mb * strips / max(1, p.mb * p.g))
    counts = {
        "multiply-adds": loads * h.OCB,
        "waits": tiles * ICG * h.KW * max(0, 8 - h.n * h.OCB),
        "pixel loads": loads,
        "pixel loads from L2": loads if rows > cache_bytes(1) * 3 // 4 else 0.0,
        "rows transformed": strips * ICG * c.WS / c.LANES * c.N,
        "result vectors": tiles * h.OCB * h.m,
        "tiles": tiles,
        "weights from L2": strips * blocks * vectors * ICG * c.TAPS * p.itemsize / LINE_BYTES
        if weights > 16384
        else 0.0,
        "weights from L3": read.l3,
        "weights from memory": read.memory,
        "calls": 1.0,
        **lines_of_layer(p),
    }
    return Amounts("filter", counts, longest_share(strips, threads))
