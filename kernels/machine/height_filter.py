"""Minimal filtering along the height of a map, with pixels of a row in vectors.

Source rows become n transformed rows, each of which is multiplied with its own taps, and the
products of all input channels become m output rows. Kernel columns are shifts of a
transformed row, as in a direct convolution. Neither transform moves a pixel to another lane,
so that both are a few instructions a vector; strides between columns are taken out before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from kernels.machine.blocking import TileShape
from kernels.machine.codelets import MatrixCodelet
from kernels.machine.emit import (
    data_pointer,
    first_lanes,
    fma,
    index_value,
    load_vector,
    masked_load,
    masked_store,
    scalar_type,
    splat,
    store_vector,
)
from kernels.machine.simd import TileType
from kernels.machine.static import StaticType

__all__ = ["HeightFilter", "filter_product", "filter_rows", "filter_store", "filter_zeros"]


@dataclass(frozen=True)
class HeightFilter:
    """A tile of OCB output channels x n transformed rows x one vector of columns.

    Attributes
    ----------
    OCB, lanes : int
        Output channels and elements a vector.
    U : int
        Output columns that count, at most ``lanes``.
    KW, SW, DW : int
        Kernel columns, the stride between output columns (1 or 2) and the dilation.
    SH : int
        Source rows from one output row to the next.
    rows : tuple of int
        Source rows, in the order in which ``into`` takes them.
    into, out : MatrixCodelet
        From source rows to n transformed ones; from those to m output rows.
    """

    OCB: int
    lanes: int
    U: int
    KW: int
    SW: int
    DW: int
    SH: int
    rows: tuple[int, ...]
    into: MatrixCodelet
    out: MatrixCodelet

    @property
    def n(self) -> int:
        """Transformed rows."""
        return self.into.outputs

    @property
    def m(self) -> int:
        """Output rows."""
        return self.out.outputs

    @property
    def tile(self) -> TileShape:
        """Rows are (channel, transformed row)."""
        return TileShape(self.OCB * self.n, 1, self.lanes)


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
        insides = [
            builder.and_(
                builder.not_(first_lanes(builder, builder.neg(begin), s.lanes)),
                first_lanes(builder, builder.sub(width, begin), s.lanes),
            )
            for begin in begins
        ]
        nothing = ir.Constant(insides[0].type, [0] * s.lanes)
        streams: list[list[Any]] = [[] for _ in range(s.SW)]
        for i in s.rows:
            row = builder.add(top, top.type(i))
            live = builder.icmp_unsigned("<", row, height)
            start = builder.mul(builder.add(builder.mul(number, height), row), width)
            pieces = [
                masked_load(builder, vector, source, builder.add(start, begin), builder.select(live, inside, nothing))
                for begin, inside in zip(begins, insides, strict=True)
            ]
            for q, stream in enumerate(streams):
                stream.append(pieces[0] if s.SW == 1 else _every_second(builder, pieces[0], pieces[1], q))
        for q, stream in enumerate(streams):
            for j, value in enumerate(s.into.emit(builder, stream)):
                place = builder.add(first, builder.mul(pitch, pitch.type(j * s.SW + q)))
                store_vector(builder, value, target, place)
        return context.get_dummy_value()

    return types.void(code, a, plane, oh, at, IH, IW, PH, PW, b, bi, step), codegen


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
    live: Any,
) -> Any:  # fmt: skip
    """``filter_store(code, tile, bias, at, c, plane, oh, ow, OH, OW, live)``: m output rows a channel.

    Writes channel oc, plus ``bias[at + oc]``, to rows ``oh`` and on and columns ``ow`` and on of
    plane number ``plane + oc`` of OH x OW elements, for ``oc < live`` and as far as rows and U reach.
    """
    if not _is_filter(code):
        return None
    s: HeightFilter = code.value

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        added, data = (
            data_pointer(context, builder, bias, arguments[2]),
            data_pointer(context, builder, c, arguments[4]),
        )
        channel = index_value(context, builder, at, arguments[3])
        number, row0, column0, height, width, channels = (
            index_value(context, builder, typ, value)
            for typ, value in zip((plane, oh, ow, OH, OW, live), arguments[5:], strict=True)
        )
        mask = first_lanes(builder, channel.type(s.U), s.lanes)
        for oc in range(s.OCB):
            with builder.if_then(builder.icmp_signed("<", channel.type(oc), channels), likely=True):
                value = builder.load(builder.gep(added, [builder.add(channel, channel.type(oc))]))
                bias_vector = splat(builder, value, s.lanes)
                products = [builder.extract_value(arguments[1], oc * s.n + j) for j in range(s.n)]
                for i, line in enumerate(s.out.emit(builder, products)):
                    row = builder.add(row0, row0.type(i))
                    with builder.if_then(builder.icmp_signed("<", row, height), likely=True):
                        here = builder.add(builder.mul(builder.add(number, number.type(oc)), height), row)
                        place = builder.add(builder.mul(here, width), column0)
                        total = builder.fadd(line, bias_vector)
                        if s.lanes == s.U:
                            store_vector(builder, total, data, place)
                        else:
                            masked_store(builder, total, data, place, mask)
        return context.get_dummy_value()

    return types.void(code, tile, bias, at, c, plane, oh, ow, OH, OW, live), codegen
