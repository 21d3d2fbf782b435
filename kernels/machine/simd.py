"""Register tiles as Numba types: what the compiled loops keep in vector registers.

A *tile* is MR rows of NV vectors. Its data model is an LLVM struct of vectors, and every
operation is an intrinsic over the whole tile, unrolled while the IR is emitted through
``extractvalue`` and ``insertvalue``; LLVM then keeps each vector in a register of its own.
(A tuple of vectors indexed in a loop is never promoted to registers.) A kernel is plain
Python: `tile_rows`, a loop of `tile_rank1`, a store.

`Static` carries a compile-time constant in the *type* of an argument, so that one source
of a kernel is specialised, and cached on disk, per tile shape.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel.models import OpaqueModel, PrimitiveModel
from numba.extending import NativeValue, intrinsic, register_model, typeof_impl, unbox

__all__ = [
    "Static",
    "TileShape",
    "lanes_of",
    "linear_map",
    "static",
    "tile_load",
    "tile_rank1",
    "tile_rows",
    "tile_store",
    "tile_store_partial",
    "tile_store_transposed",
    "vector_bytes",
]


@functools.cache
def vector_bytes() -> int:
    """Bytes of the vectors in use: the CPU's widest, or ``CONVMARK_VECTOR_BYTES``.

    Raises
    ------
    ValueError
        The variable is not 16, 32 or 64.
    """
    forced = os.environ.get("CONVMARK_VECTOR_BYTES")
    if forced is not None:
        if forced not in ("16", "32", "64"):
            raise ValueError(f"CONVMARK_VECTOR_BYTES is {forced!r}, expected 16, 32 or 64")
        return int(forced)
    features = llvm.get_host_cpu_features()
    if features.get("avx512f"):
        return 64
    return 32 if features.get("avx2") and features.get("fma") else 16


@dataclass(frozen=True)
class TileShape:
    """MR rows of NV vectors of ``lanes`` elements."""

    MR: int
    NV: int
    lanes: int

    @property
    def NR(self) -> int:
        """Columns in elements."""
        return self.NV * self.lanes


@dataclass(frozen=True)
class Static:
    """A hashable value that compiled code sees as a constant; make one with `static`."""

    value: Any


def static(value: Any) -> Static:
    """Wrap a compile-time constant to pass it to a kernel."""
    return Static(value)


class StaticType(types.Type):
    """The type of a `Static`: the value is in the type, no data at run time."""

    def __init__(self, value: Any) -> None:
        self.value = value
        super().__init__(name=f"Static({value!r})")


class TileType(types.Type):
    """Numba type of a tile."""

    def __init__(self, shape: TileShape, dtype: types.Type) -> None:
        self.shape = shape
        self.dtype = dtype
        super().__init__(name=f"Tile({shape!r}, {dtype})")


@typeof_impl.register(Static)
def _typeof_static(value: Static, context: Any) -> StaticType:
    return StaticType(value.value)


register_model(StaticType)(OpaqueModel)


@unbox(StaticType)
def _unbox_static(typ: StaticType, obj: Any, c: Any) -> NativeValue:
    return NativeValue(c.context.get_dummy_value())


@register_model(TileType)
class _TileModel(PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: TileType) -> None:
        shape = fe_type.shape
        vector = ir.VectorType(_scalar(fe_type.dtype), shape.lanes)
        super().__init__(dmm, fe_type, ir.LiteralStructType([vector] * (shape.MR * shape.NV)))


def _scalar(dtype: types.Type) -> ir.Type:
    return ir.FloatType() if dtype == types.float32 else ir.DoubleType()


def _data(context: Any, builder: ir.IRBuilder, typ: types.Array, value: ir.Value) -> ir.Value:
    return context.make_array(typ)(context, builder, value).data


def _index(context: Any, builder: ir.IRBuilder, typ: types.Type, value: ir.Value) -> ir.Value:
    """An index as intp; a `Static` becomes a constant of the IR."""
    if isinstance(typ, StaticType):
        return context.get_constant(types.intp, typ.value)
    return context.cast(builder, value, typ, types.intp)


def _load_vector(builder: ir.IRBuilder, data: ir.Value, offset: ir.Value, vector: ir.VectorType) -> ir.Value:
    place = builder.bitcast(builder.gep(data, [offset]), vector.as_pointer())
    return builder.load(place, align=_element_bytes(vector))


def _store_vector(builder: ir.IRBuilder, value: ir.Value, data: ir.Value, offset: ir.Value) -> None:
    place = builder.bitcast(builder.gep(data, [offset]), value.type.as_pointer())
    builder.store(value, place, align=_element_bytes(value.type))


def _element_bytes(vector: ir.VectorType) -> int:
    return 4 if isinstance(vector.element, ir.FloatType) else 8


def _splat(builder: ir.IRBuilder, value: ir.Value, lanes: int) -> ir.Value:
    vector = ir.VectorType(value.type, lanes)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
    return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), zeros)


def _named(builder: ir.IRBuilder, name: str, result: ir.Type, arguments: list[ir.Type]) -> ir.Function:
    """LLVM intrinsics over vectors, by name (llvmlite's ``declare_intrinsic`` refuses vectors)."""
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, arguments), name)


def _suffix(vector: ir.VectorType) -> str:
    return f"v{vector.count}f{8 * _element_bytes(vector)}"


@intrinsic
def tile_rows(typingctx: Any, shape: Any, row: Any, at: Any) -> Any:
    """``tile_rows(shape, row, at)``: a tile whose every row is ``row[at : at + NR]``."""
    if not isinstance(shape, StaticType):
        return None
    tile = TileType(shape.value, row.dtype)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        size = tile.shape
        model = context.get_value_type(tile)
        data = _data(context, builder, row, arguments[1])
        start = _index(context, builder, at, arguments[2])
        vectors = [
            _load_vector(builder, data, builder.add(start, start.type(v * size.lanes)), model.elements[0])
            for v in range(size.NV)
        ]
        result = ir.Constant(model, ir.Undefined)
        for m in range(size.MR):
            for v in range(size.NV):
                result = builder.insert_value(result, vectors[v], m * size.NV + v)
        return result

    return tile(shape, row, at), codegen


@intrinsic
def tile_rank1(typingctx: Any, tile: Any, a: Any, ai: Any, step: Any, b: Any, bi: Any) -> Any:
    """``tile_rank1(tile, a, ai, step, b, bi)``: add ``outer(a[ai::step][:MR], b[bi:][:NR])``.

    NV vector loads, MR broadcasts and MR x NV fused multiply-adds.
    """

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        size = tile.shape
        vector = context.get_value_type(tile).elements[0]
        fma = _named(builder, f"llvm.fma.{_suffix(vector)}", vector, [vector] * 3)
        result = arguments[0]
        a_data, b_data = _data(context, builder, a, arguments[1]), _data(context, builder, b, arguments[4])
        a_start, stride, b_start = (
            _index(context, builder, typ, value)
            for typ, value in ((ai, arguments[2]), (step, arguments[3]), (bi, arguments[5]))
        )
        columns = [
            _load_vector(builder, b_data, builder.add(b_start, b_start.type(v * size.lanes)), vector)
            for v in range(size.NV)
        ]
        origin = builder.gep(a_data, [a_start])
        for m in range(size.MR):
            place = builder.gep(origin, [builder.mul(stride, stride.type(m))])
            pixel = _splat(builder, builder.load(place), size.lanes)
            for v in range(size.NV):
                slot = m * size.NV + v
                total = builder.call(fma, [pixel, columns[v], builder.extract_value(result, slot)])
                result = builder.insert_value(result, total, slot)
        return result

    return tile(tile, a, ai, step, b, bi), codegen


def _transpose(builder: ir.IRBuilder, rows: list[ir.Value]) -> list[ir.Value]:
    """Transpose a square of vectors by log2(lanes) stages of block swaps."""
    lanes = len(rows)
    vector = rows[0].type
    mask_type = ir.VectorType(ir.IntType(32), lanes)
    span = 1
    while span < lanes:
        low = ir.Constant(mask_type, [j if not j & span else lanes + j - span for j in range(lanes)])
        high = ir.Constant(mask_type, [j + span if not j & span else lanes + j for j in range(lanes)])
        for i in range(lanes):
            if not i & span:
                first, second = rows[i], rows[i + span]
                rows[i] = builder.shuffle_vector(first, second, low)
                rows[i + span] = builder.shuffle_vector(first, second, high)
        span *= 2
    assert rows[0].type == vector
    return rows


@intrinsic
def tile_store_transposed(typingctx: Any, tile: Any, c: Any, ci: Any, column_step: Any, rows: Any, columns: Any) -> Any:
    """``tile_store_transposed(tile, c, ci, column_step, rows, columns)``.

    Writes element (m, n) to ``c[ci + n * column_step + m]`` for ``m < rows`` and
    ``n < columns``: pixels by channels in registers become channel planes in memory.
    """

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        size = tile.shape
        vector = context.get_value_type(tile).elements[0]
        data = _data(context, builder, c, arguments[1])
        start, step, live_rows, live_columns = (
            _index(context, builder, typ, value)
            for typ, value in zip((ci, column_step, rows, columns), arguments[2:], strict=True)
        )
        for first in range(0, size.MR, size.lanes):
            mask = _first_lanes(builder, builder.sub(live_rows, live_rows.type(first)), size)
            for v in range(size.NV):
                square = [
                    builder.extract_value(arguments[0], m * size.NV + v)
                    if m < size.MR
                    else ir.Constant(vector, ir.Undefined)
                    for m in range(first, first + size.lanes)
                ]
                for lane, channel in enumerate(_transpose(builder, square)):
                    n = start.type(v * size.lanes + lane)
                    with builder.if_then(builder.icmp_signed("<", n, live_columns), likely=True):
                        offset = builder.add(builder.add(start, start.type(first)), builder.mul(n, step))
                        _masked_store(builder, channel, data, offset, mask)
        return context.get_dummy_value()

    return types.void(tile, c, ci, column_step, rows, columns), codegen


@intrinsic
def tile_load(typingctx: Any, shape: Any, a: Any, ai: Any, row_step: Any) -> Any:
    """``tile_load(shape, a, ai, row_step)``: row m is ``a[ai + m * row_step :][:NR]``."""
    if not isinstance(shape, StaticType):
        return None
    tile = TileType(shape.value, a.dtype)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        model = context.get_value_type(tile)
        data = _data(context, builder, a, arguments[1])
        start = _index(context, builder, ai, arguments[2])
        step = _index(context, builder, row_step, arguments[3])
        result = ir.Constant(model, ir.Undefined)
        for slot, offset in _vector_offsets(builder, tile.shape, start, step):
            result = builder.insert_value(result, _load_vector(builder, data, offset, model.elements[0]), slot)
        return result

    return tile(shape, a, ai, row_step), codegen


@intrinsic
def tile_store(typingctx: Any, tile: Any, c: Any, ci: Any, row_step: Any) -> Any:
    """``tile_store(tile, c, ci, row_step)``: row m goes to ``c[ci + m * row_step :][:NR]``."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = _data(context, builder, c, arguments[1])
        start = _index(context, builder, ci, arguments[2])
        step = _index(context, builder, row_step, arguments[3])
        for slot, offset in _vector_offsets(builder, tile.shape, start, step):
            _store_vector(builder, builder.extract_value(arguments[0], slot), data, offset)
        return context.get_dummy_value()

    return types.void(tile, c, ci, row_step), codegen


def _vector_offsets(builder: Any, size: TileShape, start: ir.Value, step: ir.Value) -> Iterator[tuple[int, ir.Value]]:
    for m in range(size.MR):
        row = builder.add(start, builder.mul(step, step.type(m)))
        for v in range(size.NV):
            yield m * size.NV + v, builder.add(row, row.type(v * size.lanes))


@intrinsic
def tile_store_partial(typingctx: Any, tile: Any, c: Any, ci: Any, row_step: Any, rows: Any, columns: Any) -> Any:
    """``tile_store_partial(tile, c, ci, row_step, rows, columns)``.

    Writes element (m, n) to ``c[ci + m * row_step + n]`` for ``m < rows`` and ``n < columns``.
    """

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        size = tile.shape
        data = _data(context, builder, c, arguments[1])
        start, step, live_rows, live_columns = (
            _index(context, builder, typ, value)
            for typ, value in zip((ci, row_step, rows, columns), arguments[2:], strict=True)
        )
        masks = [
            _first_lanes(builder, builder.sub(live_columns, step.type(v * size.lanes)), size) for v in range(size.NV)
        ]
        offsets = _vector_offsets(builder, size, start, step)
        for m in range(size.MR):
            places = [next(offsets) for _ in range(size.NV)]
            with builder.if_then(builder.icmp_signed("<", step.type(m), live_rows), likely=True):
                for (slot, offset), mask in zip(places, masks, strict=True):
                    _masked_store(builder, builder.extract_value(arguments[0], slot), data, offset, mask)
        return context.get_dummy_value()

    return types.void(tile, c, ci, row_step, rows, columns), codegen


def _first_lanes(builder: Any, count: ir.Value, size: TileShape) -> ir.Value:
    """A mask of the lanes below ``count``."""
    numbers = ir.Constant(ir.VectorType(count.type, size.lanes), list(range(size.lanes)))
    return builder.icmp_signed("<", numbers, _splat(builder, count, size.lanes))


def _masked_store(builder: Any, value: ir.Value, data: ir.Value, offset: ir.Value, mask: ir.Value) -> None:
    vector = value.type
    number = ir.IntType(32)
    kinds = [vector, vector.as_pointer(), number, mask.type]
    store = _named(builder, f"llvm.masked.store.{_suffix(vector)}.p0", ir.VoidType(), kinds)
    place = builder.bitcast(builder.gep(data, [offset]), vector.as_pointer())
    builder.call(store, [value, place, ir.Constant(number, _element_bytes(vector)), mask])


@intrinsic
def linear_map(
    typingctx: Any, matrix: Any, lanes: Any, a: Any, ai: Any, a_step: Any, c: Any, ci: Any, c_step: Any
) -> Any:
    """``linear_map(matrix, lanes, a, ai, a_step, c, ci, c_step)``: a small constant matrix times vectors.

    Input j is the vector at ``a[ai + j * a_step]``, output i goes to ``c[ci + i * c_step]``.
    ``matrix`` is a `Static` tuple of rows. Zeros cost nothing, and two rows that agree in
    even columns and are opposite in odd ones (points +p and -p of a Cook-Toom transform)
    share their halves: ``even + odd`` and ``even - odd``.
    """
    if not isinstance(matrix, StaticType) or not isinstance(lanes, StaticType):
        return None

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rows = matrix.value
        vector = ir.VectorType(_scalar(a.dtype), lanes.value)
        source, target = _data(context, builder, a, arguments[2]), _data(context, builder, c, arguments[5])
        a_start, a_stride, c_start, c_stride = (
            _index(context, builder, typ, arguments[i]) for typ, i in ((ai, 3), (a_step, 4), (ci, 6), (c_step, 7))
        )
        inputs = [
            _load_vector(builder, source, builder.add(a_start, builder.mul(a_stride, a_stride.type(j))), vector)
            for j in range(len(rows[0]))
        ]
        for i, total in _combine(builder, rows, inputs):
            _store_vector(builder, total, target, builder.add(c_start, builder.mul(c_stride, c_stride.type(i))))
        return context.get_dummy_value()

    return types.void(matrix, lanes, a, ai, a_step, c, ci, c_step), codegen


def _combine(builder: Any, rows: Any, inputs: list[ir.Value]) -> Iterator[tuple[int, ir.Value]]:
    """Emit every row's linear combination; yields (row, value)."""
    done: set[int] = set()
    for i, row in enumerate(rows):
        if i in done:
            continue
        mirrored = tuple(-x if j % 2 else x for j, x in enumerate(row))
        twin = next((k for k in range(i + 1, len(rows)) if tuple(rows[k]) == mirrored and mirrored != tuple(row)), None)
        if twin is None:
            yield i, _dot(builder, row, inputs)
            continue
        done.add(twin)
        even = _dot(builder, [0.0 if j % 2 else x for j, x in enumerate(row)], inputs)
        odd = _dot(builder, [x if j % 2 else 0.0 for j, x in enumerate(row)], inputs)
        yield i, builder.fadd(even, odd)
        yield twin, builder.fsub(even, odd)


def _dot(builder: Any, row: Any, inputs: list[ir.Value]) -> ir.Value:
    vector = inputs[0].type
    fma = _named(builder, f"llvm.fma.{_suffix(vector)}", vector, [vector] * 3)
    total = None
    # Coefficients of one first: the sum then starts without a multiplication.
    for x, value in sorted(zip(row, inputs, strict=True), key=lambda pair: pair[0] != 1.0):
        if x == 0.0:
            continue
        if total is None and x == 1.0:
            total = value
        elif total is not None and x == 1.0:
            total = builder.fadd(total, value)
        elif total is not None and x == -1.0:
            total = builder.fsub(total, value)
        else:
            factor = ir.Constant(vector, [x] * vector.count)
            total = builder.fmul(factor, value) if total is None else builder.call(fma, [factor, value, total])
    return ir.Constant(vector, [0.0] * vector.count) if total is None else total


def lanes_of(dtype: str) -> int:
    """Elements of ``dtype`` in one vector."""
    return vector_bytes() // np.dtype(dtype).itemsize
