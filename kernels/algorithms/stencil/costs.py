"""Amounts of the stencils: loops over planes, pixels in vectors."""

from __future__ import annotations

from kernels.algorithms.stencil.tile import Stencil
from kernels.costs.amounts import LINE_BYTES, Amounts, ceil_div, lines_beyond_l2, lines_of_layer, longest_share
from kernels.machine.cpu import cache_bytes
from kernels.problem import Conv2dProblem

__all__ = ["stencil_amounts"]

#: Time of a tile of half vectors, in that of a whole one.
_HALF = 0.6

#: Input channels per group from which on a stencil's costs are counted apart.
_DENSE = 3


def stencil_amounts(p: Conv2dProblem, whole: Stencil, rest: Stencil, columns: int, threads: int) -> Amounts:
    """Of the loops in `kernels.algorithms.stencil.loops`: ``whole`` tiles cover ``columns``, ``rest`` what is left."""
    OCG, ICG = p.oc // p.g, p.ic // p.g
    blocks = ceil_div(OCG, whole.OCB)
    strips = p.mb * p.g * blocks * ceil_div(p.oh, whole.R)
    across = [
        (count, s, _HALF if s.is_half else 1.0)
        for count, s in ((columns // whole.NR, whole), (ceil_div(p.ow - columns, rest.NR), rest))
    ]
    tiles = strips * sum(count * share for count, _, share in across)
    source = ICG * p.ih * p.iw * p.itemsize
    lines = sum(strips * count * ICG * s.source_rows * len(s.loads) * share for count, s, share in across)
    again = lines_beyond_l2(p.mb * p.ic * p.ih * p.iw * p.itemsize, source, blocks - 1)
    rows_under = ICG * whole.source_rows * p.iw * p.itemsize
    counts = {
        "multiply-adds": strips * ICG * sum(count * s.work * share for count, s, share in across),
        "waits": strips * ICG * sum(count * max(0, s.cycles - s.work) * share for count, s, share in across),
        "pixel loads": float(lines),
        # Of a row of taps, which no row of pixels beside it uses again: loads alone keep it waiting.
        "loads of single rows": float(lines) if p.kh == 1 and p.kw > 1 else 0.0,
        "shifts and picks": strips * ICG * sum(count * s.source_rows * s.picks * share for count, s, share in across),
        "pixel loads from L2": float(lines) if rows_under > cache_bytes(1) else 0.0,
        "channels of tiles": tiles * ICG,
        "planes": float(p.mb * p.ic * blocks),
        "tiles": tiles,
        "result vectors": strips * sum(count * s.OCB * s.R * s.NV for count, s, _ in across),
        "source again from L3": again.l3,
        "source again from memory": again.memory,
        "lines copied": 0.0 if whole.masked else p.mb * p.ic * p.ih * p.iw * p.itemsize / LINE_BYTES,
        "calls": 1.0,
        **lines_of_layer(p),
    }
    # With many channels, taps come from L2, and every block of channels reads the source.
    return Amounts("stencil" if ICG < _DENSE else "dense stencil", counts, longest_share(strips, threads))
