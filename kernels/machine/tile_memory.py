"""Register tiles from memory and back: whole, in part, strided, transposed.

Stores that end a convolution, `tile_store_partial`, `tile_store_columns` and `tile_store_transposed`, take the
`Epilogue` as a `Static` and the array that is the residual, laid out as the result.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from kernels.machine.finish import store_finished
from kernels.machine.ir import (
    data_pointer,
    element_bytes,
    every,
    first_lanes,
    index_value,
    load_vector,
    masked_load,
    pieces,
    prefetch,
    store_vector,
    transpose,
)
from kernels.machine.register_tile import TileType
from kernels.machine.static import StaticType, intrinsic
from kernels.machine.tile_shape import TileShape

__all__ = [
    "ask_for",
    "tile_load",
    "tile_load_partial",
    "tile_load_strided",
    "tile_scatter",
    "tile_store",
    "tile_store_columns",
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
def tile_load_strided(typingctx: Any, shape: Any, step: Any, a: Any, ai: Any, stride: Any, begin: Any, end: Any) -> Any:
    """``tile_load_strided(shape, step, a, ai, stride, begin, end)``: one vector, MR = NV = 1.

    Element n is ``a[ai + n * step]`` for ``begin <= n < end``, the others are zero, wherever they would lie. Every
    ``step`` vectors that hold the elements are loaded and shuffled. If the constant ``step`` is 0 it is ``stride``,
    and elements are loaded one by one.
    """
    if not isinstance(shape, StaticType) or not isinstance(step, StaticType):
        return None
    tile = TileType(shape.value, a.dtype)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        model, lanes = context.get_value_type(tile), tile.shape.lanes
        data = data_pointer(context, builder, a, arguments[2])
        start, pitch, low, high = (
            index_value(context, builder, typ, value)
            for typ, value in zip((ai, stride, begin, end), arguments[3:], strict=True)
        )
        vector = model.elements[0]
        if step.value == 0:
            value = _one_by_one(builder, vector, builder.gep(data, [start]), pitch, low, high)
            return builder.insert_value(ir.Constant(model, ir.Undefined), value, 0)
        pitch = start.type(step.value)
        first = builder.mul(low, pitch)
        last = builder.add(builder.mul(builder.sub(high, high.type(1)), pitch), high.type(1))
        loaded = []
        for v in range(step.value):
            at = start.type(v * lanes)
            before, inside = (first_lanes(builder, builder.sub(bound, at), lanes) for bound in (first, last))
            mask = builder.and_(builder.not_(before), inside)
            loaded.append(masked_load(builder, vector, data, builder.add(start, at), mask))
        return builder.insert_value(ir.Constant(model, ir.Undefined), every(builder, loaded, step.value), 0)

    return tile(shape, step, a, ai, stride, begin, end), codegen


def _one_by_one(
    builder: Any, vector: ir.VectorType, place: ir.Value, stride: ir.Value, low: ir.Value, high: ir.Value
) -> ir.Value:
    """A vector of the elements ``low <= n < high`` of ``place``, ``stride`` apart, among zeros."""
    result = cgutils.alloca_once_value(builder, ir.Constant(vector, [0.0] * vector.count))
    with cgutils.for_range_slice(builder, low, high, low.type(1)) as (index, _):
        element = builder.load(builder.gep(place, [builder.mul(index, stride)]))
        lane = builder.trunc(index, ir.IntType(32))
        builder.store(builder.insert_element(builder.load(result), element, lane), result)
    return builder.load(result)


@intrinsic
def ask_for(typingctx: Any, a: Any, ai: Any) -> Any:
    """``ask_for(a, ai)``: have the cache line of ``a[ai]`` brought to L1; it need not be memory that may be read."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = data_pointer(context, builder, a, arguments[0])
        prefetch(builder, builder.gep(data, [index_value(context, builder, ai, arguments[1])]))
        return context.get_dummy_value()

    return types.void(a, ai), codegen


@intrinsic
def ask_to_write(typingctx: Any, a: Any, ai: Any) -> Any:
    """``ask_to_write(a, ai)``: have the cache line of ``a[ai]`` brought to L1 as one that no other core has."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = data_pointer(context, builder, a, arguments[0])
        place = builder.gep(data, [index_value(context, builder, ai, arguments[1])])
        prefetch(builder, place, to_write=True)
        return context.get_dummy_value()

    return types.void(a, ai), codegen


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
def tile_scatter(typingctx: Any, tile: Any, width: Any, c: Any, ci: Any, places: Any, pi: Any, rows: Any) -> Any:
    """``tile_scatter(tile, width, c, ci, places, pi, rows)``, NV = 1.

    The first ``width`` elements of row m go to ``c[ci + places[pi + m] :]``, for ``m < rows``.
    """
    if not isinstance(width, StaticType) or tile.shape.NV != 1:
        return None

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data, table = (data_pointer(context, builder, typ, arguments[i]) for i, typ in ((2, c), (4, places)))
        start, first, live = (
            index_value(context, builder, typ, arguments[i]) for i, typ in ((3, ci), (5, pi), (6, rows))
        )
        for m in range(tile.shape.MR):
            with builder.if_then(builder.icmp_signed("<", live.type(m), live), likely=True):
                row = builder.extract_value(arguments[0], m)
                place = builder.load(builder.gep(table, [builder.add(first, first.type(m))]))
                offset = builder.add(start, place)
                if width.value == tile.shape.lanes:
                    store_vector(builder, row, data, offset)
                else:
                    for at, piece in pieces(builder, row, width.value):
                        store_vector(builder, piece, data, builder.add(offset, offset.type(at)))
        return context.get_dummy_value()

    return types.void(tile, width, c, ci, places, pi, rows), codegen


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
        leak = data_pointer(context, builder, slope, arguments[8])
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
def tile_store_columns(
    typingctx: Any, tile: Any, c: Any, ci: Any, row_step: Any, columns: Any, partial: Any, epilogue: Any, r: Any,
    slope: Any,
) -> Any:  # fmt: skip
    """``tile_store_columns(tile, c, ci, row_step, columns, partial, epilogue, r, slope)``.

    Writes element (m, n), finished with residual ``r``, to ``c[ci + m * row_step + n]`` for every row m and, if
    ``partial``, for ``n < columns``, which ends in the last of the NV vectors.
    """
    if not isinstance(epilogue, StaticType) or not isinstance(partial, StaticType):
        return None

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        size = tile.shape
        data, added = data_pointer(context, builder, c, arguments[1]), data_pointer(context, builder, r, arguments[7])
        leak = data_pointer(context, builder, slope, arguments[8])
        start, step, live = (
            index_value(context, builder, typ, value)
            for typ, value in zip((ci, row_step, columns), arguments[2:5], strict=True)
        )
        last = first_lanes(builder, builder.sub(live, live.type((size.NV - 1) * size.lanes)), size.lanes)
        for slot, offset in _vector_offsets(builder, size, start, step):
            mask = last if partial.value and slot % size.NV == size.NV - 1 else None
            value = builder.extract_value(arguments[0], slot)
            store_finished(builder, epilogue.value, value, data, added, offset, leak, mask)
        return context.get_dummy_value()

    return types.void(tile, c, ci, row_step, columns, partial, epilogue, r, slope), codegen


@intrinsic
def tile_store_transposed(
    typingctx: Any, tile: Any, c: Any, ci: Any, column_step: Any, room: Any, columns: Any, partial: Any, epilogue: Any,
    r: Any, slope: Any,
) -> Any:  # fmt: skip
    """``tile_store_transposed(tile, c, ci, column_step, room, columns, partial, epilogue, r, slope)``.

    Writes element (m, n), finished with residual ``r``, to ``c[ci + n * column_step + m]`` for every row m and, if
    ``partial``, for ``n < columns``: pixels by channels in registers become channel planes in memory. Elements up to
    ``ci + n * column_step + room`` are the caller's, who writes what is behind the tile afterwards.

    With vectors of 64 bytes a part of a vector is stored by a mask, which is free there. With narrower ones a
    masked store takes microcode on some CPUs, 18 cycles where a whole vector takes one. So whole vectors are stored
    where there is room, and else parts of 4, 2 and 1 elements.
    """
    if not isinstance(epilogue, StaticType) or not isinstance(partial, StaticType):
        return None

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        size = tile.shape
        vector = context.get_value_type(tile).elements[0]
        has_masks = size.lanes * element_bytes(vector) == 64
        data, added = data_pointer(context, builder, c, arguments[1]), data_pointer(context, builder, r, arguments[8])
        leak = data_pointer(context, builder, slope, arguments[9])
        start, step, left, live = (
            index_value(context, builder, typ, value)
            for typ, value in zip((ci, column_step, room, columns), arguments[2:6], strict=True)
        )

        def finish(channel: ir.Value, offset: ir.Value, count: int) -> None:
            """Store the first ``count`` elements of one channel."""
            if count == size.lanes:
                store_finished(builder, epilogue.value, channel, data, added, offset, leak)
            elif has_masks:
                mask = ir.Constant(ir.VectorType(ir.IntType(1), size.lanes), [n < count for n in range(size.lanes)])
                store_finished(builder, epilogue.value, channel, data, added, offset, leak, mask)
            else:
                for first, piece in pieces(builder, channel, count):
                    place = builder.add(offset, offset.type(first))
                    store_finished(builder, epilogue.value, piece, data, added, place, leak)

        def store(channels: list[ir.Value], place: ir.Value, n: int, count: int) -> None:
            offset = place
            for lane, channel in enumerate(channels):
                if partial.value:
                    with builder.if_then(builder.icmp_signed("<", step.type(n + lane), live), likely=True):
                        finish(channel, offset, count)
                else:
                    finish(channel, offset, count)
                offset = builder.add(offset, step)

        for first in range(0, size.MR, size.lanes):
            here = min(size.lanes, size.MR - first)
            for v in range(size.NV):
                square = [
                    builder.extract_value(arguments[0], m * size.NV + v)
                    if m < size.MR
                    else ir.Constant(vector, ir.Undefined)
                    for m in range(first, first + size.lanes)
                ]
                channels = transpose(builder, square)
                n = v * size.lanes
                place = builder.add(builder.add(start, start.type(first)), builder.mul(step, step.type(n)))
                if here == size.lanes or has_masks:
                    store(channels, place, n, here)
                    continue
                fits = builder.icmp_signed(">=", left, left.type(first + size.lanes))
                with builder.if_else(fits, likely=True) as (then, otherwise):
                    with then:
                        store(channels, place, n, size.lanes)
                    with otherwise:
                        store(channels, place, n, here)
        return context.get_dummy_value()

    signature = types.void(tile, c, ci, column_step, room, columns, partial, epilogue, r, slope)
    return signature, codegen
