"""A `HeightFilter` over a register tile, as intrinsics: transform, products, and outputs."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from kernels.machine.finish import store_finished
from kernels.machine.height_filter import HeightFilter
from kernels.machine.ir import (
    data_pointer,
    first_lanes,
    fma,
    index_value,
    load_vector,
    masked_load,
    scalar_type,
    splat,
    store_vector,
)
from kernels.machine.register_tile import TileType
from kernels.machine.static import StaticType

__all__ = ["filter_product", "filter_rows", "filter_store", "filter_zeros"]


def _is_filter(typ: Any) -> bool:
    return isinstance(typ, StaticType) and isinstance(typ.value, HeightFilter)


@intrinsic
def filter_rows(
    typingctx: Any, code: Any, a: Any, plane: Any, oh: Any, at: Any, IH: Any, IW: Any, PH: Any, PW: Any,
    b: Any, bi: Any, step: Any,
) -> Any:  # fmt: skip
    """``filter_rows(code, a, plane, oh, at, IH, IW, PH, PW, b, bi, step)``: transform a vector of source rows.

    Reads the rows that output rows ``oh`` and on stand on, and in them ``SW * lanes`` columns that
    begin at ``at * SW - PW``, of plane number ``plane`` of IH x IW elements, zeros outside of it.
    Every SW-th column, from column q on, of transformed row j goes to ``b[bi + (j * SW + q) * step :]``.
    """
    if not _is_filter(code):
        return None
    s: HeightFilter = code.value

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, target = (
            data_pointer(context, builder, a, arguments[1]),
            data_pointer(context, builder, b, arguments[9]),
        )
        number, row0, column0, height, width, above, before = (
            index_value(context, builder, typ, value)
            for typ, value in zip((plane, oh, at, IH, IW, PH, PW), arguments[2:9], strict=True)
        )
        first, pitch = (
            index_value(context, builder, typ, value) for typ, value in ((bi, arguments[10]), (step, arguments[11]))
        )
        vector = ir.VectorType(scalar_type(a.dtype), s.lanes)
        top = builder.sub(builder.mul(row0, row0.type(s.SH)), above)
        left = builder.sub(builder.mul(column0, column0.type(s.SW)), before)
        begins = [builder.add(left, left.type(v * s.lanes)) for v in range(s.SW)]
        masks = [[_inside(builder, s, begin, width, strip) for begin in begins] for strip in range(s.PACK)]
        streams: list[list[Any]] = [[] for _ in range(s.SW)]
        for i in s.rows:
            pieces = [ir.Constant(vector, None)] * s.SW
            for strip, insides in enumerate(masks):
                row = builder.add(top, top.type(i + strip * s.m * s.SH))
                live = builder.icmp_unsigned("<", row, height)
                start = builder.mul(builder.add(builder.mul(number, height), row), width)
                start = builder.sub(start, start.type(strip * s.pitch))
                for v, (begin, inside) in enumerate(zip(begins, insides, strict=True)):
                    mask = builder.select(live, inside, ir.Constant(inside.type, [0] * s.lanes))
                    value = masked_load(builder, vector, source, builder.add(start, begin), mask)
                    pieces[v] = builder.select(inside, value, pieces[v]) if strip else value
            for q, stream in enumerate(streams):
                stream.append(pieces[0] if s.SW == 1 else _every_second(builder, pieces[0], pieces[1], q))
        for q, stream in enumerate(streams):
            for j, value in enumerate(s.into.emit(builder, stream)):
                place = builder.add(first, builder.mul(pitch, pitch.type(j * s.SW + q)))
                store_vector(builder, value, target, place)
        return context.get_dummy_value()

    return types.void(code, a, plane, oh, at, IH, IW, PH, PW, b, bi, step), codegen


def _inside(builder: Any, s: HeightFilter, begin: ir.Value, width: ir.Value, strip: int) -> ir.Value:
    """The lanes of a strip, whose first is column ``begin``, that lie in a row."""
    first = begin.type(strip * s.pitch)
    low = builder.sub(first, begin)
    inside = builder.and_(
        builder.not_(first_lanes(builder, low, s.lanes)), first_lanes(builder, builder.add(low, width), s.lanes)
    )
    return builder.and_(inside, _lanes(inside.type, strip * s.pitch, (strip + 1) * s.pitch))


def _lanes(mask: ir.VectorType, begin: int, end: int) -> ir.Constant:
    return ir.Constant(mask, [int(begin <= lane < end) for lane in range(mask.count)])


def _every_second(builder: Any, low: ir.Value, high: ir.Value, first: int) -> ir.Value:
    lanes = low.type.count
    picks = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [2 * i + first for i in range(lanes)])
    return builder.shuffle_vector(low, high, picks)


@intrinsic
def filter_zeros(typingctx: Any, code: Any, like: Any) -> Any:
    """``filter_zeros(code, like)``: a tile of zeros of the element type of ``like``."""
    if not _is_filter(code):
        return None
    tile = TileType(code.value.tile, like.dtype)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(context.get_value_type(tile), None)

    return tile(code, like), codegen


@intrinsic
def filter_product(typingctx: Any, code: Any, tile: Any, b: Any, bi: Any, step: Any, w: Any, wi: Any) -> Any:
    """``filter_product(code, tile, b, bi, step, w, wi)``: add one input channel's products.

    Element (oc, j, i) gets the sum over kw of
    ``w[wi + (j * KW + kw) * OCB + oc]`` times column ``i * SW + kw * DW`` of transformed row j,
    which `filter_rows` wrote.
    """
    if not _is_filter(code):
        return None
    s: HeightFilter = code.value

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, taps = data_pointer(context, builder, b, arguments[2]), data_pointer(context, builder, w, arguments[5])
        start, pitch, first = (
            index_value(context, builder, typ, value)
            for typ, value in ((bi, arguments[3]), (step, arguments[4]), (wi, arguments[6]))
        )
        vector = context.get_value_type(tile).elements[0]
        result = arguments[1]
        for j in range(s.n):
            totals = [builder.extract_value(result, oc * s.n + j) for oc in range(s.OCB)]
            for kw in range(s.KW):
                shift, q = divmod(kw * s.DW, s.SW)
                line = builder.add(start, builder.mul(pitch, pitch.type(j * s.SW + q)))
                pixels = load_vector(builder, source, builder.add(line, line.type(shift)), vector)
                for oc in range(s.OCB):
                    place = builder.gep(taps, [builder.add(first, first.type((j * s.KW + kw) * s.OCB + oc))])
                    totals[oc] = fma(builder, splat(builder, builder.load(place), s.lanes), pixels, totals[oc])
            for oc, total in enumerate(totals):
                result = builder.insert_value(result, total, oc * s.n + j)
        return result

    return tile(code, tile, b, bi, step, w, wi), codegen


@intrinsic
def filter_store(
    typingctx: Any, code: Any, tile: Any, bias: Any, at: Any, c: Any, plane: Any, oh: Any, ow: Any, OH: Any, OW: Any,
    live: Any, epilogue: Any, r: Any,
) -> Any:  # fmt: skip
    """``filter_store(code, tile, bias, at, c, plane, oh, ow, OH, OW, live, epilogue, r)``: m output rows a channel.

    Writes channel oc, plus ``bias[at + oc]`` and finished with residual ``r``, to rows ``oh`` and
    on and columns ``ow`` and on of plane number ``plane + oc`` of OH x OW elements, for
    ``oc < live`` and as far as rows and U reach.
    """
    if not _is_filter(code) or not isinstance(epilogue, StaticType):
        return None
    s: HeightFilter = code.value

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        biases, data, residual = (
            data_pointer(context, builder, typ, value)
            for typ, value in ((bias, arguments[2]), (c, arguments[4]), (r, arguments[12]))
        )
        channel = index_value(context, builder, at, arguments[3])
        number, row0, column0, height, width, channels = (
            index_value(context, builder, typ, value)
            for typ, value in zip((plane, oh, ow, OH, OW, live), arguments[5:11], strict=True)
        )
        bits = ir.VectorType(ir.IntType(1), s.lanes)
        for oc in range(s.OCB):
            with builder.if_then(builder.icmp_signed("<", channel.type(oc), channels), likely=True):
                value = builder.load(builder.gep(biases, [builder.add(channel, channel.type(oc))]))
                bias_vector = splat(builder, value, s.lanes)
                first_row = builder.mul(builder.add(number, number.type(oc)), height)
                products = [builder.extract_value(arguments[1], oc * s.n + j) for j in range(s.n)]
                totals = [builder.fadd(line, bias_vector) for line in s.out.emit(builder, products)]
                for strip, i in ((strip, i) for strip in range(s.PACK) for i in range(s.m)):
                    row = builder.add(row0, row0.type(strip * s.m + i))
                    with builder.if_then(builder.icmp_signed("<", row, height), likely=True):
                        place = builder.add(builder.mul(builder.add(first_row, row), width), column0)
                        if s.lanes == s.U:
                            store_finished(builder, epilogue.value, totals[i], data, residual, place)
                        else:
                            first = strip * s.pitch
                            mask = _lanes(bits, first, first + s.U)
                            place = builder.sub(place, place.type(first))
                            store_finished(builder, epilogue.value, totals[i], data, residual, place, mask)
        return context.get_dummy_value()

    return types.void(code, tile, bias, at, c, plane, oh, ow, OH, OW, live, epilogue, r), codegen
