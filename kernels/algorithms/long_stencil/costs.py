"""Amounts of the long stencil."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

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
    heights, firsts = _tiles(p, rows)
    sizes, live = _live_chunks(p, taps, heights, firsts)
    tiles, chunks = len(heights), int(live.sum())
    work = float((live * heights[:, None] * sizes).sum())
    waits = np.array([[idle_slots(int(R), int(size), lanes) for size in sizes] for R in (rows.R, rows.rest or rows.R)])
    idle = float((live * waits[(heights != rows.R).astype(int)]).sum())
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


def _tiles(p: Conv2dProblem, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Rows of each tile of a column, and the first one of them in the map."""
    if is_along(p):
        return np.full(p.oh, rows.R), np.arange(p.oh)
    D = p.dh if p.sh == 1 else 1
    heights, firsts = [], []
    for part in range(min(D, p.oh)):
        height = (p.oh - part + D - 1) // D
        tops = np.arange(0, height - height % rows.R, rows.R)
        if height % rows.R:
            tops = np.append(tops, height - rows.rest)
        found = np.full(len(tops), rows.R)
        found[height // rows.R :] = rows.rest
        heights.append(found)
        firsts.append(part + tops * D)
    return np.concatenate(heights), np.concatenate(firsts)


def _live_chunks(p: Conv2dProblem, taps: int, heights: np.ndarray, firsts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Kernel rows of each chunk, and which chunks have a line in the source for some row of each tile."""
    sizes = np.array([size for phase in chunks_of(p, taps) for size in phase])
    if is_along(p):
        there = (firsts >= p.ph) & (firsts < p.ih + p.ph)
        return sizes, np.repeat(there[:, None], len(sizes), axis=1)
    begins = []
    for phase, found in enumerate(chunks_of(p, taps)):
        begins += [phase + row * p.sh for row in np.cumsum([0, *found[:-1]])]
    top = (firsts * p.sh - p.ph)[:, None] + np.array(begins) * p.dh
    step = p.sh * (p.dh if p.sh == 1 else 1)
    last = top + (heights[:, None] - 1) * step + (sizes - 1) * p.sh * p.dh
    return sizes, (top < p.ih) & (last >= 0)
