"""The microkernels of a filter along the height: the transform of a strip, and its products.

Batched are all input channels and columns of a strip in the transform, and all output channels and columns in the
products: a vector of either takes 20 to 100 cycles, as long as a call with what it reads of its extents.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from kernels.algorithms.winograd1d.filter import HeightFilter, RowTransform, row_filter
from kernels.machine.ir import (
    data_pointer,
    every,
    first_lanes,
    fma,
    index_value,
    load_vector,
    masked_load,
    scalar_type,
    splat,
    store_vector,
)
from kernels.machine.microkernel import Elements, Offsets, microkernel
from kernels.machine.register_tile import TileType
from kernels.machine.row_store import store_rows
from kernels.machine.static import StaticType, intrinsic, number

__all__ = ["EXTENTS", "filter_tiles", "transform_rows"]

#: What the microkernels read of the extents, in this order.
EXTENTS = ("OH", "OW", "IH", "IW", "PW", "WS", "DW", "ICG", "OCG", "TAIL")


@microkernel
def transform_rows(spec, src: Elements, rows: Elements, z: Offsets, top: int):
    """Transform the strip of all input channels of a group that begins at source row ``top``."""
    LANES, N = number(spec.lanes), number(spec.n)
    SW = number(spec.SW)
    IH, IW, PW, WS, ICG, TAIL = z[2], z[3], z[4], z[5], z[7], z[9]
    STEP = N * SW * WS
    # What a shift of the last row reads behind it.
    for i in range(TAIL):
        rows[ICG * STEP + i] = 0.0
    # Columns outside: what is masked of a vector is found once for all channels.
    for at in range(0, WS, LANES):
        plane, to = 0, at
        for _ in range(ICG):
            filter_rows(spec, src, plane, top, at * SW - PW, IH, IW, rows, to, WS)
            plane += IH * IW
            to += STEP


@microkernel
def filter_tiles(
    spec, rows: Elements, wei: Elements, bia: Elements, dst: Elements, residual: Elements, slope: Elements, z: Offsets,
    oh: int, begin: int, end: int,
):  # fmt: skip
    """Columns ``begin`` to ``end`` of the output rows from ``oh`` on, of all output channels of a group."""
    LANES, OCB, TAPS = number(spec.lanes), number(spec.OCB), number(spec.TAPS)
    N, SW = number(spec.n), number(spec.SW)
    OH, OW, WS, DW, ICG, OCG = z[0], z[1], z[5], z[6], z[7], z[8]
    # The last tile of a row reaches back, so that it is whole.
    LAST = max(0, end - LANES)
    weights = 0
    for first in range(0, OCG, OCB):
        for column in range(begin, end, LANES):
            ow = min(column, LAST)
            tile = filter_zeros(spec, rows)
            at, wi = ow, weights
            for _ in range(ICG):
                tile = filter_product(spec, tile, rows, at, WS, DW, wei, wi)
                at += N * SW * WS
                wi += TAPS
            to = (first * OH + oh) * OW + ow
            filter_store(spec, tile, bia, first, dst, to, OH * OW, OW, OCG - first, OH - oh, residual, slope)
        weights += ICG * TAPS


def _is(kind: type, typ: Any) -> bool:
    return isinstance(typ, StaticType) and isinstance(typ.value, kind)


@intrinsic
def filter_rows(
    typingctx: Any, code: Any, a: Any, ai: Any, top: Any, left: Any, IH: Any, IW: Any, b: Any, bi: Any, step: Any
) -> Any:
    """``filter_rows(code, a, ai, top, left, IH, IW, b, bi, step)``: transform a vector of source rows.

    Reads rows ``top`` and on of the plane of IH x IW elements at ``a[ai]``, and in them ``SW * lanes`` columns from
    ``left`` on; outside of it are zeros.
    Every SW-th column, from column q on, of transformed row j goes to ``b[bi + (j * SW + q) * step :]``.
    """
    if not _is(RowTransform, code):
        return None
    s: RowTransform = code.value
    filter_ = row_filter(s.SH)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, target = (
            data_pointer(context, builder, typ, value) for typ, value in ((a, arguments[1]), (b, arguments[7]))
        )
        start, row0, column0, height, width, first, pitch = (
            index_value(context, builder, typ, arguments[i])
            for i, typ in ((2, ai), (3, top), (4, left), (5, IH), (6, IW), (8, bi), (9, step))
        )
        vector = ir.VectorType(scalar_type(a.dtype), s.lanes)
        source = builder.gep(source, [start])
        begins = [builder.add(column0, column0.type(v * s.lanes)) for v in range(s.SW)]

        def masked() -> list[list[Any]]:
            masks = [[_inside(builder, s, begin, width, strip) for begin in begins] for strip in range(s.PACK)]
            found = []
            for i in sorted(filter_.rows):
                pieces = [ir.Constant(vector, None)] * s.SW
                for strip, insides in enumerate(masks):
                    row = builder.add(row0, row0.type(i + strip * s.m * s.SH))
                    live = builder.icmp_unsigned("<", row, height)
                    place = builder.sub(builder.mul(row, width), row.type(strip * s.pitch))
                    for v, (begin, inside) in enumerate(zip(begins, insides, strict=True)):
                        mask = builder.select(live, inside, ir.Constant(inside.type, [0] * s.lanes))
                        value = masked_load(builder, vector, source, builder.add(place, begin), mask)
                        pieces[v] = builder.select(inside, value, pieces[v]) if strip else value
                found.append(pieces)
            return found

        def plain() -> list[list[Any]]:
            place = builder.gep(source, [builder.add(builder.mul(row0, width), column0)])
            found = []
            for _ in filter_.rows:
                found.append([load_vector(builder, place, width.type(v * s.lanes), vector) for v in range(s.SW)])
                place = builder.gep(place, [width])
            return found

        if s.PACK > 1:
            loaded = masked()
        else:
            last = row0.type(max(filter_.rows))
            tests = [
                builder.icmp_signed(">=", row0, row0.type(0)),
                builder.icmp_signed("<", builder.add(row0, last), height),
                builder.icmp_signed(">=", column0, column0.type(0)),
                builder.icmp_signed("<=", builder.add(column0, column0.type(s.SW * s.lanes)), width),
            ]
            within = tests[0]
            for test in tests[1:]:
                within = builder.and_(within, test)
            with builder.if_else(within, likely=True) as (then, otherwise):
                with then:
                    one, here = plain(), builder.block
                with otherwise:
                    other, there = masked(), builder.block
            loaded = []
            for pair in zip(one, other, strict=True):
                loaded.append([])
                for value, beside in zip(*pair, strict=True):
                    piece = builder.phi(vector)
                    piece.add_incoming(value, here)
                    piece.add_incoming(beside, there)
                    loaded[-1].append(piece)
        for q in range(s.SW):
            stream = [every(builder, loaded[i], s.SW, q) for i in filter_.rows]
            for j, value in enumerate(filter_.into.emit(builder, stream)):
                place = builder.add(first, builder.mul(pitch, pitch.type(j * s.SW + q)))
                store_vector(builder, value, target, place)
        return context.get_dummy_value()

    return types.void(code, a, ai, top, left, IH, IW, b, bi, step), codegen


def _inside(builder: Any, s: RowTransform, begin: ir.Value, width: ir.Value, strip: int) -> ir.Value:
    """The lanes of a strip, whose first is column ``begin``, that lie in a row."""
    first = begin.type(strip * s.pitch)
    low = builder.sub(first, begin)
    inside = builder.and_(
        builder.not_(first_lanes(builder, low, s.lanes)), first_lanes(builder, builder.add(low, width), s.lanes)
    )
    lanes = range(strip * s.pitch, (strip + 1) * s.pitch)
    return builder.and_(inside, ir.Constant(inside.type, [int(lane in lanes) for lane in range(s.lanes)]))


@intrinsic
def filter_zeros(typingctx: Any, code: Any, like: Any) -> Any:
    """``filter_zeros(code, like)``: a tile of zeros of the element type of ``like``."""
    if not _is(HeightFilter, code):
        return None
    tile = TileType(code.value.tile, like.dtype)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(context.get_value_type(tile), None)

    return tile(code, like), codegen


@intrinsic
def filter_product(typingctx: Any, code: Any, tile: Any, b: Any, bi: Any, step: Any, DW: Any, w: Any, wi: Any) -> Any:
    """``filter_product(code, tile, b, bi, step, DW, w, wi)``: add one input channel's products.

    Element (oc, j, i) gets the sum over kw of
    ``w[wi + (j * KW + kw) * OCB + oc]`` times column ``i * SW + kw * DW`` of transformed row j,
    which `filter_rows` wrote.
    """
    if not _is(HeightFilter, code):
        return None
    s: HeightFilter = code.value

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, taps = data_pointer(context, builder, b, arguments[2]), data_pointer(context, builder, w, arguments[6])
        start, pitch, dilation, first = (
            index_value(context, builder, typ, arguments[i]) for i, typ in ((3, bi), (4, step), (5, DW), (7, wi))
        )
        vector = context.get_value_type(tile).elements[0]
        result = arguments[1]
        line, taps = builder.gep(source, [start]), builder.gep(taps, [first])

        def beside(kw: int) -> Any:
            if s.DW:
                return builder.add(builder.mul(pitch, pitch.type(kw % s.SW)), pitch.type(kw // s.SW))
            begin, stride = builder.mul(dilation, dilation.type(kw)), dilation.type(s.SW)
            return builder.add(builder.mul(pitch, builder.urem(begin, stride)), builder.udiv(begin, stride))

        offsets = [beside(kw) for kw in range(s.KW)]
        down = builder.mul(pitch, pitch.type(s.SW))
        for j in range(s.n):
            totals = [builder.extract_value(result, oc * s.n + j) for oc in range(s.OCB)]
            for kw in range(s.KW):
                pixels = load_vector(builder, line, offsets[kw], vector)
                for oc in range(s.OCB):
                    place = builder.gep(taps, [first.type((j * s.KW + kw) * s.OCB + oc)])
                    totals[oc] = fma(builder, splat(builder, builder.load(place), s.lanes), pixels, totals[oc])
            for oc, total in enumerate(totals):
                result = builder.insert_value(result, total, oc * s.n + j)
            line = builder.gep(line, [down])
        return result

    return tile(code, tile, b, bi, step, DW, w, wi), codegen


@intrinsic
def filter_store(
    typingctx: Any, code: Any, tile: Any, bias: Any, at: Any, c: Any, ci: Any, plane: Any, row: Any, live: Any,
    lines: Any, r: Any, slope: Any,
) -> Any:  # fmt: skip
    """``filter_store(code, tile, bias, at, c, ci, plane, row, live, lines, r, slope)``: m output rows a channel.

    Writes channel oc, plus ``bias[at + oc]`` and finished with residual ``r`` and ``slope``, to rows of
    ``c[ci + oc * plane :]`` that are ``row`` apart, for ``oc < live`` and as far as ``lines`` and ``row`` reach.
    """
    if not _is(HeightFilter, code):
        return None
    s: HeightFilter = code.value

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        biases, data, residual, factor = (
            data_pointer(context, builder, typ, arguments[i]) for i, typ in ((2, bias), (4, c), (10, r), (11, slope))
        )
        channel, place, across, down, channels, height = (
            index_value(context, builder, typ, arguments[i])
            for i, typ in ((3, at), (5, ci), (6, plane), (7, row), (8, live), (9, lines))
        )
        for oc in range(s.OCB):
            with builder.if_then(builder.icmp_signed("<", channel.type(oc), channels), likely=True):
                value = builder.load(builder.gep(biases, [builder.add(channel, channel.type(oc))]))
                bias_vector = splat(builder, value, s.lanes)
                products = [builder.extract_value(arguments[1], oc * s.n + j) for j in range(s.n)]
                totals = [builder.fadd(line, bias_vector) for line in row_filter(s.SH).out.emit(builder, products)]
                rows = [[_part(builder, s, total, strip)] for strip in range(s.PACK) for total in totals]
                store_rows(builder, s.epilogue, rows, data, residual, factor, place, down, height, None, s.narrow)
            place = builder.add(place, across)
        return context.get_dummy_value()

    return types.void(code, tile, bias, at, c, ci, plane, row, live, lines, r, slope), codegen


def _part(builder: Any, s: HeightFilter, total: ir.Value, strip: int) -> ir.Value:
    """The lanes of a strip."""
    if s.PACK == 1:
        return total
    lanes = list(range(strip * s.pitch, (strip + 1) * s.pitch))
    return builder.shuffle_vector(total, total, ir.Constant(ir.VectorType(ir.IntType(32), s.pitch), lanes))
