"""Max-pool of planes: rows are merged into one, whose neighbours are then merged.

Layout: planes as they are, NCHW; one row of scratch a thread, [PW + IW + PW and vectors behind],
with the least number on both sides. Loops, outside in: plane, output row (these two number the
items that threads take); vectors of the KH source rows into the scratch; vectors of output from
it. The scratch is in L1, so a source row is read once for every output row that it is under, from
wherever the source is: the kernel is made to run right behind what wrote it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import prange

from kernels.epilogue import Epilogue
from kernels.machine.jit import inner, kernel, parallel_kernel, share_of
from kernels.machine.maximum import Window, tile_maximum, tile_window
from kernels.machine.static import number
from kernels.machine.tile_memory import tile_load, tile_load_partial, tile_store, tile_store_partial
from kernels.machine.tile_shape import TileShape

__all__ = ["PoolCodes", "PoolSizes", "pool_parallel", "pool_serial"]


class PoolCodes(NamedTuple):
    """What the kernels are specialised by."""

    vector: TileShape
    window: Window
    KH: int
    epilogue: Epilogue  # of nothing: what stores a part of a vector takes one


class PoolSizes(NamedTuple):
    """Every extent that the kernels need."""

    IH: int
    IW: int
    OH: int
    OW: int
    KH: int
    SH: int
    SW: int
    PH: int
    PW: int
    LANES: int


@inner
def _merged(c, src, at, step, rows):
    """The greatest of vectors ``at`` of ``rows`` rows."""
    tile = tile_load(c.vector, src, at, 0)
    for _ in range(1, rows):
        at += step
        tile = tile_maximum(tile, tile_load(c.vector, src, at, 0))
    return tile


@inner
def _merged_narrow(c, src, at, step, rows, columns):
    """As `_merged`, of rows that are shorter than a vector."""
    tile = tile_load_partial(c.vector, src, at, 0, 1, 0, columns)
    for _ in range(1, rows):
        at += step
        tile = tile_maximum(tile, tile_load_partial(c.vector, src, at, 0, 1, 0, columns))
    return tile


@inner
def _rows(c, z, begin, end, src, dst, row):
    """Output rows ``begin`` to ``end`` of all planes."""
    for i in range(z.PW):
        row[i] = -np.inf
    plane, oh = begin // z.OH, begin % z.OH
    for item in range(begin, end):
        top = oh * z.SH - z.PH
        first = max(0, top)
        count = min(z.IH, top + z.KH) - first
        at = (plane * z.IH + first) * z.IW
        if z.IW < z.LANES:
            tile_store(_merged_narrow(c, src, at, z.IW, count, z.IW), row, z.PW, 0)
        elif count == z.KH:
            # As many as nearly always, and a number that is known: the loop over rows is none.
            for iw in range(0, z.IW, z.LANES):
                # The last vector reaches back, so that it is whole.
                column = min(iw, z.IW - z.LANES)
                tile_store(_merged(c, src, at + column, z.IW, number(c.KH)), row, z.PW + column, 0)
        else:
            for iw in range(0, z.IW, z.LANES):
                column = min(iw, z.IW - z.LANES)
                tile_store(_merged(c, src, at + column, z.IW, count), row, z.PW + column, 0)
        for i in range(z.PW):
            row[z.PW + z.IW + i] = -np.inf
        for ow in range(0, z.OW, z.LANES):
            out, live = item * z.OW + ow, z.OW - ow
            tile_store_partial(tile_window(c.window, row, ow * z.SW), dst, out, 0, 1, live, c.epilogue, dst)
        # Counted rather than divided: a division takes as long as a vector of windows.
        oh += 1
        if oh == z.OH:
            plane, oh = plane + 1, 0


@kernel
def pool_serial(c, z, parts, items, src, dst, row):
    """All ``items`` output rows of all planes."""
    _rows(c, z, 0, items, src, dst, row[0])


@parallel_kernel
def pool_parallel(c, z, parts, items, src, dst, row):
    """As `pool_serial`, on ``parts`` threads."""
    for part in prange(parts):
        begin, end = share_of(items, part, parts)
        _rows(c, z, begin, end, src, dst, row[part])
