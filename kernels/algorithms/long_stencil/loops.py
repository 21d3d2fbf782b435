"""Convolution of one or few channels a group by kernels of any number of taps: pixels are the vector side.

Layout: source, weights and result as they are. Scratch of each thread: lines of a strip with zeros around them,
``[g][ic][line][column % SW][columns]``, in L2. Tile: R output rows x NV vectors of pixels. Loops, outside in: image,
group, strip of some rows (these three number the items that threads take); where a map is one strip, as many groups as
fit at once. Then the lines are copied; columns of tiles; and what `kernels.algorithms.long_stencil.microkernel` says.

With a dilation, rows of the map of one remainder are strips of their own: of each the lines that its kernels meet lie
side by side. With a stride, kernel rows of one remainder are a phase, and kernel columns find their pixels by a table.
Where tiles begin does not depend on the strips.

On paper, 7 x 7 taps on AVX2 with a tile of 4 rows x 3 vectors: a step of 12 multiply-adds takes 3 loads of pixels, of
which half cross a cache line, and 4 of taps: 8.3 loads, of which the core starts two a cycle, as it does
multiply-adds.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from kernels.algorithms.long_stencil.costs import long_amounts
from kernels.algorithms.long_stencil.microkernel import EXTENTS, planes_of_tiles
from kernels.algorithms.long_stencil.tile import (
    LongTile,
    chunks_of,
    is_along,
    kernel_columns,
    rows_of,
)
from kernels.algorithms.stencil.microkernel import EXTENTS as COPIED
from kernels.algorithms.stencil.microkernel import Copy, clear_rows, copy_rows
from kernels.costs.amounts import Amounts
from kernels.machine.cpu import cache_bytes, lanes_of
from kernels.machine.microkernel import call, macrokernel
from kernels.machine.packing import Biases, Panels
from kernels.machine.parallel import Launch, address_of, share_of
from kernels.problem import Conv2dProblem
from kernels.registry import Packing, Run, Scratch, Setup, algorithm

#: Items a thread that make shares even enough.
_ITEMS = 4
#: Widest stride between columns that is picked out of vectors.
_MOST_STRIDE = 4
#: Kernel rows or columns, and rows or columns of a map, of which tables are made.
_MOST_TAPS, _MOST_SIDE = 1024, 2**14


@macrokernel((
    "ITEMS", "STRIPS", "PARTS", "DOWN", "T", "OH", "GROUPS", "G", "ICG", "OCG", "ITEM", "SRC_GROUP", "DST_GROUP",
    "DST_LINE", "WEI_GROUP", "SH", "PH", "IH", "LINES", "LINE", "SCRATCH", "R", "REST", "whole", "rest",
    "copy", "clear", "wei", "bia", "slope", "copied", "extents", "scratch",
))  # fmt: skip
def loops(z, step, part, parts):
    """Strips, numbered over (image, group, remainder of rows, strip); LINE and SCRATCH are elements, the rest bytes."""
    item, end_item = share_of(z.ITEMS, part, parts)
    scratch, strips = z.scratch + part * z.SCRATCH * z.ITEM, z.PARTS * z.STRIPS
    if item < end_item:
        call(z.clear, (scratch, z.SCRATCH))
    while item < end_item:
        group, first, strip = item // strips, item % strips // z.STRIPS, item % z.STRIPS
        g, groups, row = group % z.G, 1, strip * z.T
        if strips == 1:
            groups = min(end_item - item, z.G - g, z.GROUPS)
        rows = z.T if strip < z.STRIPS - 1 else (z.OH - first + z.DOWN - 1) // z.DOWN - row
        # What line 0 is of the source, and which lines lie in it.
        top = first + row * z.SH * z.DOWN - z.PH
        above = min(z.LINES, (max(0, -top) + z.DOWN - 1) // z.DOWN)
        below = max(above, min(z.LINES, (max(0, z.IH - top) + z.DOWN - 1) // z.DOWN))
        if strips > 1:
            # What the strip before left where this one has zeros.
            for plane in range(z.ICG):
                at = scratch + plane * z.LINES * z.LINE * z.ITEM
                call(z.clear, (at, above * z.LINE))
                call(z.clear, (at + below * z.LINE * z.ITEM, (z.LINES - below) * z.LINE))
        call(z.copy, (z.src + group * z.SRC_GROUP, scratch, z.copied, top, groups * z.ICG))
        to = group * z.DST_GROUP + (first + row * z.DOWN) * z.DST_LINE
        whole = rows - rows % z.R
        arguments = (
            scratch, z.wei + g * z.WEI_GROUP, z.bia + g * z.OCG * z.ITEM, z.dst + to, z.residual + to, z.slope,
            z.extents,
        )  # fmt: skip
        lines = (above, below, groups * z.OCG)
        call(z.whole, arguments + (0, whole, rows - whole) + lines)  # noqa: RUF005  (Numba takes no starred tuple)
        if whole < rows:
            call(z.rest, arguments + (rows - z.REST, z.REST, 0) + lines)  # noqa: RUF005  (Numba takes no starred tuple)
        item += groups


class _Strips(NamedTuple):
    """Sizes of strips and of their copies."""

    T: int  # rows, but for the last strip
    STRIPS: int
    PARTS: int  # parts of a map whose rows are DOWN apart
    DOWN: int
    GROUPS: int  # groups at once
    LINES: int  # lines of a copied plane
    WS: int  # columns of a copied line, for each remainder by the stride


@functools.lru_cache(maxsize=1024)
def _strips(p: Conv2dProblem, threads: int) -> _Strips:
    R = 1 if is_along(p) else rows_of(p)[0].R
    lanes, DOWN = lanes_of(p.dtype), p.dh if p.sh == 1 else 1
    PARTS, ICG = min(DOWN, p.oh), p.ic // p.g
    # An odd number of vectors: lines are then not all in the same banks of the cache.
    WS = (-(-(max(p.ow, lanes) + (kernel_columns(p) - 1) * p.dw // p.sw) // lanes) | 1) * lanes
    most, least = -(-p.oh // DOWN), max(1, p.oh // DOWN)

    def lines(rows: int) -> int:
        return rows - 1 + p.kh if p.sh == 1 else (rows - 1) * p.sh + (p.kh - 1) * p.dh + 1

    def size(rows: int) -> int:
        return ICG * lines(rows) * p.sw * WS * p.itemsize

    # In L1, unless more lines would be copied for two strips than for one.
    near = cache_bytes(1) * 3 // 4
    budget = near if size(most) <= near or size(p.kh * p.dh // DOWN) <= near // 2 else cache_bytes(2) * 5 // 8
    # Even shares of threads, in whole tiles.
    even = most * p.mb * p.g * PARTS // (_ITEMS * threads)
    T = next((T for T in range(R * max(1, min(even, most) // R), R, -R) if size(T) <= budget), R)
    STRIPS = max(1, -(-(least - R + 1) // T))
    if STRIPS == 1:
        T = most
    rows = max(T, most - (STRIPS - 1) * T)
    GROUPS = max(1, min(p.g, budget // size(rows))) if STRIPS * PARTS == 1 else 1
    return _Strips(T, STRIPS, PARTS, DOWN, GROUPS, lines(rows), WS)


def _scratch(p: Conv2dProblem, threads: int) -> Scratch:
    c = _strips(p, threads)
    return {"lines": (threads, c.GROUPS, p.ic // p.g, c.LINES, p.sw, c.WS)}


def _unsupported(p: Conv2dProblem) -> str | None:
    if p.sw > _MOST_STRIDE:
        return f"the stride between columns is {p.sw}, expected at most {_MOST_STRIDE}"
    if max(p.kh, p.kw) > _MOST_TAPS:
        return f"the kernel is {p.kh}x{p.kw}, expected at most {_MOST_TAPS}x{_MOST_TAPS}"
    if max(p.oh, p.ow, (p.kh - 1) * p.dh, (p.kw - 1) * p.dw) > _MOST_SIDE:
        extent = "x".join(map(str, p.kernel_extent))
        return f"the result is {p.oh}x{p.ow} of a kernel extent {extent}, expected sides of at most {_MOST_SIDE}"
    return None


class _WholeRows:
    """Packs kernels of one row with zeros to whole vectors: ``rows(wei)``."""

    def __init__(self, p: Conv2dProblem) -> None:
        rows = np.zeros((*p.weight_shape[:2], kernel_columns(p)), p.dtype)
        self.packed, self._live = rows.reshape(-1), rows[:, :, : p.kw]

    def __call__(self, wei: np.ndarray) -> None:
        self._live[...] = wei[:, :, 0]


def _packing(p: Conv2dProblem, threads: int) -> Packing:
    biases = Biases(p.oc, p.dtype, p.g, 1)
    panels: Any = _WholeRows(p) if is_along(p) else Panels(p.weight_shape, p.dtype, p.g, 1, threads)
    return Packing((panels.packed, biases.packed), panels, biases)


def _chunks(p: Conv2dProblem, taps: int, line: int) -> list[int]:
    """Of each chunk what the microkernel reads of it."""
    if is_along(p):
        found, at = [], 0
        for size in chunks_of(p, taps)[0]:
            found += [0, at, at, size]
            at += size * lanes_of(p.dtype)
        return found
    # From a phase to the next, and from a kernel row of a phase to the next.
    apart, step = (p.dh, 0) if p.sh > 1 and p.dh > 1 else (1, p.sh)
    found = []
    for phase, sizes in enumerate(chunks_of(p, taps)):
        row = 0
        for size in sizes:
            first = phase * apart + row * step
            kh = phase + row * p.sh
            found += [first, first * line, kh * p.kw, size]
            row += size
    return found


def _columns(p: Conv2dProblem) -> list[int]:
    """Of each column of tiles what the microkernel reads of it; the last one reaches back, so that it is whole."""
    lanes, found = lanes_of(p.dtype), list[int]()
    if is_along(p):
        width = rows_of(p)[0].R * lanes
        return [word for column in range(0, p.ow, width) for word in (min(column, p.ow - width), 0, lanes)]
    for column in range(0, p.ow, lanes):
        ow = max(0, min(column, p.ow - lanes))
        low = -(-max(0, p.pw - (ow + lanes - 1) * p.sw) // p.dw)
        high = min(p.kw, -(-max(0, p.iw + p.pw - ow * p.sw) // p.dw))
        found += [ow, low, max(low, high)]
    return found


def _amounts(p: Conv2dProblem, threads: int) -> Amounts | None:
    rows, taps, _ = rows_of(p)
    places, c = _columns(p), _strips(p, threads)
    columns = [high - low for low, high in zip(places[1::3], places[2::3], strict=True)]
    return long_amounts(p, rows, taps, columns, c.STRIPS * c.PARTS, threads)


@algorithm(
    "long_stencil",
    family="grouped",
    error_factor=8.0,
    exact_on_integers=True,
    window_only=True,
    unsupported=_unsupported,
    packing=_packing,
    scratch=_scratch,
    amounts=_amounts,
)
def long_stencil(setup: Setup) -> Run:
    """Few channels a group, kernels of any number of taps: stencils on planes, taps in loops."""
    p, threads, (wei, bia) = setup.problem, setup.threads, setup.packed
    c, ((R, REST), taps, _) = _strips(p, threads), rows_of(p)
    ICG, OCG, lanes, line = p.ic // p.g, p.oc // p.g, lanes_of(p.dtype), p.sw * c.WS
    step, result, along, plane = p.sh, p.oh * p.ow, is_along(p), p.kh * kernel_columns(p)
    chunks, columns = _chunks(p, taps, line), _columns(p)
    values = {
        "OW": p.ow, "ICG": ICG, "OCG": OCG,
        "SRC_ROW": lanes if along else step * line, "SRC_TOP": step * line,
        "TILE_ROW": lanes if along else c.DOWN * p.ow, "SRC_PLANE": c.LINES * line, "DST_ROW": c.DOWN * p.ow,
        "DST_PLANE": result, "WEI_ROW": lanes if along else step * p.kw, "WEI_PLANE": plane,
        "STEP": step, "ALONE": c.DOWN - 1, "CHUNKS": len(chunks) // 4,
        "COLUMNS": len(columns) // 3,
    }  # fmt: skip
    places = [kw * p.dw % p.sw * c.WS + kw * p.dw // p.sw for kw in range(kernel_columns(p))]
    extents = np.array([*(values[name] for name in EXTENTS), *chunks, *columns, *places], np.intp)
    copy = {"IH": p.ih, "IW": p.iw, "PW": p.pw, "WS": c.WS, "LINES": c.LINES, "LINE_STEP": c.DOWN}
    copied = np.array([copy.get(name, 0) for name in COPIED], np.intp)
    slope = np.array([setup.epilogue.slope], p.dtype)
    spec = LongTile(
        p.dtype,
        lanes,
        R,
        taps,
        set(chunks[3::4]) == {taps},
        int(p.dw == p.sw == 1),
        p.ow < lanes,
        along,
        setup.epilogue.kind,
    )
    lines = setup.scratch["lines"]
    copies = Copy(p.dtype, lanes, p.sw)
    record = loops.record(
        ITEMS=p.mb * p.g * c.PARTS * c.STRIPS, STRIPS=c.STRIPS, PARTS=c.PARTS, DOWN=c.DOWN, T=c.T, OH=p.oh,
        GROUPS=c.GROUPS, G=p.g, ICG=ICG, OCG=OCG, ITEM=p.itemsize, SRC_GROUP=ICG * p.ih * p.iw * p.itemsize,
        DST_GROUP=OCG * result * p.itemsize, DST_LINE=p.ow * p.itemsize, WEI_GROUP=OCG * ICG * plane * p.itemsize,
        SH=p.sh, PH=p.ph, IH=p.ih, LINES=c.LINES, LINE=line, SCRATCH=lines[0].size,
        R=spec.height, REST=REST, whole=planes_of_tiles.address(spec),
        rest=planes_of_tiles.address(spec._replace(R=REST)) if REST else 0,
        copy=copy_rows.address(copies), clear=clear_rows.address(copies), wei=address_of(wei), bia=address_of(bia),
        slope=address_of(slope), copied=address_of(copied), extents=address_of(extents), scratch=address_of(lines),
    )  # fmt: skip
    return Launch(loops, record, threads, keep=(wei, bia, slope, copied, extents, lines))
