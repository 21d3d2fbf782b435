"""Register tiles as Numba types: what the compiled loops keep in vector registers.

A *tile* is MR rows of NV vectors. Its data model is an LLVM struct of vectors, and every
operation is an intrinsic over the whole tile, unrolled while the IR is emitted through
``extractvalue`` and ``insertvalue``; LLVM then keeps each vector in a register of its own.
(A tuple of vectors indexed in a loop is never promoted to registers.) A kernel is plain
Python: `tile_rows`, a loop of `tile_rank1`, a store.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core.datamodel.models import PrimitiveModel
from numba.extending import register_model

from kernels.machine.ir import data_pointer, fma, index_value, load_vector, scalar_type, splat, transpose
from kernels.machine.static import StaticType, intrinsic
from kernels.machine.tile_shape import TileShape

__all__ = [
    "TileType",
    "tile_multiply",
    "tile_rank1",
    "tile_rows",
    "tile_scaled_plus",
    "tile_splat",
    "tile_transposed",
    "tile_zeros",
]


class TileType(types.Type):
    """Numba type of a tile."""

    def __init__(self, shape: TileShape, dtype: types.Type) -> None:
        self.shape = shape
        self.dtype = dtype
        super().__init__(name=f"Tile({shape!r}, {dtype})")


@register_model(TileType)
class _TileModel(PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: TileType) -> None:
        shape = fe_type.shape
        vector = ir.VectorType(scalar_type(fe_type.dtype), shape.lanes)
        super().__init__(dmm, fe_type, ir.LiteralStructType([vector] * (shape.MR * shape.NV)))


@intrinsic
def tile_rows(typingctx: Any, shape: Any, row: Any, at: Any) -> Any:
    """``tile_rows(shape, row, at)``: a tile whose every row is ``row[at : at + NR]``."""
    if not isinstance(shape, StaticType):
        return None
    tile = TileType(shape.value, row.dtype)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        size = tile.shape
        model = context.get_value_type(tile)
        data = data_pointer(context, builder, row, arguments[1])
        start = index_value(context, builder, at, arguments[2])
        vectors = [
            load_vector(builder, data, builder.add(start, start.type(v * size.lanes)), model.elements[0])
            for v in range(size.NV)
        ]
        result = ir.Constant(model, ir.Undefined)
        for m in range(size.MR):
            for v in range(size.NV):
                result = builder.insert_value(result, vectors[v], m * size.NV + v)
        return result

    return tile(shape, row, at), codegen


@intrinsic
def tile_zeros(typingctx: Any, shape: Any, like: Any) -> Any:
    """``tile_zeros(shape, like)``: a tile of zeros, of the elements that the array ``like`` has."""
    if not isinstance(shape, StaticType):
        return None
    tile = TileType(shape.value, like.dtype)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(context.get_value_type(tile), None)

    return tile(shape, like), codegen


@intrinsic
def tile_splat(typingctx: Any, shape: Any, a: Any, ai: Any) -> Any:
    """``tile_splat(shape, a, ai)``: a tile whose row m is ``a[ai + m]`` everywhere."""
    if not isinstance(shape, StaticType):
        return None
    tile = TileType(shape.value, a.dtype)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        size = tile.shape
        start = index_value(context, builder, ai, arguments[2])
        rows = builder.gep(data_pointer(context, builder, a, arguments[1]), [start])
        result = ir.Constant(context.get_value_type(tile), ir.Undefined)
        for m in range(size.MR):
            row = splat(builder, builder.load(builder.gep(rows, [start.type(m)])), size.lanes)
            for v in range(size.NV):
                result = builder.insert_value(result, row, m * size.NV + v)
        return result

    return tile(shape, a, ai), codegen


@intrinsic
def tile_rank1(typingctx: Any, tile: Any, a: Any, ai: Any, step: Any, b: Any, bi: Any) -> Any:
    """``tile_rank1(tile, a, ai, step, b, bi)``: add ``outer(a[ai::step][:MR], b[bi:][:NR])``.

    NV vector loads, MR broadcasts and MR x NV fused multiply-adds.
    """

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start, stride, at = (
            index_value(context, builder, typ, value)
            for typ, value in ((ai, arguments[2]), (step, arguments[3]), (bi, arguments[5]))
        )
        rows = builder.gep(data_pointer(context, builder, a, arguments[1]), [start])
        columns = builder.gep(data_pointer(context, builder, b, arguments[4]), [at])
        return _products(builder, arguments[0], tile.shape, rows, stride, columns, None)

    return tile(tile, a, ai, step, b, bi), codegen


@intrinsic
def tile_multiply(
    typingctx: Any, width: Any, tile: Any, a: Any, ai: Any, step: Any, a_part: Any, b: Any, bi: Any
) -> Any:
    """``tile_multiply(width, tile, a, ai, step, a_part, b, bi)``: one step of a product of real or complex numbers.

    Width 1 is `tile_rank1`. Width 2 is complex: imaginary parts of ``a`` stand ``a_part``
    behind the real ones; in the tile and in ``b`` the first half of the NV vectors is real,
    the second imaginary. Four fused multiply-adds a product.
    """
    if not isinstance(width, StaticType) or width.value not in (1, 2):
        return None

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start, stride, part, at = (
            index_value(context, builder, typ, value)
            for typ, value in ((ai, arguments[3]), (step, arguments[4]), (a_part, arguments[5]), (bi, arguments[7]))
        )
        rows = builder.gep(data_pointer(context, builder, a, arguments[2]), [start])
        columns = builder.gep(data_pointer(context, builder, b, arguments[6]), [at])
        return _products(builder, arguments[1], tile.shape, rows, stride, columns, part if width.value == 2 else None)

    return tile(width, tile, a, ai, step, a_part, b, bi), codegen


def _products(
    builder: Any, tile: Any, size: TileShape, rows: Any, stride: Any, columns: Any, imaginary: ir.Value | None
) -> Any:
    """Add one product of every row with every column; ``imaginary`` is the offset of those parts."""
    lanes, half = size.lanes, size.NV // 2
    vector = ir.VectorType(rows.type.pointee, lanes)
    zero = stride.type(0)
    values = [load_vector(builder, columns, zero.type(v * lanes), vector) for v in range(size.NV)]
    for m in range(size.MR):
        place = builder.gep(rows, [builder.mul(stride, stride.type(m))])
        totals = [builder.extract_value(tile, m * size.NV + v) for v in range(size.NV)]
        x = splat(builder, builder.load(place), lanes)
        totals = [fma(builder, x, value, total) for value, total in zip(values, totals, strict=True)]
        if imaginary is not None:
            y = splat(builder, builder.load(builder.gep(place, [imaginary])), lanes)
            minus = builder.fneg(y)
            for v in range(half):
                totals[v] = fma(builder, minus, values[half + v], totals[v])
                totals[half + v] = fma(builder, y, values[v], totals[half + v])
        for v, total in enumerate(totals):
            tile = builder.insert_value(tile, total, m * size.NV + v)
    return tile


@intrinsic
def tile_transposed(typingctx: Any, tile: Any) -> Any:
    """``tile_transposed(tile)``: rows become columns, of a square tile: MR = lanes, NV = 1."""
    if tile.shape.lanes != tile.shape.MR or tile.shape.NV != 1:
        return None

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        result = ir.Constant(context.get_value_type(tile), ir.Undefined)
        rows = [builder.extract_value(arguments[0], m) for m in range(tile.shape.MR)]
        for m, row in enumerate(transpose(builder, rows)):
            result = builder.insert_value(result, row, m)
        return result

    return tile(tile), codegen


@intrinsic
def tile_scaled_plus(typingctx: Any, tile: Any, factors: Any, row: Any, at: Any) -> Any:
    """``tile_scaled_plus(tile, factors, row, at)``: rows times ``factors[at : at + NR]``, plus those of ``row``."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        size, result = tile.shape, arguments[0]
        data = [data_pointer(context, builder, each, arguments[n]) for n, each in ((1, factors), (2, row))]
        start = index_value(context, builder, at, arguments[3])
        for v in range(size.NV):
            place = builder.add(start, start.type(v * size.lanes))
            factor, added = (
                load_vector(builder, each, place, context.get_value_type(tile).elements[0]) for each in data
            )
            for slot in range(v, size.MR * size.NV, size.NV):
                total = fma(builder, builder.extract_value(result, slot), factor, added)
                result = builder.insert_value(result, total, slot)
        return result

    return tile(tile, factors, row, at), codegen
