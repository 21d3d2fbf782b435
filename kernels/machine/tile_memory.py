"""Register tiles from memory and back: whole, in part, strided, transposed.

Stores that end a convolution, `tile_store_partial` and `tile_store_transposed`, take the
`Epilogue` as a `Static` and the array that is the residual, laid out as the result.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from kernels.machine.finish import store_finished
from kernels.machine.ir import (
    data_pointer,
    every,
    first_lanes,
    index_value,
    load_vector,
    masked_load,
    store_vector,
    transpose,
)
from kernels.machine.register_tile import TileType
from kernels.machine.static import StaticType
from kernels.machine.tile_shape import TileShape

__all__ = [
    "tile_load",
    "tile_load_partial",
    "tile_load_strided",
    "tile_store",
    "tile_store_partial",
    "tile_store_transposed",
]


def _vector_offsets(builder: Any, size: TileShape, start: ir.Value, step: ir.Value) -> Iterator[tuple[int, ir.Value]]:
    for m in range(size.MR):
        row = builder.add(start, builder.mul(step, step.type(m)))
        for v in range(size.NV):
            yield m * size.NV + v, builder.add(row, row.type(v * size.lanes))


@intrinsic
def tile_load(typingctx: Any, shape: Any, a: Any, ai: Any, row_step: Any) -> Any:
    """``tile_load(shape, a, ai, row_step)``: row m is ``a[ai + m * row_step :][:NR]``."""
    if not isinstance(shape, StaticType):
        return None
    tile = TileType(shape.value, a.dtype)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        model = context.get_value_type(tile)
        data = data_pointer(context, builder, a, arguments[1])
        start = index_value(context, builder, ai, arguments[2])
        step = index_value(context, builder, row_step, arguments[3])
        result = ir.Constant(model, ir.Undefined)
        for slot, offset in _vector_offsets(builder, tile.shape, start, step):
            result = builder.insert_value(result, load_vector(builder, data, offset, model.elements[0]), slot)
        return result

    return tile(shape, a, ai, row_step), codegen


@intrinsic
def tile_load_partial(
    typingctx: Any, shape: Any, a: Any, ai: Any, row_step: Any, rows: Any, begin: Any, end: Any
) -> Any:
    """``tile_load_partial(shape, a, ai, row_step, rows, begin, end)``, NV = 1.

    As `tile_load`, but only elements ``begin <= n < end`` of rows ``m < rows`` are read; the
    others are zero, wherever they would lie.
    """
    if not isinstance(shape, StaticType) or shape.value.NV != 1:
        return None
    tile = TileType(shape.value, a.dtype)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        model, lanes = context.get_value_type(tile), tile.shape.lanes
        data = data_pointer(context, builder, a, arguments[1])
        start, step, live, low, high = (
            index_value(context, builder, typ, value)
            for typ, value in zip((ai, row_step, rows, begin, end), arguments[2:], strict=True)
        )
        inside = builder.and_(builder.not_(first_lanes(builder, low, lanes)), first_lanes(builder, high, lanes))
        nothing = ir.Constant(inside.type, [0] * lanes)
        result = ir.Constant(model, ir.Undefined)
        for slot, offset in _vector_offsets(builder, tile.shape, start, step):
            mask = builder.select(builder.icmp_signed("<", live.type(slot), live), inside, nothing)
            value = masked_load(builder, model.elements[0], data, offset, mask)
            result = builder.insert_value(result, value, slot)
        return result

    return tile(shape, a, ai, row_step, rows, begin, end), codegen


@intrinsic
def tile_load_strided(typingctx: Any, shape: Any, step: Any, a: Any, ai: Any, begin: Any, end: Any) -> Any:
    """``tile_load_strided(shape, step, a, ai, begin, end)``: one vector, MR = NV = 1.

    Element n is ``a[ai + n * step]`` for ``begin <= n < end``, the others are zero, wherever
    they would lie. Every ``step`` vectors that hold the elements are loaded and shuffled.
    """
    if not isinstance(shape, StaticType) or not isinstance(step, StaticType):
        return None
    tile = TileType(shape.value, a.dtype)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        model, lanes = context.get_value_type(tile), tile.shape.lanes
        data = data_pointer(context, builder, a, arguments[2])
        start, low, high = (
            index_value(context, builder, typ, value)
            for typ, value in zip((ai, begin, end), arguments[3:], strict=True)
        )
        stride = start.type(step.value)
        first = builder.mul(low, stride)
        last = builder.add(builder.mul(builder.sub(high, high.type(1)), stride), high.type(1))
        loaded = []
        for v in range(step.value):
            at = start.type(v * lanes)
            before, inside = (first_lanes(builder, builder.sub(bound, at), lanes) for bound in (first, last))
            mask = builder.and_(builder.not_(before), inside)
            loaded.append(masked_load(builder, model.elements[0], data, builder.add(start, at), mask))
        return builder.insert_value(ir.Constant(model, ir.Undefined), every(builder, loaded, step.value), 0)

    return tile(shape, step, a, ai, begin, end), codegen


@intrinsic
def tile_store(typingctx: Any, tile: Any, c: Any, ci: Any, row_step: Any) -> Any:
    """``tile_store(tile, c, ci, row_step)``: row m goes to ``c[ci + m * row_step :][:NR]``."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = data_pointer(context, builder, c, arguments[1])
        start = index_value(context, builder, ci, arguments[2])
        step = index_value(context, builder, row_step, arguments[3])
        for slot, offset in _vector_offsets(builder, tile.shape, start, step):
            store_vector(builder, builder.extract_value(arguments[0], slot), data, offset)
        return context.get_dummy_value()

    return types.void(tile, c, ci, row_step), codegen


@intrinsic
def tile_store_partial(
    typingctx: Any, tile: Any, c: Any, ci: Any, row_step: Any, rows: Any, columns: Any, epilogue: Any, r: Any,
    slope: Any,
) -> Any:  # fmt: skip
    """``tile_store_partial(tile, c, ci, row_step, rows, columns, epilogue, r, slope)``.

    Writes element (m, n), finished with residual ``r``, to ``c[ci + m * row_step + n]`` for
    ``m < rows`` and ``n < columns``.
    """
    if not isinstance(epilogue, StaticType):
        return None

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        size = tile.shape
        data, added = data_pointer(context, builder, c, arguments[1]), data_pointer(context, builder, r, arguments[7])
        leak = None if slope == types.none else data_pointer(context, builder, slope, arguments[8])
        start, step, live_rows, live_columns = (
            index_value(context, builder, typ, value)
            for typ, value in zip((ci, row_step, rows, columns), arguments[2:6], strict=True)
        )
        whole = builder.and_(
            builder.icmp_signed(">=", live_rows, step.type(size.MR)),
            builder.icmp_signed(">=", live_columns, step.type(size.NV * size.lanes)),
        )
        # Most tiles are whole: their stores need neither test nor mask.
        with builder.if_else(whole, likely=True) as (then, otherwise):
            with then:
                for slot, offset in _vector_offsets(builder, size, start, step):
                    value = builder.extract_value(arguments[0], slot)
                    store_finished(builder, epilogue.value, value, data, added, offset, leak)
            with otherwise:
                masks = [
                    first_lanes(builder, builder.sub(live_columns, step.type(v * size.lanes)), size.lanes)
                    for v in range(size.NV)
                ]
                offsets = _vector_offsets(builder, size, start, step)
                for m in range(size.MR):
                    places = [next(offsets) for _ in range(size.NV)]
                    with builder.if_then(builder.icmp_signed("<", step.type(m), live_rows)):
                        for (slot, offset), mask in zip(places, masks, strict=True):
                            value = builder.extract_value(arguments[0], slot)
                            store_finished(builder, epilogue.value, value, data, added, offset, leak, mask)
        return context.get_dummy_value()

    return types.void(tile, c, ci, row_step, rows, columns, epilogue, r, slope), codegen


@intrinsic
def tile_store_transposed(
    typingctx: Any, tile: Any, c: Any, ci: Any, column_step: Any, rows: Any, columns: Any, epilogue: Any, r: Any,
    slope: Any,
) -> Any:  # fmt: skip
    """``tile_store_transposed(tile, c, ci, column_step, rows, columns, epilogue, r, slope)``.

    Writes element (m, n), finished with residual ``r``, to ``c[ci + n * column_step + m]`` for
    ``m < rows`` and ``n < columns``: pixels by channels in registers become channel planes in memory.
    """
    if not isinstance(epilogue, StaticType):
        return None

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        size = tile.shape
        vector = context.get_value_type(tile).elements[0]
        data, added = data_pointer(context, builder, c, arguments[1]), data_pointer(context, builder, r, arguments[7])
        leak = None if slope == types.none else data_pointer(context, builder, slope, arguments[8])
        start, step, live_rows, live_columns = (
            index_value(context, builder, typ, value)
            for typ, value in zip((ci, column_step, rows, columns), arguments[2:6], strict=True)
        )
        whole = builder.and_(
            builder.icmp_signed(">=", live_rows, step.type(size.MR)),
            builder.icmp_signed(">=", live_columns, step.type(size.NV * size.lanes)),
        )
        for first in range(0, size.MR, size.lanes):
            rows_here = min(size.lanes, size.MR - first)
            for v in range(size.NV):
                square = [
                    builder.extract_value(arguments[0], m * size.NV + v)
                    if m < size.MR
                    else ir.Constant(vector, ir.Undefined)
                    for m in range(first, first + size.lanes)
                ]
                channels = transpose(builder, square)
                place = builder.add(builder.add(start, start.type(first)), builder.mul(step, step.type(v * size.lanes)))
                # Most tiles are whole: their stores need no test, and a mask that is a constant.
                with builder.if_else(whole, likely=True) as (then, otherwise):
                    for branch in (then, otherwise):
                        with branch:
                            offset, live = place, step.type(rows_here)
                            if branch is otherwise:
                                live = builder.sub(live_rows, live_rows.type(first))
                            mask = first_lanes(builder, live, size.lanes)
                            for lane, channel in enumerate(channels):
                                finish = functools.partial(store_finished, builder, epilogue.value, channel, data, added)
                                if branch is then:
                                    finish(offset, leak, mask)
                                else:
                                    n = start.type(v * size.lanes + lane)
                                    with builder.if_then(builder.icmp_signed("<", n, live_columns)):
                                        finish(offset, leak, mask)
                                offset = builder.add(offset, step)
        return context.get_dummy_value()

    return types.void(tile, c, ci, column_step, rows, columns, epilogue, r, slope), codegen
