"""Minimal filtering along the height of a map, with pixels of a row in vectors.

F(m, KH) over rows: n = m + KH - 1 source rows become n transformed rows, each of which is
multiplied with its own taps, and the products of all input channels become m output rows.
Kernel columns are shifts of a transformed row, as in a direct convolution. Neither
transform moves a pixel to another lane, so that both are a few instructions a vector.
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
    KW, DW : int
        Kernel columns and their dilation.
    into, out : MatrixCodelet
        From n source rows to n transformed ones; from those to m output rows.
    """

    OCB: int
    lanes: int
    U: int
    KW: int
    DW: int
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
    typingctx: Any, code: Any, a: Any, plane: Any, ih: Any, iw: Any, IH: Any, IW: Any, b: Any, bi: Any, step: Any
) -> Any:
    """``filter_rows(code, a, plane, ih, iw, IH, IW, b, bi, step)``: transform a vector of n source rows.

    Reads rows ``ih`` and on, columns ``iw`` and on, of plane number ``plane`` of IH x IW
    elements, zeros outside of it; writes row j to ``b[bi + j * step :]``.
    """
    if not _is_filter(code):
        return None
    s: HeightFilter = code.value

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, target = (
            data_pointer(context, builder, a, arguments[1]),
            data_pointer(context, builder, b, arguments[7]),
        )
        number, top, left, height, width = (
            index_value(context, builder, typ, value)
            for typ, value in zip((plane, ih, iw, IH, IW), arguments[2:7], strict=True)
        )
        first, pitch = (
            index_value(context, builder, typ, value) for typ, value in ((bi, arguments[8]), (step, arguments[9]))
        )
        vector = ir.VectorType(scalar_type(a.dtype), s.lanes)
        begin = builder.neg(left)
        inside = builder.and_(
            builder.not_(first_lanes(builder, begin, s.lanes)),
            first_lanes(builder, builder.sub(width, left), s.lanes),
        )
        nothing = ir.Constant(inside.type, [0] * s.lanes)
        rows = []
        for i in range(s.n):
            row = builder.add(top, top.type(i))
            mask = builder.select(builder.icmp_unsigned("<", row, height), inside, nothing)
            at = builder.add(builder.mul(builder.add(builder.mul(number, height), row), width), left)
            rows.append(masked_load(builder, vector, source, at, mask))
        for j, value in enumerate(s.into.emit(builder, rows)):
            store_vector(builder, value, target, builder.add(first, builder.mul(pitch, pitch.type(j))))
        return context.get_dummy_value()

    return types.void(code, a, plane, ih, iw, IH, IW, b, bi, step), codegen


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
    ``w[wi + (j * KW + kw) * OCB + oc] * b[bi + j * step + i + kw * DW]``.
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
            line = builder.add(start, builder.mul(pitch, pitch.type(j)))
            totals = [builder.extract_value(result, oc * s.n + j) for oc in range(s.OCB)]
            for kw in range(s.KW):
                pixels = load_vector(builder, source, builder.add(line, line.type(kw * s.DW)), vector)
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
