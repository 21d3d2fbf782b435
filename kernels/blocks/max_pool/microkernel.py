"""A run of rows of a max-pool: source rows are merged into one, whose neighbours are then merged.

Layout: planes as they are, NCHW; one row of scratch, [PW + IW + PW and vectors behind], with the least number on both
sides. Loops, outside in: output row; vectors of the KH source rows into the scratch; vectors of output from it. The
scratch is in L1, so a source row is read once for every output row that it is under.

A row takes some 150 cycles, so a call makes all the rows of a plane that a thread has.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir

from kernels.machine.ir import data_pointer, every, index_value, load_vector
from kernels.machine.microkernel import Elements, microkernel
from kernels.machine.register_tile import TileType
from kernels.machine.static import StaticType, intrinsic, number
from kernels.machine.target import inner
from kernels.machine.tile_memory import tile_load, tile_load_partial, tile_store
from kernels.machine.tile_shape import TileShape

__all__ = ["PoolSpec", "Window", "pool_rows"]


class Window(NamedTuple):
    """Neighbours along a row: ``KW`` elements, from one window to the next ``SW``, a vector of ``lanes`` windows."""

    KW: int
    SW: int
    lanes: int


class PoolSpec(NamedTuple):
    """What the rows are specialised by; ``KW`` and ``SW`` are 0 where they are given at run time alone."""

    dtype: str
    lanes: int
    KW: int
    SW: int

    @property
    def vector(self) -> TileShape:
        """One vector."""
        return TileShape(1, 1, self.lanes)

    @property
    def window(self) -> Window:
        """All neighbours in a row."""
        return Window(max(1, self.KW), max(1, self.SW), self.lanes)

    @property
    def column(self) -> Window:
        """The first neighbour alone."""
        return Window(1, max(1, self.SW), self.lanes)


def _greater(builder: ir.IRBuilder, one: ir.Value, other: ir.Value) -> ir.Value:
    # A comparison with NaN is false, which takes the second: the first alone needs a look.
    greater = builder.select(builder.fcmp_ordered(">", one, other), one, other)
    return builder.select(builder.fcmp_unordered("uno", one, one), one, greater)


@intrinsic
def tile_maximum(typingctx: Any, one: Any, other: Any) -> Any:
    """``tile_maximum(one, other)``: element by element the greater of two tiles."""
    if not isinstance(one, TileType) or one != other:
        return None

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        result = ir.Constant(context.get_value_type(one), ir.Undefined)
        for slot in range(one.shape.MR * one.shape.NV):
            pair = (builder.extract_value(each, slot) for each in arguments)
            result = builder.insert_value(result, _greater(builder, *pair), slot)
        return result

    return one(one, other), codegen


@intrinsic
def tile_window(typingctx: Any, window: Any, a: Any, ai: Any) -> Any:
    """``tile_window(window, a, ai)``: one vector, element n the greatest of ``a[ai + n * SW :][:KW]``.

    Read are whole vectors: ``a[ai:][: lanes * SW + KW]`` at most.
    """
    if not isinstance(window, StaticType) or not isinstance(window.value, Window):
        return None
    w: Window = window.value
    tile = TileType(TileShape(1, 1, w.lanes), a.dtype)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        model = context.get_value_type(tile)
        data = data_pointer(context, builder, a, arguments[1])
        start = index_value(context, builder, ai, arguments[2])
        greatest = None
        for first in range(0, w.KW, w.SW):
            # The same vectors serve all columns of a stride.
            loaded = [
                load_vector(builder, data, builder.add(start, start.type(first + v * w.lanes)), model.elements[0])
                for v in range(w.SW)
            ]
            for column in range(min(w.SW, w.KW - first)):
                value = every(builder, loaded, w.SW, column)
                greatest = value if greatest is None else _greater(builder, greatest, value)
        return builder.insert_value(ir.Constant(model, ir.Undefined), greatest, 0)

    return tile(window, a, ai), codegen


@inner
def _merge(spec, src, at, row, IW, PW, rows):
    """The greatest of ``rows`` rows of the source."""
    LANES = number(spec.lanes)
    for iw in range(0, IW, LANES):
        # The last vector reaches back, so that it is whole.
        column = min(iw, IW - LANES)
        tile = tile_load(spec.vector, src, at + column, 0)
        for ih in range(1, rows):
            tile = tile_maximum(tile, tile_load(spec.vector, src, at + column + ih * IW, 0))
        tile_store(tile, row, PW + column, 0)


@inner
def _merge_narrow(spec, src, at, row, IW, PW, rows):
    """As `_merge`, of rows that are shorter than a vector."""
    tile = tile_load_partial(spec.vector, src, at, 0, 1, 0, IW)
    for ih in range(1, rows):
        tile = tile_maximum(tile, tile_load_partial(spec.vector, src, at + ih * IW, 0, 1, 0, IW))
    tile_store(tile, row, PW, 0)


@inner
def _windows(spec, row, at, KW):
    """The greatest of each of a vector of windows."""
    if number(spec.KW) > 0:
        tile = tile_window(spec.window, row, at)
    else:
        tile = tile_window(spec.column, row, at)
        for kw in range(1, KW):
            tile = tile_maximum(tile, tile_window(spec.column, row, at + kw))
    return tile


@inner
def _windows_of_any_stride(row, dst, to, OW, KW, SW):
    for ow in range(OW):
        greatest = row[ow * SW]
        for kw in range(1, KW):
            value = row[ow * SW + kw]
            if value > greatest or value != value:
                greatest = value
        dst[to + ow] = greatest


@microkernel
def pool_rows(
    spec, src: Elements, dst: Elements, row: Elements, begin: int, end: int, room: int,
    IH: int, IW: int, OW: int, KH: int, KW: int, SH: int, SW: int, PH: int, PW: int,
):  # fmt: skip
    """Output rows ``begin`` to ``end`` of the plane at ``src``, the first of them to ``dst``.

    Of ``dst`` ``room`` elements may be written: those behind the rows with whatever.
    """
    LANES = number(spec.lanes)
    # Where a vector of windows is read beyond the row, and nobody looks at what is made of it.
    spare = PW + IW + PW
    for i in range(PW):
        row[i] = row[PW + IW + i] = -np.inf
    for oh in range(begin, end):
        top = oh * SH - PH
        first = max(0, top)
        count = min(IH, top + KH) - first
        at = first * IW
        if IW < LANES:
            _merge_narrow(spec, src, at, row, IW, PW, count)
            for i in range(PW):
                row[PW + IW + i] = -np.inf
        # As many as nearly always, and a number that is known: the loop over rows is none.
        elif count == 2:
            _merge(spec, src, at, row, IW, PW, 2)
        elif count == 3:
            _merge(spec, src, at, row, IW, PW, 3)
        else:
            _merge(spec, src, at, row, IW, PW, count)
        to = (oh - begin) * OW
        if number(spec.SW) == 0:
            _windows_of_any_stride(row, dst, to, OW, KW, SW)
        else:
            # Whole vectors, as long as there is room: the next row overwrites what one writes behind its own.
            whole = (OW + LANES - 1) // LANES * LANES
            last = whole if to + whole <= room else OW - OW % LANES
            for ow in range(0, last, LANES):
                tile_store(_windows(spec, row, ow * number(spec.SW), KW), dst, to + ow, 0)
            if last < OW:
                tile_store(_windows(spec, row, last * number(spec.SW), KW), row, spare, 0)
                for i in range(OW - last):
                    dst[to + last + i] = row[spare + i]
