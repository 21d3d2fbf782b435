"""The microkernels of the stencils: rows copied with zeros beside them, and planes of tiles over them.

Batched are planes: a copy takes all lines of as many planes as stay in L1, and then the tiles of one block of output
channels of all of these are one call. A tile alone takes as few as 40 cycles, a call 20 and what it reads of its
extents as many again. Loops of the tiles, outside in: group; row of tiles; tile; input channel; then straight-line
code: source row, kernel column, vector, channel, kernel row.

Vectors with masks in registers of their own read the source where it is: kernel columns are shifts of what was
loaded, in registers, or loads of their own, whichever is less, and lanes beside the source are masked off. Other
vectors read a copy, in which all kernel columns and strides are whole loads. Rows above and below are skipped either
way: the branches between source rows keep LLVM from reordering the whole tile, which it does until its sums no longer
fit the registers.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types

from kernels.algorithms.stencil.tile import Stencil
from kernels.machine.ir import (
    RegisterPicks,
    data_pointer,
    every,
    fma,
    hidden,
    in_turn,
    index_value,
    load_vector,
    masked_load,
    picked,
    prefetch,
    scalar_type,
    splat,
    store_vector,
)
from kernels.machine.microkernel import Elements, Offsets, microkernel
from kernels.machine.register_tile import TileType
from kernels.machine.row_store import store_rows
from kernels.machine.static import StaticType, intrinsic, number

__all__ = ["EXTENTS", "Copy", "clear_rows", "copy_rows", "planes_of_tiles"]

_NUMBER = ir.IntType(32)

#: What the microkernels read of the extents, in this order. ``SRC_*`` are steps of what is read, in elements: of the
#: source, or of a copy of its rows. ``HEIGHT`` and ``WIDTH`` are those of the result's planes, OH and OW unless it is
#: spread.
EXTENTS = (
    "OH", "WIDTH", "IH", "IW", "PH", "PW", "SH", "SRC_TILE", "DW", "ICG", "SRC_ROW", "SRC_PLANE", "SRC_GROUP",
    "DST_GROUP", "WEI_GROUP", "BIA_GROUP", "WS", "LINES", "LINE_STEP", "HEIGHT",
)  # fmt: skip


class Copy(NamedTuple):
    """What the copy of rows is specialised by: every SW-th column is put side by side."""

    dtype: str
    lanes: int
    SW: int

    @property
    def whole(self) -> bool:
        """For vectors that lie in the source."""
        return True

    @property
    def edge(self) -> bool:
        """For vectors of which a part may not."""
        return False


@microkernel
def copy_rows(
    spec, src: Elements, copy: Elements, z: Offsets, top: int, planes: int
):  # fmt: skip
    """Rows ``top``, ``top + LINE_STEP`` and on, LINES of each plane, to ``copy[plane][line][column % SW]``.

    Only vectors that hold columns of the source are written, and lines that there are: beside them are zeros already.
    """
    LANES, SW = number(spec.lanes), number(spec.SW)
    IH, IW, PW, WS, LINES, LINE_STEP = z[2], z[3], z[5], z[16], z[17], z[18]
    FIRST, COLUMNS = PW // (LANES * SW) * LANES, min(WS, (PW + IW + SW - 1) // SW)
    BEGIN = max(0, -(top // LINE_STEP))
    END = max(BEGIN, min(LINES, (IH - 1 - top) // LINE_STEP + 1))
    # Vectors within the source, line by line; then those at its ends, whose masks are found once for all lines.
    WHOLE = min(COLUMNS, (PW + LANES * SW - 1) // (LANES * SW) * LANES)
    REST = max(WHOLE, (PW + IW) // (LANES * SW) * LANES)
    for plane in range(planes if WHOLE < REST else 0):
        for line in range(BEGIN, END):
            source = plane * IH * IW + (top + line * LINE_STEP) * IW - PW
            to = (plane * LINES + line) * SW * WS
            for column in range(WHOLE, REST, LANES):
                copy_columns(spec, spec.whole, src, source, column, PW, IW, copy, to, WS)
    column = FIRST
    while column < COLUMNS:
        if column == WHOLE:
            column = REST
        if column < COLUMNS:
            source, to = top * IW - PW, 0
            for _ in range(planes):
                for line in range(BEGIN, END):
                    at = source + line * LINE_STEP * IW
                    copy_columns(spec, spec.edge, src, at, column, PW, IW, copy, to + line * SW * WS, WS)
                source += IH * IW
                to += LINES * SW * WS
        column += LANES


@microkernel
def clear_rows(spec, copy: Elements, count: int):
    """Zeros, for all that `copy_rows` leaves as it is."""
    for i in range(count):
        copy[i] = 0.0


@microkernel
def planes_of_tiles(
    spec, src: Elements, wei: Elements, bia: Elements, dst: Elements, residual: Elements, slope: Elements, z: Offsets,
    first: int, begin: int, end: int, row: int, rows: int, groups: int, live: int,
):  # fmt: skip
    """Columns ``begin`` to ``end`` of ``rows`` rows of tiles from ``row`` on, ``live`` channels of each group.

    ``first`` is the offset in ``src`` of what output pixel (row * R, 0) of the first group begins at.
    """
    R, NR, TAPS = number(spec.R), number(spec.NR), number(spec.TAPS)
    # From an output column to the next; copied columns stand side by side.
    STEP = number(spec.column_step)
    OH, WIDTH, IH, IW, PH, PW, SH, SRC_TILE, DW, ICG = z[0], z[1], z[2], z[3], z[4], z[5], z[6], z[7], z[8], z[9]
    SRC_ROW, SRC_PLANE, WS, LINE_STEP, HEIGHT = z[10], z[11], z[16], z[18], z[19]
    # Rows and columns of the result for one of the tile.
    DOWN, ACROSS = number(spec.row_step), number(spec.result_step)
    # The last tile of a row reaches back, so that it is whole.
    LAST, END = max(0, end - NR), min(OH, (row + rows) * R)
    weights = channel = result = 0
    for _ in range(groups):
        start = first
        for oh in range(row * R, (row + rows) * R, R):
            top, to = oh * SH - PH, result + oh * DOWN * WIDTH
            for column in range(begin, end, NR):
                ow = min(column, LAST)
                left, at, wi = ow * STEP - PW, start + ow * STEP, weights
                tile = tile_of_channels(spec, bia, channel, live)
                for _ in range(ICG):
                    tile = tile_stencil(spec, tile, src, at, top, left, IH, IW, SRC_ROW, LINE_STEP, DW, WS, wei, wi)
                    at += SRC_PLANE
                    wi += TAPS
                tile_store_channels(
                    spec, tile, dst, to + ow * ACROSS, HEIGHT * WIDTH, WIDTH, live, HEIGHT - oh * DOWN,
                    min(HEIGHT, END * DOWN) - oh * DOWN, WIDTH - ow * ACROSS, residual, slope,
                )  # fmt: skip
            start += SRC_TILE
        first += z[12]
        result += z[13]
        weights += z[14]
        channel += z[15]


@intrinsic
def copy_columns(
    typingctx: Any, spec: Any, whole: Any, a: Any, ai: Any, column: Any, PW: Any, IW: Any, b: Any, bi: Any, step: Any
) -> Any:
    """``copy_columns(spec, whole, a, ai, column, PW, IW, b, bi, step)``: a vector of each SW-th column.

    Column ``(column + n) * SW + q`` of a row, counted from its zeros, of which PW stand before IW elements from
    ``a[ai + PW]`` on, goes to ``b[bi + q * step + column + n]``. If ``whole``, none of them lies beside those.
    """
    if not isinstance(spec, StaticType) or not isinstance(whole, StaticType):
        return None
    s: Copy = spec.value

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, target = (
            data_pointer(context, builder, typ, value) for typ, value in ((a, arguments[2]), (b, arguments[7]))
        )
        start, at, before, width, to, pitch = (
            index_value(context, builder, typ, arguments[i])
            for i, typ in ((3, ai), (4, column), (5, PW), (6, IW), (8, bi), (9, step))
        )
        vector = ir.VectorType(scalar_type(a.dtype), s.lanes)
        first = builder.mul(at, at.type(s.SW))
        left = builder.sub(first, before)
        place = builder.gep(source, [builder.add(start, first)])
        offsets = [at.type(v * s.lanes) for v in range(s.SW)]
        if whole.value:
            pieces = [load_vector(builder, place, offset, vector) for offset in offsets]
        else:
            masks = [_in_row(builder, builder.add(left, offset), width, s.lanes) for offset in offsets]
            pieces = [
                masked_load(builder, vector, place, offset, mask) for offset, mask in zip(offsets, masks, strict=True)
            ]
        for q in range(s.SW):
            line = builder.add(builder.add(to, at), builder.mul(pitch, pitch.type(q)))
            store_vector(builder, every(builder, pieces, s.SW, q), target, line)
        return context.get_dummy_value()

    return types.void(spec, whole, a, ai, column, PW, IW, b, bi, step), codegen


def _in_row(builder: Any, left: ir.Value, width: ir.Value, lanes: int) -> ir.Value:
    """The lanes whose column, ``left`` and on, is in a row of ``width``; 32-bit numbers."""
    begin = splat(builder, builder.trunc(left, _NUMBER), lanes)
    columns = builder.add(begin, ir.Constant(begin.type, list(range(lanes))))
    return builder.icmp_unsigned("<", columns, splat(builder, builder.trunc(width, _NUMBER), lanes))


def _is_stencil(typ: Any) -> bool:
    return isinstance(typ, StaticType) and isinstance(typ.value, Stencil)


@intrinsic
def tile_of_channels(typingctx: Any, stencil: Any, row: Any, at: Any, live: Any) -> Any:
    """``tile_of_channels(stencil, row, at, live)``: channel oc filled with ``row[at + min(oc, live - 1)]``."""
    if not _is_stencil(stencil):
        return None
    s: Stencil = stencil.value
    tile = TileType(s.tile, row.dtype)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = data_pointer(context, builder, row, arguments[1])
        start, count = (
            index_value(context, builder, typ, value) for typ, value in ((at, arguments[2]), (live, arguments[3]))
        )
        result = ir.Constant(context.get_value_type(tile), ir.Undefined)
        for oc in range(s.OCB):
            offset = count.type(oc)
            inside = builder.icmp_signed("<", offset, count)
            offset = builder.select(inside, offset, builder.sub(count, count.type(1))) if oc else offset
            value = splat(builder, builder.load(builder.gep(data, [builder.add(start, offset)])), s.lanes)
            for m in range(s.R):
                for v in range(s.NV):
                    result = builder.insert_value(result, value, s.slot(oc, m, v))
        return result

    return tile(stencil, row, at, live), codegen


@intrinsic
def tile_stencil(
    typingctx: Any, stencil: Any, tile: Any, a: Any, at: Any, top: Any, left: Any, IH: Any, IW: Any, step: Any,
    lines: Any, DW: Any, WS: Any, w: Any, wi: Any,
) -> Any:  # fmt: skip
    """``tile_stencil(stencil, tile, a, at, top, left, IH, IW, step, lines, DW, WS, w, wi)``: add a plane's stencil.

    Element (oc, m, n) of the tile gets the sum over kh and kw of ``w[wi + (kh * KW + kw) * OCB + oc] *
    x[top + m * SH + kh * DH, left + n * SW + kw * DW]``, where ``x`` is a plane of IH x IW elements, zero outside
    of it, whose element (top, left) is, or would be, ``a[at]``. Rows that are ``lines`` apart are ``step`` elements
    apart in ``a``; columns of one remainder by SW are ``WS`` from those of the next, if they are copied.
    """
    if not _is_stencil(stencil):
        return None
    s: Stencil = stencil.value

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, taps = data_pointer(context, builder, a, arguments[2]), data_pointer(context, builder, w, arguments[12])
        start, line, column, height, width, row_step, line_step, across, pitch = (
            index_value(context, builder, typ, value)
            for typ, value in zip((at, top, left, IH, IW, step, lines, DW, WS), arguments[3:12], strict=True)
        )
        taps = builder.gep(taps, [index_value(context, builder, wi, arguments[13])])
        place = builder.gep(source, [start])
        vector = context.get_value_type(tile).elements[0]

        def weight(k: int) -> Any:
            return splat(builder, builder.load(builder.gep(taps, [across.type(k)])), s.lanes)

        def beside(kw: int, at: int) -> Any:
            if not s.masked and s.SW > 1:
                if s.DW:
                    return builder.add(builder.mul(pitch, pitch.type(kw % s.SW)), pitch.type(kw // s.SW + at))
                begin, stride = builder.mul(across, across.type(kw)), across.type(s.SW)
                copied = builder.mul(pitch, builder.urem(begin, stride))
                return builder.add(builder.add(copied, builder.udiv(begin, stride)), pitch.type(at))
            if s.DW:
                return across.type(kw * s.DW + at)
            return builder.add(builder.mul(across, across.type(kw)), across.type(at))

        held = {k: weight(k) for k in sorted(s.place(*tap) for tap in s.taps)} if s.held else {}
        offsets = [beside(*load) for load in s.loads]
        masks = [
            _in_row(builder, builder.add(column, offset), width, s.lanes) if s.masked else None for offset in offsets
        ]
        totals = [builder.extract_value(arguments[1], slot) for slot in range(s.OCB * s.R * s.NV)]
        pick = RegisterPicks(builder) if s.keeps else functools.partial(picked, builder)
        before, line = 0, hidden(builder, line)
        for row, uses in s.rows:
            # By additions from row to row: what would be multiplied is not known before the run. They are hidden, or
            # all rows would be found outside the loops, and kept in memory.
            for _ in range(row - before):
                place = builder.gep(place, [row_step])
                line = builder.add(line, line.type(1) if s.DH else line_step)
            if row > before:
                place, before = hidden(builder, place), row
            old_totals = list(totals)
            entry = builder.block
            with builder.if_then(builder.icmp_unsigned("<", line, height), likely=True):
                if s.ahead and row < s.R * s.SH:
                    _prefetch(builder, s, builder.gep(place, [builder.mul(width, width.type(s.R * s.SH))]))
                pieces = _Pieces(builder, place, offsets, vector, masks)
                if not s.waiting:
                    # LLVM moves loads to where they are used, but from here on better than from there.
                    list(pieces)
                for kw in range(s.KW):
                    for v, oc, (m, kh) in s.order(uses, kw):
                        slot, k = s.slot(oc, m, v), s.place(oc, kh, kw)
                        pixels = _pixels(pick, s, pieces, kw, v)
                        totals[slot] = fma(builder, held[k] if held else weight(k), pixels, totals[slot])
                inner = builder.block
            for slot, (old, new) in enumerate(zip(old_totals, totals, strict=True)):
                if new is not old:
                    phi = builder.phi(vector)
                    phi.add_incoming(old, entry)
                    phi.add_incoming(new, inner)
                    totals[slot] = phi
        result = arguments[1]
        for slot, total in enumerate(totals):
            result = builder.insert_value(result, total, slot)
        return result

    return tile(stencil, tile, a, at, top, left, IH, IW, step, lines, DW, WS, w, wi), codegen


@intrinsic
def tile_store_channels(
    typingctx: Any, stencil: Any, tile: Any, c: Any, ci: Any, plane: Any, row: Any, live: Any, lines: Any, below: Any,
    columns: Any, r: Any, slope: Any,
) -> Any:  # fmt: skip
    """``tile_store_channels(stencil, tile, c, ci, plane, row, live, lines, below, columns, r, slope)``.

    Writes element (oc, m, n), finished with residual ``r`` and ``slope``, to ``c[ci + oc * plane + m * row + n]``,
    for ``oc < live``, ``m < lines`` and, if the tile is wider than a row, ``n < row``.
    Of each plane ``below`` rows from the first of the tile on are the caller's, who writes the others later.
    If the result is spread, its rows and columns are those of all remainders in turn, and of a row ``columns`` elements
    from the tile's first on exist.
    """
    if not _is_stencil(stencil):
        return None
    s: Stencil = stencil.value

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data, added, factor = (
            data_pointer(context, builder, typ, value)
            for typ, value in ((c, arguments[2]), (r, arguments[10]), (slope, arguments[11]))
        )
        start, across, down, channels, height, after, width = (
            index_value(context, builder, typ, value)
            for typ, value in zip((ci, plane, row, live, lines, below, columns), arguments[3:10], strict=True)
        )
        together = s.row_step * s.result_step
        for first in range(0, s.OCB, together):
            with builder.if_then(builder.icmp_signed("<", channels.type(first), channels), likely=True):
                rows = []
                for m, a in itertools.product(range(s.R), range(s.row_step)):
                    of_columns = [
                        [
                            builder.extract_value(arguments[1], s.slot(first + a * s.result_step + b, m, v))
                            for b in range(s.result_step)
                        ]
                        for v in range(s.NV)
                    ]
                    rows.append([each for vectors in of_columns for each in in_turn(builder, vectors)])
                ends, exist = s.narrow, None
                if s.spread is not None:
                    rows = [row[: s.spread.vectors] for row in rows]
                    ends = s.spread.ragged
                    exist = width if ends and not s.narrow else None
                store_rows(builder, s.epilogue, rows, data, added, factor, start, down, height, after, ends, exist)
            start = builder.add(start, across)
        return context.get_dummy_value()

    return types.void(stencil, tile, c, ci, plane, row, live, lines, below, columns, r, slope), codegen


class _Pieces(Sequence[ir.Value]):
    """The vectors of a source row, each loaded when it is first asked for."""

    def __init__(
        self,
        builder: Any,
        place: ir.Value,
        offsets: list[ir.Value],
        vector: ir.VectorType,
        masks: list[ir.Value | None],
    ) -> None:
        self._load = builder, place, vector
        self._where = list(zip(offsets, masks, strict=True))
        self._loaded: dict[int, ir.Value] = {}

    def __len__(self) -> int:
        return len(self._where)

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return [self[n] for n in range(len(self))[i]]
        if i not in self._loaded:
            (builder, place, vector), (offset, mask) = self._load, self._where[i]
            if mask is None:
                self._loaded[i] = load_vector(builder, place, offset, vector)
            else:
                self._loaded[i] = masked_load(builder, vector, place, offset, mask)
        return self._loaded[i]


def _prefetch(builder: Any, s: Stencil, place: ir.Value) -> None:
    """Bring the cache lines of one source row under a tile into L1; never faults, wherever they lie."""
    number = ir.IntType(64)
    for v in range(s.NV * s.SW):
        # The last element of each vector: its line is the one that the vector before did not bring.
        here = builder.gep(place, [number((v + 1) * s.lanes - 1)])
        prefetch(builder, builder.bitcast(here, ir.IntType(8).as_pointer()))


def _pixels(pick: Callable[..., ir.Value], s: Stencil, pieces: Sequence[ir.Value], kw: int, v: int) -> ir.Value:
    """What kernel column ``kw`` multiplies of vector ``v``, out of the vectors that were loaded of a row."""
    if not s.P:
        at = v * s.lanes
        if s.DW and s.SW == 1:
            return pieces[[each + begin for each, begin in s.loads].index(kw + at)]
        return pieces[s.loads.index((kw, at))]
    if not s.DW:
        pieces = pieces[kw * s.P : (kw + 1) * s.P]
    first, others = s.shuffles(kw, v)
    result = pieces[first]
    for piece, lanes in others:
        result = pick(result, pieces[piece], lanes)
    return result
