"""Winograd's minimal filtering of backward weights: the taps are the outputs.

Versions, F(m, r) for m taps and r gradients a tile and dimension, of kernels that are not strided or dilated; a dimension
of one tap is left as it is:

- ``bwd_w_f3x4``: 6x6 points, 4 times fewer multiplications than the sum has, in one dimension 2 times.
- ``bwd_w_f5x4``: 8x8 points, 6.2 times fewer, in one dimension 2.5 times.
- ``bwd_w_f7x4``: 1x7 and 7x1 kernels, 10 points, 2.8 times fewer.

Points are rationals, chosen by measuring errors: over sums of 400 tiles, F(3x3, 4x4) errs 1.3 times as much as a direct
sum in float32, F(5x5, 4x4) 5 times, F(7, 4) 5 times.

A row of taps is the correlation of a row of the source with one of gradients, cut into tiles of r gradients. Of F(m, r)
the "kernel" is then the tile of gradients and the m outputs are the taps:

dW = A^T [ sum over tiles of (G dy G^T) * (B^T x B) ] A

The sum over tiles of all images is inside the brackets, so that a product is a matrix product at every point of the
transform, and the inverse transform is done once per pair of channels. Source: Lavin and Gray, "Fast Algorithms for
Convolutional Neural Networks" (2015), section 4.1, and Blahut, "Fast Algorithms for Signal Processing" (2010),
chapter 5.

Layout: X [point][vector of ic][tile][lanes] and D [point][panel of oc][tile][NR], of all groups and the tiles of a
block; M [point][panel of oc][ic][NR], of the channels of an item. From point to point is an odd number of cache lines.
The tiles of a block stand in this order: whole ones, short across only, short down only, short both ways. A short tile
has fewer gradients, and the first ones of the points.
Loops, outside in: block of tile rows of all images; then (threads meet in between) vectors of channels and tile rows,
which are transformed; items, which are blocks of oc and ic of a group; points; panels of oc; panels of ic; tiles.
Caches: X and D of a block stay in L2, or, if there are so many channels that M of all items is what is moved most, in
the last cache; of one block M of an item stays in L2.
Sums: one after the other within a block, then the blocks, in an order that does not depend on threads.
"""

from __future__ import annotations

import functools
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from kernels.algorithms.backward_weights.costs import winograd_amounts
from kernels.algorithms.backward_weights.microkernel import PanelSpec, TileSpec, store_weights, sum_points
from kernels.algorithms.backward_weights.taps import VectorSpec, sum_plane
from kernels.algorithms.cook_toom import transform_matrices, with_negatives
from kernels.algorithms.transform.phases import GatherSpec, LinesSpec, gather, lines
from kernels.costs.amounts import Amounts, ceil_div
from kernels.machine.cpu import LINE_BYTES, cache_bytes, lanes_of, vector_registers
from kernels.machine.matrix_codelet import MatrixCodelet, matrix_codelet
from kernels.machine.microkernel import call, macrokernel
from kernels.machine.parallel import Launch, address_of, share_of
from kernels.machine.tile_shape import TileShape
from kernels.problem import Conv2dProblem
from kernels.registry import Run, Scratch, Setup, algorithm

#: X and D of a block take as much as L2, and at least so much of all M, which is read and written once per block.
_BLOCK_OF_SUMS = 0.33
#: What both sides of a transform may take of L1.
_MIDDLE = 0.8
#: What M of an item may take of L2, and the most channels of its sides.
_ITEM_OF_L2 = 0.6
_ITEM_CHANNELS = 64
#: Items per thread that make shares even enough.
_ITEMS = 4


class _Sizes(NamedTuple):
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
    ROWS: int  # tile rows of a block at most
    BLOCKS: int  # blocks of tile rows
    T: int  # tiles of a block at most
    CHUNK: int  # tiles of a row that are transformed at a time
    WX: int  # columns of the source under those, whole vectors
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
_ELSE = (
    "ITEM", "WORD", "LOCAL", "MID", "SUMS", "M_BYTES", "gather", "products", "store", "sum_plane",
    "x_down", "x_across", "x_short_down", "x_short_across", "d_down", "d_across", "d_short_down", "d_short_across",
    "out_down", "out_across", "zero", "columns", "places_x", "places_d", "sums", "mids", "taps", "local", "X", "D", "M",
)  # fmt: skip


@macrokernel((*_Sizes._fields, *_ELSE))
def _blocks(z, step, part, parts):
    """Steps are numbered over (block of tile rows, transforms or products)."""
    is_products, block = step % 2, step // 2
    local = z.local + part * z.LOCAL * z.ITEM
    mid = local + z.MID * z.ITEM
    # Tile rows are numbered over images; of those before one, FULL_TH of TH are whole.
    first_row, end_row = share_of(z.MB * z.TH, block, z.BLOCKS)
    full_before = first_row // z.TH * z.FULL_TH + min(first_row % z.TH, z.FULL_TH)
    full_rows = end_row // z.TH * z.FULL_TH + min(end_row % z.TH, z.FULL_TH) - full_before
    rows = end_row - first_row
    whole, across = full_rows * z.FULL_TW, full_rows * (z.TW - z.FULL_TW)
    down, both = (rows - full_rows) * z.FULL_TW, (rows - full_rows) * (z.TW - z.FULL_TW)
    if not is_products:
        begin, end = share_of(z.G * (z.IVECTORS + z.OVECTORS) * rows, part, parts)
        for item in range(begin, end):
            vector, row = item // rows % (z.IVECTORS + z.OVECTORS), first_row + item % rows
            g = item // rows // (z.IVECTORS + z.OVECTORS)
            n, th = row // z.TH, row % z.TH
            full = n * z.FULL_TH + min(th, z.FULL_TH) - full_before
            is_short = th == z.FULL_TH
            points = z.SHORT_R if is_short else z.R
            first, last = full * z.FULL_TW, whole + full * (z.TW - z.FULL_TW)
            if is_short:
                number = row - first_row - full
                first = whole + across + number * z.FULL_TW
                last = whole + across + down + number * (z.TW - z.FULL_TW)
            taken = z.OH - th * z.TILE_H if is_short else z.TILE_H
            is_source = vector < z.IVECTORS
            if is_source:
                at = (n * z.IC + g * z.ICG + vector * z.LANES) * z.IH * z.IW
                plane, live, width, more = z.src + at * z.ITEM, z.ICG - vector * z.LANES, z.WX, z.KW - 1
                to, places, apart = z.X + (g * z.IVECTORS + vector) * z.T * z.LANES * z.ITEM, z.places_x, z.XSTEP
                kernel, along, short_along = z.x_short_down if is_short else z.x_down, z.x_across, z.x_short_across
            else:
                v = (vector - z.IVECTORS) * z.LANES
                at = (n * z.OC + g * z.OCG + v) * z.OH * z.OW
                plane, live, width, more = z.residual + at * z.ITEM, z.OCG - v, z.WD, 0
                panel = g * z.PANELS + v // z.NR
                to, places, apart = z.D + (panel * z.T * z.NR + v % z.NR) * z.ITEM, z.places_d, z.DSTEP
                kernel, along, short_along = z.d_short_down if is_short else z.d_down, z.d_across, z.d_short_across
            line, live = width * z.LANES, min(z.LANES, live)
            for tw in range(0, z.TW, z.CHUNK):
                ow = tw * z.TILE_W
                if is_source:
                    call(
                        z.gather,
                        (
                            plane, z.IH, z.IW, th * z.TILE_H - z.PH, taken + z.KH - 1, z.PW - ow, live, local, width, 1,
                            1, 0, 1,
                        ),
                    )  # fmt: skip
                else:
                    call(z.gather, (plane, z.OH, z.OW, th * z.TILE_H, taken, -ow, live, local, width, 1, 1, 0, 1))
                columns = min(z.OW - ow, z.CHUNK * z.TILE_W) + more
                call(kernel, (local, z.zero, z.LANES, line, 0, mid, z.zero, z.LANES, line, 0, 1, columns))
                tiles = min(z.FULL_TW - tw, z.CHUNK)
                call(
                    along,
                    (
                        mid, z.columns, line, z.LANES, 0, to, places + (first + tw) * z.WORD, z.C * apart, apart, 0,
                        tiles, points,
                    ),
                )  # fmt: skip
                if tw + tiles < min(z.TW, tw + z.CHUNK):
                    call(
                        short_along,
                        (
                            mid, z.columns + tiles * z.WORD, line, z.LANES, 0, to, places + last * z.WORD,
                            z.C * apart, apart, 0, 1, points,
                        ),
                    )  # fmt: skip
    else:
        begin, end = share_of(z.G * z.OBLOCKS * z.IBLOCKS, part, parts)
        for item in range(begin, end):
            oblock, iblock = item // z.IBLOCKS % z.OBLOCKS, item % z.IBLOCKS
            g = item // z.IBLOCKS // z.OBLOCKS
            M = z.M + (part if z.BLOCKS == 1 else item) * z.M_BYTES
            panel0, ic0 = oblock * z.PB, iblock * z.ICB
            panels, channels = min(z.PB, z.PANELS - panel0), min(z.ICB, z.ICG - ic0)
            rows_of_tiles = (channels + z.MR - 1) // z.MR
            for f in range(z.R * z.C):
                has_down, has_across = f // z.C < z.SHORT_R, f % z.C < z.SHORT_C
                count, second, more = whole, 0, 0
                if has_across:
                    count += across
                    if has_down:
                        count += down + both
                elif has_down:
                    second, more = whole + across, down
                x = z.X + (f * z.XSTEP + (g * z.IVECTORS * z.LANES + ic0) * z.T) * z.ITEM
                for panel in range(panels):
                    d = z.D + (f * z.DSTEP + (g * z.PANELS + panel0 + panel) * z.T * z.NR) * z.ITEM
                    to = M + (f * z.MSTEP + panel * z.ICB * z.NR) * z.ITEM
                    call(
                        z.products,
                        (x, z.T * z.LANES, z.LANES, rows_of_tiles, d, count, second, more, to, 1 if block == 0 else 0),
                    )
            if block + 1 < z.BLOCKS:
                continue
            for panel in range(panels):
                oc = (panel0 + panel) * z.NR
                live = min(z.NR, z.OCG - oc)
                for ic in range(0, channels, z.LANES):
                    taken = min(z.LANES, channels - ic)
                    for v in range(0, live, z.LANES):
                        at = M + ((panel * z.ICB + ic) * z.NR + v) * z.ITEM
                        call(
                            z.out_down,
                            (
                                at, z.sums, z.MSTEP, z.C * z.MSTEP, 0, local, z.mids, z.LANES, z.C * z.LANES, 0, taken,
                                z.C,
                            ),
                        )  # fmt: skip
                        call(
                            z.out_across,
                            (
                                local, z.mids, z.C * z.LANES, z.LANES, 0, local + (z.SUMS + v) * z.ITEM, z.taps,
                                z.KW * z.NR, z.NR, 0, taken, z.KH,
                            ),
                        )  # fmt: skip
                    at = ((g * z.OCG + oc) * z.ICG + ic0 + ic) * z.KH * z.KW
                    call(
                        z.store,
                        (
                            local + z.SUMS * z.ITEM, taken * z.KH * z.KW, z.dst + at * z.ITEM, z.ICG * z.KH * z.KW,
                            live,
                        ),
                    )  # fmt: skip
        if z.HAS_BIAS and block + 1 == z.BLOCKS:
            begin, end = share_of(z.OC, part, parts)
            for oc in range(begin, end):
                to = z.OC * z.ICG * z.KH * z.KW + oc
                grad = z.residual + oc * z.OH * z.OW * z.ITEM
                call(z.sum_plane, (grad, z.MB, z.OC * z.OH * z.OW, z.OH * z.OW, local, z.dst + to * z.ITEM))


class _Filter(NamedTuple):
    """F(m, r) and its points."""

    m: int
    r: int
    points: tuple[Fraction | int, ...]


class _Codelets(NamedTuple):
    """Of a side: into points of source and gradients, and out of them."""

    source: MatrixCodelet
    gradients: MatrixCodelet
    taps: MatrixCodelet


@functools.cache
def _codelets(f: _Filter, gradients: int) -> _Codelets:
    """For tiles of so many gradients, over the first points of ``f``; products of all tiles then have the same taps."""
    at, g, bt = transform_matrices(f.m, gradients, f.points[: f.m + gradients - 2])
    return _Codelets(matrix_codelet(bt), matrix_codelet(g), matrix_codelet(at))


def _sides(p: Conv2dProblem, f: _Filter) -> tuple[_Filter, _Filter]:
    """Down and across; one tap is no filter."""
    down, across = (f if taps > 1 else _Filter(1, 1, ()) for taps in (p.kh, p.kw))
    return down, across


def _apart(elements: int, itemsize: int) -> int:
    """At least so many elements that are an odd number of cache lines: powers of two fall into few sets of L1."""
    line = LINE_BYTES // itemsize
    return (-(-elements // line) | 1) * line


def _shape(p: Conv2dProblem) -> TileShape:
    """Rows are channels of the source and divide a vector."""
    lanes = lanes_of(p.dtype)
    NV = min(2, ceil_div(p.oc // p.g, lanes))
    rows = lanes
    while rows * NV + NV + 1 > (vector_registers() * 3 + 2) // 4 and rows > 1:
        rows //= 2
    return TileShape(rows, NV, lanes)


def _short(extent: int, f: _Filter) -> int:
    """Points of the last tile of so many gradients."""
    return f.m + (extent % f.r or f.r) - 1


@functools.lru_cache(maxsize=1024)
def _sizes(p: Conv2dProblem, f: _Filter, threads: int) -> _Sizes:
    (down, across), shape, lanes = _sides(p, f), _shape(p), lanes_of(p.dtype)
    R, C = (side.m + side.r - 1 for side in (down, across))
    ICG, OCG = p.ic // p.g, p.oc // p.g
    TH, TW = ceil_div(p.oh, down.r), ceil_div(p.ow, across.r)
    IVECTORS, OVECTORS, PANELS = ceil_div(ICG, lanes), ceil_div(OCG, lanes), ceil_div(OCG, shape.NR)
    tile_bytes = R * C * p.g * (IVECTORS * lanes + PANELS * shape.NR) * p.itemsize
    rows = max(1, p.mb * TH)
    # Neither sizes of items nor threads may change what is added to what.
    sum_bytes = R * C * p.g * IVECTORS * lanes * PANELS * shape.NR * p.itemsize
    near = max(cache_bytes(2), int(_BLOCK_OF_SUMS * sum_bytes))
    BLOCKS = min(rows, ceil_div(rows * TW * tile_bytes, near))
    ROWS = ceil_div(rows, BLOCKS)
    T = ROWS * TW
    # Both sides of a transform stay in L1.
    width = int(_MIDDLE * cache_bytes(1)) // (2 * R * lanes * p.itemsize) // lanes * lanes
    CHUNK = min(TW, max(1, (width - p.kw + 1) // across.r))
    columns = min(p.ow, CHUNK * across.r)
    most = max(lanes * shape.NR, int(_ITEM_OF_L2 * cache_bytes(2)) // (R * C * p.itemsize))
    ICB = min(IVECTORS * lanes, _ITEM_CHANNELS)
    PB = max(1, min(PANELS, _ITEM_CHANNELS // shape.NR))
    while ICB * PB * shape.NR > most and ICB > lanes:
        ICB = ceil_div(ICB // 2, lanes) * lanes
    # Few items leave threads idle.
    while threads > 1 and PB > 1 and p.g * ceil_div(PANELS, PB) * ceil_div(ICG, ICB) < _ITEMS * threads:
        PB = ceil_div(PB, 2)
    while threads > 1 and ICB > lanes and p.g * ceil_div(PANELS, PB) * ceil_div(ICG, ICB) < _ITEMS * threads:
        ICB = ceil_div(ICB // 2, lanes) * lanes
    return _Sizes(
        MB=p.mb, G=p.g, IC=p.ic, OC=p.oc, ICG=ICG, OCG=OCG, IH=p.ih, IW=p.iw, OH=p.oh, OW=p.ow, PH=p.ph, PW=p.pw,
        KH=p.kh, KW=p.kw, LANES=lanes, MR=shape.MR, NR=shape.NR, TILE_H=down.r, TILE_W=across.r, TH=TH, TW=TW,
        FULL_TH=p.oh // down.r, FULL_TW=p.ow // across.r, R=R, C=C, SHORT_R=_short(p.oh, down),
        SHORT_C=_short(p.ow, across), ROWS=ROWS, BLOCKS=BLOCKS, T=T,
        CHUNK=CHUNK, WX=ceil_div(columns + p.kw - 1, lanes) * lanes, WD=ceil_div(columns, lanes) * lanes,
        IVECTORS=IVECTORS,
        OVECTORS=OVECTORS, PANELS=PANELS, XSTEP=_apart(p.g * IVECTORS * T * lanes, p.itemsize),
        DSTEP=_apart(p.g * PANELS * T * shape.NR, p.itemsize), MSTEP=_apart(PB * ICB * shape.NR, p.itemsize), ICB=ICB, PB=PB,
        IBLOCKS=ceil_div(ICG, ICB), OBLOCKS=ceil_div(PANELS, PB), HAS_BIAS=int(p.bias),
    )  # fmt: skip


def _local(z: _Sizes) -> tuple[int, int, int]:
    """Elements of a thread's scratch; where the second side of a transform begins, and sums of taps."""
    pixels, mid = z.R * z.WX * z.LANES, z.R * z.WX * z.LANES
    taps, sums = z.LANES * z.KH * z.C * z.LANES, (z.LANES * z.KH * z.KW + z.LANES) * z.NR
    return max(pixels + mid, taps + sums), pixels, taps


def _scratch(f: _Filter, p: Conv2dProblem, threads: int) -> Scratch:
    z = _sizes(p, f, threads)
    points = z.R * z.C
    return {
        "local": (threads, _local(z)[0]),
        "X": (1, points * z.XSTEP),
        "D": (1, points * z.DSTEP),
        "M": (threads if z.BLOCKS == 1 else z.G * z.OBLOCKS * z.IBLOCKS, points * z.MSTEP),
    }


def _unsupported(f: _Filter, is_square: bool, p: Conv2dProblem) -> str | None:
    kernels = [f"{f.m}x{f.m}"] * is_square + [f"1x{f.m}", f"{f.m}x1"]
    if f"{p.kh}x{p.kw}" not in kernels:
        return f"the kernel is {p.kh}x{p.kw}, expected {' or '.join(kernels)}"
    if (p.sh, p.sw) != (1, 1):
        return f"the stride is {p.sh}x{p.sw}, expected 1x1"
    # One tap has no neighbours to be dilated from.
    if (p.kh > 1 and p.dh > 1) or (p.kw > 1 and p.dw > 1):
        return f"the dilation is {p.dh}x{p.dw}, expected 1x1"
    channels = min(p.ic, p.oc) // p.g
    return None if channels >= 4 else f"a group has {channels} channels, expected at least 4: a vector is mostly empty"


def _amounts(f: _Filter, p: Conv2dProblem, threads: int) -> Amounts:
    return winograd_amounts(p, _sizes(p, f, threads), threads)


def _bind(f: _Filter, setup: Setup) -> Run:
    p, threads = setup.problem, setup.threads
    z, shape, lanes = _sizes(p, f, threads), _shape(p), lanes_of(p.dtype)
    size, MID, SUMS = _local(z)
    square = TileShape(lanes, 1, lanes)
    sides = _sides(p, f)
    down, across = (_codelets(side, side.r) for side in sides)
    short_down, short_across = (
        _codelets(side, extent % side.r or side.r) for side, extent in zip(sides, (p.oh, p.ow), strict=True)
    )
    codelets = {
        "x_down": down.source, "x_across": across.source, "x_short_down": short_down.source,
        "x_short_across": short_across.source, "d_down": down.gradients, "d_across": across.gradients,
        "d_short_down": short_down.gradients, "d_short_across": short_across.gradients, "out_down": down.taps,
        "out_across": across.taps,
    }  # fmt: skip
    tile, channel = np.arange(z.T), np.arange(lanes)
    tables = {
        "zero": np.zeros(1, np.intp), "columns": np.arange(z.CHUNK) * (z.TILE_W * lanes), "places_x": tile * lanes,
        "places_d": tile * z.NR, "sums": channel * z.NR, "mids": channel * (z.KH * z.C * lanes),
        "taps": channel * (z.KH * z.KW * z.NR),
    }  # fmt: skip
    arrays = {**tables, **setup.scratch}
    record = _blocks.record(
        **z._asdict(),
        ITEM=p.itemsize,
        WORD=np.dtype(np.intp).itemsize,
        LOCAL=size,
        MID=MID,
        SUMS=SUMS,
        M_BYTES=z.R * z.C * z.MSTEP * p.itemsize,
        gather=gather.address(GatherSpec(p.dtype, square)),
        products=sum_points.address(TileSpec(p.dtype, shape)),
        store=store_weights.address(PanelSpec(p.dtype, square, TileShape(1, shape.NV, lanes))),
        sum_plane=sum_plane.address(VectorSpec(p.dtype, TileShape(1, 1, lanes), square)) if p.bias else 0,
        **{name: lines.address(LinesSpec(p.dtype, lanes, codelet)) for name, codelet in codelets.items()},
        **{name: address_of(array) for name, array in arrays.items()},
    )
    return Launch(_blocks, record, threads, 2 * z.BLOCKS, keep=tuple(arrays.values()))


def _register(
    m: int, r: int, points: tuple[Fraction | int, ...], error_factor: float, summary: str, is_square: bool = True
) -> None:
    f = _Filter(m, r, points)
    bind = functools.partial(_bind, f)
    bind.__doc__ = summary
    algorithm(
        f"bwd_w_f{m}x{r}",
        family="backward_weights",
        directions=("bwd_w",),
        error_factor=error_factor,
        unsupported=functools.partial(_unsupported, f, is_square),
        scratch=functools.partial(_scratch, f),
        amounts=functools.partial(_amounts, f),
    )(bind)



_register(
    3, 4, with_negatives(Fraction(2, 3), Fraction(3, 2)), 12.0,
    "F(3, 4), whose outputs are the taps: 4 times fewer multiplications than the sum has.",
)  # fmt: skip
_register(
    5, 4, with_negatives(1, 2, Fraction(1, 2)), 45.0,
    "F(5, 4), whose outputs are the taps: 6.2 times fewer multiplications than the sum has.",
)  # fmt: skip
_register(
    7, 4, with_negatives(Fraction(2, 5), Fraction(4, 5), Fraction(4, 3), 2), 45.0,
    "F(7, 4) of 1x7 and 7x1: 2.8 times fewer multiplications than the sum has.", is_square=False,
)  # fmt: skip
