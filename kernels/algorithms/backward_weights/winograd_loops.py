"""The loops of backward weights by minimal filtering.

dW = A^T [ sum over tiles of (G dy G^T) * (B^T x B) ] A, see `kernels.algorithms.backward_weights.winograd`.

Layout: X [point][vector of ic][tile][lanes] and D [point][panel of oc][tile][NR], of all groups and the tiles of a
block; M [point][panel of oc][ic][NR], of the channels of an item. From point to point is an odd number of cache lines.
The tiles of a block stand in this order: whole ones, short across only, short down only, short both ways. A short tile
has fewer gradients, and the first ones of the points.
Loops, outside in: block of tile rows of all images; then (threads meet in between) vectors of channels and tile rows,
which are transformed; items, which are blocks of oc and ic of a group; points; panels of oc; panels of ic; tiles.
Caches: X and D of a block stay in L2, or, if there are so many channels that M of all items is what is moved most, in
the last cache; of one block M of an item stays in L2.
A row of tiles is gathered as a whole, though both sides of its transform then leave L1 on large maps: short pieces of
many planes are what neither the hardware's streams nor the TLB follow.
Sums: one after the other within a block, then the blocks, in an order that does not depend on threads.
"""

from __future__ import annotations

from typing import NamedTuple

from kernels.machine.microkernel import call, macrokernel
from kernels.machine.parallel import share_of
from kernels.machine.target import inner

__all__ = ["FIELDS", "Sizes", "loops"]


class Sizes(NamedTuple):
    """Every extent that the loops need, in elements."""

    MB: int
    G: int
    IC: int
    OC: int
    ICG: int
    OCG: int
    IH: int
    IW: int
    OH: int
    OW: int
    PH: int
    PW: int
    KH: int
    KW: int
    LANES: int
    MR: int
    NR: int
    TILE_H: int  # gradients of a whole tile
    TILE_W: int
    TH: int  # tiles down
    TW: int
    FULL_TH: int  # tiles down that are not short
    FULL_TW: int
    R: int  # points down a column of a whole tile
    C: int
    SHORT_R: int  # points down a column of a short tile
    SHORT_C: int
    BLOCKS: int  # blocks of tile rows
    T: int  # tiles of a block at most
    WX: int  # columns of the source under a row of tiles, whole vectors
    WD: int  # the same of gradients
    IVECTORS: int  # vectors of ic of a group
    OVECTORS: int
    PANELS: int  # panels of oc
    XSTEP: int  # from a point to the next in X
    DSTEP: int
    MSTEP: int
    ICB: int  # ic of an item, whole vectors
    PB: int  # panels of oc of an item
    IBLOCKS: int
    OBLOCKS: int
    HAS_BIAS: int


#: What else is in the record: sizes in bytes and elements, addresses of microkernels, and of arrays.
FIELDS = (
    *Sizes._fields,
    "ITEM", "WORD", "LOCAL", "MID", "SUMS", "M_BYTES", "gather", "products", "store", "sum_plane",
    "x_down", "x_across", "x_short_down", "x_short_across", "d_down", "d_across", "d_short_down", "d_short_across",
    "out_down", "out_across", "zero", "columns", "places_x", "places_d", "sums", "mids", "taps", "local", "X", "D", "M",
)  # fmt: skip


@macrokernel(FIELDS)
def loops(z, step, part, parts):
    """Steps are numbered over (block of tile rows, transforms or products)."""
    block = step // 2
    first, end = share_of(z.MB * z.TH, block, z.BLOCKS)
    rows, full = end - first, _full_rows(z, end) - _full_rows(z, first)
    # Tiles of each kind.
    short = z.TW - z.FULL_TW
    whole, across, down, both = full * z.FULL_TW, full * short, (rows - full) * z.FULL_TW, (rows - full) * short
    if step % 2 == 0:
        vectors = z.IVECTORS + z.OVECTORS
        begin, end = share_of(z.G * vectors * rows, part, parts)
        for item in range(begin, end):
            _to_points(
                z, part, item // rows // vectors, item // rows % vectors, first, item % rows, whole, across, down
            )
    else:
        is_first, is_last = block == 0, block + 1 == z.BLOCKS
        begin, end = share_of(z.G * z.OBLOCKS * z.IBLOCKS, part, parts)
        for item in range(begin, end):
            oblock, ic = item // z.IBLOCKS, item % z.IBLOCKS * z.ICB
            g, panel = oblock // z.OBLOCKS, oblock % z.OBLOCKS * z.PB
            panels, channels = min(z.PB, z.PANELS - panel), min(z.ICB, z.ICG - ic)
            M = z.M + (part if z.BLOCKS == 1 else item) * z.M_BYTES
            _multiply(z, g, panel, panels, ic, channels, M, is_first, whole, across, down, both)
            if is_last:
                _to_taps(z, part, g, panel, panels, ic, channels, M)
        if z.HAS_BIAS and is_last:
            OHW = z.OH * z.OW
            begin, end = share_of(z.OC, part, parts)
            for oc in range(begin, end):
                to = z.dst + (z.OC * z.ICG * z.KH * z.KW + oc) * z.ITEM
                local = z.local + part * z.LOCAL * z.ITEM
                call(z.sum_plane, (z.residual + oc * OHW * z.ITEM, z.MB, z.OC * OHW, OHW, local, to))


@inner
def _full_rows(z, row):
    """Tile rows before number ``row`` of all images that are not short: the last of an image may be."""
    return row // z.TH * z.FULL_TH + min(row % z.TH, z.FULL_TH)


@inner
def _to_points(z, part, g, vector, first, row, whole, across, down):
    """Points of a row of tiles, number ``row`` of a block, of a vector of channels of X, or behind those of D."""
    local = z.local + part * z.LOCAL * z.ITEM
    mid = local + z.MID * z.ITEM
    n, th = (first + row) // z.TH, (first + row) % z.TH
    full = _full_rows(z, first + row) - _full_rows(z, first)
    is_short = th == z.FULL_TH
    points, taken = (z.SHORT_R, z.OH - th * z.TILE_H) if is_short else (z.R, z.TILE_H)
    # Where the tiles of the row stand in the block, and the one that is short across.
    tile, last = full * z.FULL_TW, whole + full * (z.TW - z.FULL_TW)
    if is_short:
        tile = whole + across + (row - full) * z.FULL_TW
        last = whole + across + down + (row - full) * (z.TW - z.FULL_TW)
    if vector < z.IVECTORS:
        oc, IH, IW, PH, PW = vector * z.LANES, z.IH, z.IW, z.PH, z.PW
        plane = z.src + (n * z.IC + g * z.ICG + oc) * IH * IW * z.ITEM
        live, width, halo, wide = min(z.LANES, z.ICG - oc), z.WX, z.KH - 1, z.KW - 1
        to, places, apart = z.X + (g * z.IVECTORS + vector) * z.T * z.LANES * z.ITEM, z.places_x, z.XSTEP
        kernel, along, short_along = z.x_short_down if is_short else z.x_down, z.x_across, z.x_short_across
    else:
        oc, IH, IW, PH, PW = (vector - z.IVECTORS) * z.LANES, z.OH, z.OW, 0, 0
        plane = z.residual + (n * z.OC + g * z.OCG + oc) * IH * IW * z.ITEM
        live, width, halo, wide = min(z.LANES, z.OCG - oc), z.WD, 0, 0
        panel = g * z.PANELS + oc // z.NR
        to, places, apart = z.D + (panel * z.T * z.NR + oc % z.NR) * z.ITEM, z.places_d, z.DSTEP
        kernel, along, short_along = z.d_short_down if is_short else z.d_down, z.d_across, z.d_short_across
    line = width * z.LANES
    call(z.gather, (plane, IH, IW, th * z.TILE_H - PH, taken + halo, PW, live, local, width, 1, 1, 0, 1))
    call(kernel, (local, z.zero, z.LANES, line, 0, mid, z.zero, z.LANES, line, 0, 1, z.OW + wide))
    at = places + tile * z.WORD
    call(along, (mid, z.columns, line, z.LANES, 0, to, at, z.C * apart, apart, 0, z.FULL_TW, points))
    if z.FULL_TW < z.TW:
        corner, at = z.columns + z.FULL_TW * z.WORD, places + last * z.WORD
        call(short_along, (mid, corner, line, z.LANES, 0, to, at, z.C * apart, apart, 0, 1, points))


@inner
def _multiply(z, g, panel, panels, ic, channels, M, is_first, whole, across, down, both):
    """Add the products of a block to M of an item, or begin it."""
    tiles = (channels + z.MR - 1) // z.MR
    for f in range(z.R * z.C):
        count, second, more = whole, 0, 0
        if f % z.C < z.SHORT_C:
            count += across
            if f // z.C < z.SHORT_R:
                count += down + both
        elif f // z.C < z.SHORT_R:
            second, more = whole + across, down
        X = z.X + (f * z.XSTEP + (g * z.IVECTORS * z.LANES + ic) * z.T) * z.ITEM
        D = z.D + (f * z.DSTEP + (g * z.PANELS + panel) * z.T * z.NR) * z.ITEM
        for q in range(panels):
            sums = M + (f * z.MSTEP + q * z.ICB * z.NR) * z.ITEM
            d = D + q * z.T * z.NR * z.ITEM
            call(z.products, (X, z.T * z.LANES, z.LANES, tiles, d, count, second, more, sums, 1 if is_first else 0))


@inner
def _to_taps(z, part, g, panel, panels, ic, channels, M):
    """The weights of an item, from M of all tiles."""
    local, TAPS = z.local + part * z.LOCAL * z.ITEM, z.KH * z.KW
    sums = local + z.SUMS * z.ITEM
    for q in range(panels):
        oc = (panel + q) * z.NR
        live = min(z.NR, z.OCG - oc)
        for c in range(0, channels, z.LANES):
            taken = min(z.LANES, channels - c)
            for v in range(0, live, z.LANES):
                at, line = M + ((q * z.ICB + c) * z.NR + v) * z.ITEM, z.C * z.LANES
                call(z.out_down, (at, z.sums, z.MSTEP, z.C * z.MSTEP, 0, local, z.mids, z.LANES, line, 0, taken, z.C))
                to = sums + v * z.ITEM
                call(z.out_across, (local, z.mids, line, z.LANES, 0, to, z.taps, z.KW * z.NR, z.NR, 0, taken, z.KH))
            to = z.dst + ((g * z.OCG + oc) * z.ICG + ic + c) * TAPS * z.ITEM
            call(z.store, (sums, taken * TAPS, to, z.ICG * TAPS, live))
