"""The loops of the gradient of the weights, over blocks of pixels.

- ``bwd_w_direct``: a matrix product whose sum is over pixels, neither of its operands built whole.

dst[oc][ic, kh, kw] = sum over (image, oh, ow) of grad[oc][pixel] * src[ic][pixel shifted by the tap].

Layout: per block of pixels, source [ic][image][line][column] with zeros around it, gradients [pixel][NR] of one panel
of output channels, sums [oc / NR][ic, kh, kw][NR]. A source without padding is read where it is. Of others only the
lines and columns are copied that the stride picks, if there are no taps beside them.
Tile: MR input channels and taps (broadcast) x NR output channels (vectors).
Loops, outside in: group, share of output channels, block of input channels (these number the items that threads take);
block of pixels: some columns, lines or whole images; panel of output channels; rows of the tile; pixels (the last two
in `kernels.algorithms.backward_weights.microkernel`).
Caches: a panel of gradients takes half of L1 while all rows pass over it; the copied source and the sums stay in L2.
Sums: one after the other within a block, then the blocks, in an order that does not depend on threads.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from kernels.algorithms.backward_weights.costs import tiles_amounts
from kernels.algorithms.backward_weights.microkernel import (
    CopySpec,
    PanelSpec,
    TileSpec,
    pack_gradients,
    pack_source,
    store_weights,
    sum_biases,
    sum_tiles,
)
from kernels.costs.amounts import Amounts
from kernels.machine.cpu import LINE_BYTES, cache_bytes, lanes_of, odd_lines, vector_registers
from kernels.machine.microkernel import call, macrokernel
from kernels.machine.parallel import Launch, address_of, share_of
from kernels.machine.tile_shape import TileShape
from kernels.problem import Conv2dProblem
from kernels.registry import Run, Scratch, Setup, algorithm

#: Rows of a tile, by vectors per row. Each has its address in a register. Of more than 10 rows of two vectors LLVM
#: loads all broadcasts before the multiply-adds, and moves sums out of the registers.
_MOST_ROWS = {1: 12, 2: 10}
#: Planes a multiple of so many bytes apart have few sets of L1 for their lines.
_CROWDED_BYTES = 1024
#: Items per thread that make shares even enough.
_ITEMS = 4
#: Planes ahead that the source is asked for while it is copied.
_PLANES_AHEAD = 8


class _Sizes(NamedTuple):
    """Every extent that the loops need."""

    MB: int
    G: int
    IC: int
    OC: int
    ICG: int
    OCG: int
    TAPS: int
    ICB: int  # input channels per block
    IBLOCKS: int
    PANELS: int  # panels of output channels per group
    SHARES: int  # parts that the panels are shared out in
    IMAGES: int  # per block of pixels; 1 unless LINES is OH
    LINES: int  # output lines per block of pixels
    COLUMNS: int  # output columns per block of pixels
    IH: int
    IW: int
    OH: int
    OW: int
    SH: int
    SW: int
    PH: int
    PW: int
    DOWN: int  # from a copied line of the source to the next
    ACROSS: int  # from a copied column to the next
    HALO: int  # copied lines of LINES output lines, less those steps
    LSTEP: int  # copied lines from an output line to the next
    CSTEP: int  # the same of columns
    WC: int  # copied columns
    HC: int  # copied lines
    PLANE: int  # elements from a plane to the next, of what is read
    IMAGE: int  # the same of images
    COPIED: int  # whether the source is copied, or read where it is
    MR: int
    NR: int
    HAS_BIAS: int


#: What else is in the record: elements of scratch of a thread, addresses, and what the microkernels of tiles are told.
_ELSE = (
    "ITEMS", "ITEM", "CHUNK", "ROWS", "WORD", "LAST_LINE", "SOURCE", "PANEL", "SUMS", "BIASES", "TILE_SUMS", "pack",
    "gradients", "tiles", "store", "sum_biases", "rows", "pixels", "pixels_last", "lines", "source", "panel", "sums",
    "biases",
)  # fmt: skip


@macrokernel((*_Sizes._fields, *_ELSE))
def _blocks(z, step, part, parts):
    """Items are numbered over (group, share of the panels, block of input channels)."""
    source, panel = z.source + part * z.SOURCE * z.ITEM, z.panel + part * z.PANEL * z.ITEM
    sums, biases = z.sums + part * z.SUMS * z.ITEM, z.biases + part * z.BIASES * z.ITEM
    OHW = z.OH * z.OW
    begin, end = share_of(z.ITEMS, part, parts)
    for item in range(begin, end):
        iblock = item % z.IBLOCKS
        share = item // z.IBLOCKS % z.SHARES
        g = item // (z.IBLOCKS * z.SHARES)
        panel0, panel1 = share * z.PANELS // z.SHARES, (share + 1) * z.PANELS // z.SHARES
        c0 = iblock * z.ICG // z.IBLOCKS
        C = (iblock + 1) * z.ICG // z.IBLOCKS - c0
        M = C * z.TAPS
        tiles = (M + z.MR - 1) // z.MR
        rows = z.rows + (z.ICB - C) * z.ROWS * z.WORD
        # Without images there is one block, of no pixels.
        for n in range(0, max(z.MB, 1), z.IMAGES):
            images = min(z.IMAGES, z.MB - n)
            for oh in range(0, z.OH, z.LINES):
                lines = min(z.LINES, z.OH - oh)
                for ow in range(0, z.OW, z.COLUMNS):
                    columns = min(z.COLUMNS, z.OW - ow)
                    begins = 1 if n + oh + ow == 0 else 0
                    at = (n * z.IC + g * z.ICG + c0) * z.IH * z.IW + oh * z.SH * z.IW + ow * z.SW
                    read = source if z.COPIED else z.src + at * z.ITEM
                    for i in range(images if z.COPIED else 0):
                        at = ((n + i) * z.IC + g * z.ICG + c0) * z.IH * z.IW
                        call(
                            z.pack,
                            (
                                z.src + at * z.ITEM, source + i * z.IMAGE * z.ITEM, C, z.IH * z.IW, z.PLANE, z.IH,
                                z.IW, oh * z.SH - z.PH, z.DOWN, (lines - 1) * z.LSTEP + z.HALO, ow * z.SW - z.PW,
                                z.ACROSS, z.WC, _PLANES_AHEAD * z.IH * z.IW,
                            ),
                        )  # fmt: skip
                    pixels = z.pixels if columns == z.COLUMNS else z.pixels_last
                    # Whole lines follow one another.
                    runs, length = (1, lines * columns) if columns == z.OW else (lines, columns)
                    for p in range(panel0, panel1):
                        first = p * z.NR
                        at = ((n * z.OC + g * z.OCG + first) * z.OH + oh) * z.OW + ow
                        live = min(z.NR, z.OCG - first)
                        call(
                            z.gradients,
                            (z.residual + at * z.ITEM, panel, OHW, live, images, z.OC * OHW, runs, z.OW, length),
                        )
                        count = images * lines * columns
                        later = z.residual + (at + z.NR * OHW) * z.ITEM
                        if p + 1 == panel1:
                            later = z.residual + (at - (p - panel0) * z.NR * OHW + lines * columns) * z.ITEM
                        call(
                            z.tiles,
                            (
                                read, rows, tiles, pixels, count, z.CHUNK, panel,
                                sums + (p - panel0) * z.TILE_SUMS * z.ITEM, begins, later, z.lines, z.LAST_LINE,
                            ),
                        )  # fmt: skip
                        if z.HAS_BIAS and iblock == 0:
                            call(z.sum_biases, (panel, biases + (p - panel0) * z.NR * z.ITEM, count, begins))
        for p in range(panel0, panel1):
            first = g * z.OCG + p * z.NR
            live = min(z.NR, z.OCG - p * z.NR)
            at = (first * z.ICG + c0) * z.TAPS
            call(z.store, (sums + (p - panel0) * z.TILE_SUMS * z.ITEM, M, z.dst + at * z.ITEM, z.ICG * z.TAPS, live))
            if z.HAS_BIAS and iblock == 0:
                at = z.OC * z.ICG * z.TAPS + first
                call(z.store, (biases + (p - panel0) * z.NR * z.ITEM, 1, z.dst + at * z.ITEM, 1, live))


def _even(extent: int, most: int) -> int:
    """Parts of at most ``most``, as equal as can be."""
    return -(-extent // -(-extent // max(1, most)))


@functools.lru_cache(maxsize=1024)
def _shape(p: Conv2dProblem) -> TileShape:
    lanes, M = lanes_of(p.dtype), p.ic // p.g * p.kh * p.kw
    registers = vector_registers()
    NV = min(2, -(-(p.oc // p.g) // lanes))
    most = min((registers - NV - 1) // NV, _MOST_ROWS[NV], M)
    # A tile has one more step per pixel than multiply-adds.
    MR = min(range(1, most + 1), key=lambda rows: (-(-M // rows) * (rows * NV + 1), -rows))
    return TileShape(MR, NV, lanes)


def _is_crowded(p: Conv2dProblem) -> bool:
    """Whether planes of the source are so far apart that many lines of theirs fall into the same sets of L1."""
    return (p.ih * p.iw * p.itemsize) % _CROWDED_BYTES == 0


@functools.lru_cache(maxsize=1024)
def _sizes(p: Conv2dProblem, threads: int) -> _Sizes:
    ICG, OCG, TAPS, shape = p.ic // p.g, p.oc // p.g, p.kh * p.kw, _shape(p)
    # Pixels: neither sizes of items nor threads may change what is added to what.
    most = max(1, cache_bytes(1) // 2 // (shape.NR * p.itemsize))
    COLUMNS = _even(p.ow, most)
    LINES = _even(p.oh, most // COLUMNS) if p.ow == COLUMNS else 1
    IMAGES = _even(max(1, p.mb), most // (p.oh * p.ow)) if p.oh == LINES and p.ow == COLUMNS else 1
    DOWN, LSTEP, HALO = (p.sh, 1, 1) if p.kh == 1 else (1, p.sh, (p.kh - 1) * p.dh + 1)
    ACROSS, CSTEP = (p.sw, 1) if p.kw == 1 else (1, p.sw)
    WC, HC = (COLUMNS - 1) * CSTEP + (p.kw - 1) * p.dw + 1, (LINES - 1) * LSTEP + HALO
    # Later images are copied behind planes whose next one has its first image already: there is room for what of a
    # vector overhangs. An odd number of cache lines: planes that are powers of two apart fall into few sets of L1.
    overhang = lanes_of(p.dtype) - 1 if IMAGES > 1 else 0
    PLANE = odd_lines(IMAGES * HC * WC + overhang, p.itemsize)
    IMAGE = HC * WC
    # What is read of the source takes half of L2.
    IBLOCKS = -(-ICG // max(1, cache_bytes(2) // 2 // (PLANE * p.itemsize)))
    COPIED = p.padded_shape != (p.ih, p.iw) or p.sh > p.kh or p.sw > p.kw or _is_crowded(p)
    if not COPIED:
        PLANE, WC, IMAGE = p.ih * p.iw, p.iw, p.ic * p.ih * p.iw
        LSTEP, CSTEP = p.sh, p.sw
    PANELS = -(-OCG // shape.NR)
    ICB = -(-ICG // IBLOCKS)
    # Sums of an item stay in L2.
    panels = max(4, cache_bytes(2) // 2 // (ICB * TAPS * shape.NR * p.itemsize))
    SHARES = -(-PANELS // panels)
    if threads > 1:
        # Few items leave threads idle. To transpose gradients again costs more than to copy the source again.
        SHARES = min(PANELS, max(SHARES, -(-_ITEMS * threads // (p.g * IBLOCKS))))
        IBLOCKS = min(ICG, max(IBLOCKS, -(-_ITEMS * threads // (p.g * SHARES))))
        ICB = -(-ICG // IBLOCKS)
    return _Sizes(
        MB=p.mb, G=p.g, IC=p.ic, OC=p.oc, ICG=ICG, OCG=OCG, TAPS=TAPS, ICB=ICB, IBLOCKS=IBLOCKS, PANELS=PANELS,
        SHARES=SHARES, IMAGES=IMAGES, LINES=LINES, COLUMNS=COLUMNS, IH=p.ih, IW=p.iw, OH=p.oh, OW=p.ow, SH=p.sh,
        SW=p.sw, PH=p.ph, PW=p.pw, DOWN=DOWN, ACROSS=ACROSS, HALO=HALO, LSTEP=LSTEP, CSTEP=CSTEP, WC=WC, HC=HC,
        PLANE=PLANE, IMAGE=IMAGE, COPIED=int(COPIED), MR=shape.MR, NR=shape.NR, HAS_BIAS=int(p.bias),
    )  # fmt: skip


class _Memory(NamedTuple):
    """Elements of scratch of a thread."""

    source: int
    panel: int
    sums: int
    biases: int


def _memory(z: _Sizes, lanes: int) -> tuple[_Memory, int]:
    """Scratch of a thread, and sums of a panel of an item, with room for the rest of a tile and of a square."""
    M = z.ICB * z.TAPS
    tile_sums = (-(-M // z.MR) * z.MR + lanes) * z.NR
    panels = -(-z.PANELS // z.SHARES)
    panel = (z.IMAGES * z.LINES * z.COLUMNS + lanes) * z.NR
    return _Memory(
        (z.ICB * z.PLANE + lanes) * z.COPIED, panel, panels * tile_sums, (panels * z.NR) * z.HAS_BIAS
    ), tile_sums


def _scratch(p: Conv2dProblem, threads: int) -> Scratch:
    memory, _ = _memory(_sizes(p, threads), lanes_of(p.dtype))
    return {name: (threads, size) for name, size in memory._asdict().items()}


def _pixel_table(z: _Sizes, columns: int) -> np.ndarray:
    """Where each pixel of a block lies in a copied plane."""
    image, line, column = np.ogrid[: z.IMAGES, : z.LINES, :columns]
    return np.ascontiguousarray((image * z.IMAGE + line * z.LSTEP * z.WC + column * z.CSTEP).reshape(-1), np.intp)


def _row_table(p: Conv2dProblem, z: _Sizes) -> np.ndarray:
    """Where each input channel and tap begins in what is read: of a block of ICB channels, and of one less.

    Rows of the last tile repeat the last.
    """
    c, kh, kw = np.ogrid[: z.ICB, : p.kh, : p.kw]
    rows = (c * z.PLANE + kh * p.dh * z.WC + kw * p.dw).reshape(-1)
    table = np.full((2, rows.size + 2 * z.MR), rows[-1], np.intp)
    table[0, : rows.size] = rows
    if z.ICB > 1:
        less = rows[: -z.TAPS]
        table[1] = less[-1]
        table[1, : less.size] = less
    return table


def _line_table(p: Conv2dProblem, z: _Sizes) -> np.ndarray:
    """Cache lines of a panel of gradients, from its first pixel on."""
    length = z.LINES * z.COLUMNS
    image, channel, at = np.ogrid[: z.IMAGES, : min(z.NR, z.OCG), : length : LINE_BYTES // p.itemsize]
    return np.ascontiguousarray((image * z.OC * p.oh * p.ow + channel * p.oh * p.ow + at).reshape(-1), np.intp)


def _amounts(p: Conv2dProblem, threads: int) -> Amounts:
    return tiles_amounts(p, _sizes(p, threads), _shape(p), threads)


@algorithm(
    "bwd_w_direct",
    family="backward_weights",
    directions=("bwd_w",),
    error_factor=8.0,
    exact_on_integers=True,
    scratch=_scratch,
    amounts=_amounts,
)
def bwd_w_direct(setup: Setup) -> Run:
    """Register tiles of output channels by input channels and taps, summed over blocks of pixels."""
    p, threads = setup.problem, setup.threads
    z, shape = _sizes(p, threads), _shape(p)
    lanes = shape.lanes
    memory, tile_sums = _memory(z, lanes)
    panel = PanelSpec(p.dtype, TileShape(lanes, 1, lanes), TileShape(1, shape.NV, lanes))
    copy = CopySpec(p.dtype, TileShape(1, 1, lanes), z.ACROSS if z.ACROSS <= 2 else 0)
    tables = {
        "rows": _row_table(p, z), "lines": _line_table(p, z), "pixels": _pixel_table(z, z.COLUMNS),
        "pixels_last": _pixel_table(z, z.OW % z.COLUMNS or z.COLUMNS),
    }  # fmt: skip
    rows = tables["rows"]
    arrays = {**tables, **setup.scratch}
    record = _blocks.record(
        **z._asdict(),
        ITEMS=z.G * z.SHARES * z.IBLOCKS,
        ITEM=p.itemsize,
        CHUNK=max(1, LINE_BYTES // p.itemsize // z.CSTEP),
        ROWS=rows.shape[1],
        WORD=rows.itemsize,
        LAST_LINE=tables["lines"].size - 1,
        SOURCE=memory.source,
        PANEL=memory.panel,
        SUMS=memory.sums,
        BIASES=memory.biases,
        TILE_SUMS=tile_sums,
        pack=pack_source.address(copy),
        gradients=pack_gradients.address(panel),
        tiles=sum_tiles.address(TileSpec(p.dtype, shape)),
        store=store_weights.address(panel),
        sum_biases=sum_biases.address(panel) if p.bias else 0,
        **{name: address_of(array) for name, array in arrays.items()},
    )
    return Launch(_blocks, record, threads, keep=tuple(arrays.values()))
