"""Amounts of the long stencil."""

from __future__ import annotations

from collections.abc import Sequence

from kernels.algorithms.long_stencil.tile import Rows, chunks_of, idle_slots, is_along
from kernels.costs.amounts import LINE_BYTES, Amounts, lines_of_layer, longest_share
from kernels.machine.cpu import lanes_of
from kernels.problem import Conv2dProblem

__all__ = ["long_amounts"]

#: Input channels per group up to which the counts were compared with times.
_MOST_COUNTED = 16


def long_amounts(
    p: Conv2dProblem, rows: Rows, taps: int, columns: Sequence[int], strips: int, threads: int
) -> Amounts | None:
    """Of the loops in `kernels.algorithms.long_stencil.loops`; ``columns`` is how many kernel columns each tile has."""
    if p.ic // p.g > _MOST_COUNTED:
        return None
    lanes = lanes_of(p.dtype)
    planes, channels = p.mb * p.oc, p.mb * p.oc * (p.ic // p.g)
    tiles = chunks = work = 0
    idle = 0.0
    for R, first in _tops(p, rows):
        tiles += 1
        for taps_here in _live_chunks(p, taps, R, first):
            chunks += 1
            work += R * taps_here
            idle += idle_slots(R, taps_here, lanes)
    across = sum(columns)
    copied = p.mb * p.ic * (p.oh * p.sh + p.kh * strips) * p.iw
    counts = {
        "multiply-adds": float(channels * work * across),
        "waits": float(channels * idle * across),
        "columns of chunks": float(channels * chunks * across),
        "chunks": float(channels * chunks * len(columns)),
        "tiles": float(planes * tiles * len(columns)),
        "lines copied": copied * p.itemsize / LINE_BYTES,
        "planes": float(p.mb * p.g * strips),
        "calls": 1.0,
        **lines_of_layer(p),
    }
    return Amounts("long stencil", counts, longest_share(p.mb * p.g * strips, threads))


def _tops(p: Conv2dProblem, rows: Rows) -> list[tuple[int, int]]:
    """Rows of each tile of a column, and the first one of them in the map."""
    if is_along(p):
        return [(rows.R, top) for top in range(p.oh)]
    D = p.dh if p.sh == 1 else 1
    found = []
    for part in range(min(D, p.oh)):
        height = (p.oh - part + D - 1) // D
        tops = [(rows.R, top) for top in range(0, height - height % rows.R, rows.R)]
        if height % rows.R:
            tops.append((rows.rest, height - rows.rest))
        found += [(R, part + top * D) for R, top in tops]
    return found


def _live_chunks(p: Conv2dProblem, taps: int, R: int, first: int) -> list[int]:
    """Kernel rows of each chunk that has a line in the source for some row of a tile."""
    if is_along(p):
        return chunks_of(p, taps)[0] if 0 <= first - p.ph < p.ih else []
    D, found = p.dh if p.sh == 1 else 1, []
    for phase, sizes in enumerate(chunks_of(p, taps)):
        row = 0
        for size in sizes:
            kh = phase + row * p.sh
            top = first * p.sh + kh * p.dh - p.ph
            last = top + ((R - 1) * p.sh * D if p.sh == 1 else (R - 1) * p.sh) + (size - 1) * p.sh * p.dh
            if top < p.ih and last >= 0:
                found.append(size)
            row += size
    return found
