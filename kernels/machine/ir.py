"""LLVM IR for vectors: the pieces that intrinsics are emitted from."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from kernels.machine.static import StaticType

__all__ = [
    "RegisterPicks",
    "data_pointer",
    "element_bytes",
    "every",
    "first_lanes",
    "fma",
    "hidden",
    "in_turn",
    "index_value",
    "is_shift",
    "load_vector",
    "masked_load",
    "masked_store",
    "picked",
    "pieces",
    "prefetch",
    "scalar_type",
    "splat",
    "store_vector",
    "transpose",
]


def scalar_type(dtype: types.Type) -> ir.Type:
    """The IR's type of a floating-point number."""
    return ir.FloatType() if dtype == types.float32 else ir.DoubleType()


def data_pointer(context: Any, builder: ir.IRBuilder, typ: types.Array, value: ir.Value) -> ir.Value:
    """The address of an array's first element."""
    if isinstance(typ, types.CPointer):
        return value
    return context.make_array(typ)(context, builder, value).data


def index_value(context: Any, builder: ir.IRBuilder, typ: types.Type, value: ir.Value) -> ir.Value:
    """An index as intp; a `Static` becomes a constant of the IR."""
    if isinstance(typ, StaticType):
        return context.get_constant(types.intp, typ.value)
    return context.cast(builder, value, typ, types.intp)


def load_vector(builder: ir.IRBuilder, data: ir.Value, offset: ir.Value, vector: ir.VectorType) -> ir.Value:
    """A vector from an element's offset on, aligned as an element is."""
    place = builder.bitcast(builder.gep(data, [offset]), vector.as_pointer())
    return builder.load(place, align=element_bytes(vector))


def store_vector(builder: ir.IRBuilder, value: ir.Value, data: ir.Value, offset: ir.Value) -> None:
    """Store a vector from an element's offset on, aligned as an element is."""
    place = builder.bitcast(builder.gep(data, [offset]), value.type.as_pointer())
    builder.store(value, place, align=element_bytes(value.type))


def element_bytes(vector: ir.VectorType) -> int:
    """Bytes of a vector's element."""
    return 4 if isinstance(vector.element, ir.FloatType) else 8


def splat(builder: ir.IRBuilder, value: ir.Value, lanes: int) -> ir.Value:
    """A vector with the same number in every lane."""
    vector = ir.VectorType(value.type, lanes)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
    return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), zeros)


def named(builder: ir.IRBuilder, name: str, result: ir.Type, arguments: list[ir.Type]) -> ir.Function:
    """LLVM intrinsics over vectors, by name (llvmlite's ``declare_intrinsic`` refuses vectors)."""
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, arguments), name)


def fma(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
    """``a * b + c`` in one rounding."""
    vector = a.type
    return builder.call(named(builder, f"llvm.fma.{suffix(vector)}", vector, [vector] * 3), [a, b, c])


def suffix(vector: ir.VectorType) -> str:
    """What LLVM appends to an intrinsic's name for a vector."""
    return f"v{vector.count}f{8 * element_bytes(vector)}"


def hidden(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """A value that LLVM knows nothing of, and therefore computes nothing from beforehand."""
    return builder.asm(ir.FunctionType(value.type, [value.type]), "", "=r,0", [value], side_effect=True)


def first_lanes(builder: Any, count: ir.Value, lanes: int) -> ir.Value:
    """A mask of the lanes below ``count``."""
    numbers = ir.Constant(ir.VectorType(count.type, lanes), list(range(lanes)))
    return builder.icmp_signed("<", numbers, splat(builder, count, lanes))


def masked_store(builder: Any, value: ir.Value, data: ir.Value, offset: ir.Value, mask: ir.Value) -> None:
    """Store the lanes that a mask has."""
    vector = value.type
    number = ir.IntType(32)
    kinds = [vector, vector.as_pointer(), number, mask.type]
    store = named(builder, f"llvm.masked.store.{suffix(vector)}.p0", ir.VoidType(), kinds)
    place = builder.bitcast(builder.gep(data, [offset]), vector.as_pointer())
    builder.call(store, [value, place, ir.Constant(number, element_bytes(vector)), mask])


def masked_load(builder: Any, vector: ir.VectorType, data: ir.Value, offset: ir.Value, mask: ir.Value) -> ir.Value:
    """A vector whose lanes outside ``mask`` are zero and are not read."""
    number = ir.IntType(32)
    kinds = [vector.as_pointer(), number, mask.type, vector]
    load = named(builder, f"llvm.masked.load.{suffix(vector)}.p0", vector, kinds)
    place = builder.bitcast(builder.gep(data, [offset]), vector.as_pointer())
    zeros = ir.Constant(vector, [0.0] * vector.count)
    return builder.call(load, [place, ir.Constant(number, element_bytes(vector)), mask, zeros])


def every(builder: ir.IRBuilder, vectors: list[ir.Value], step: int, first: int = 0) -> ir.Value:
    """One vector of every ``step``-th element of ``step`` vectors, from element ``first`` < ``step`` on."""
    lanes = vectors[0].type.count
    result = vectors[0]
    places = range(first, first + lanes * step, step)
    picks = [at if at < lanes else 0 for at in places]
    if step > 1:
        result = picked(builder, result, result, picks)
    for v, vector in enumerate(vectors[1:], 1):
        picks = [lanes + at - v * lanes if v * lanes <= at < (v + 1) * lanes else n for n, at in enumerate(places)]
        result = picked(builder, result, vector, picks)
    return result


def is_shift(picks: Sequence[int]) -> bool:
    """Whether elements that are picked of two vectors, one behind the other, are neighbours.

    Such a shuffle takes its distance as a constant, and no register of numbers.
    """
    return all(after == before + 1 for before, after in itertools.pairwise(picks))


class RegisterPicks:
    """Shuffles of two vectors by numbers that stay in registers, for CPUs with AVX-512.

    LLVM makes of a shuffle by constants an instruction that writes over the register of its numbers, and loads them
    anew for each. These numbers are set where the function begins, and LLVM does not know that they are constant.
    """

    def __init__(self, builder: ir.IRBuilder) -> None:
        self._builder = builder
        self._numbers: dict[tuple[ir.VectorType, tuple[int, ...]], ir.Value] = {}

    def __call__(self, a: ir.Value, b: ir.Value, picks: Sequence[int]) -> ir.Value:
        """Elements of ``a`` and ``b``, in the order of ``picks``."""
        builder, vector, bits = self._builder, a.type, 8 * element_bytes(a.type)
        key = vector, tuple(picks)
        if is_shift(picks):
            return picked(builder, a, b, picks)
        if key not in self._numbers:
            numbers = ir.Constant(ir.VectorType(ir.IntType(bits), vector.count), list(picks))
            with builder.goto_entry_block():
                function = ir.FunctionType(numbers.type, [numbers.type])
                self._numbers[key] = builder.asm(function, "", "=v,0", [numbers], side_effect=False)
        name = f"llvm.x86.avx512.vpermi2var.p{'s' if bits == 32 else 'd'}.{vector.count * bits}"
        kinds = [vector, self._numbers[key].type, vector]
        return builder.call(named(builder, name, vector, kinds), [a, self._numbers[key], b])


def in_turn(builder: ir.IRBuilder, vectors: list[ir.Value]) -> list[ir.Value]:
    """Elements of so many vectors in turn, as many vectors: `every` takes them apart again."""
    count = len(vectors)
    if count == 1:
        return vectors
    lanes, found = vectors[0].type.count, []
    for first in range(0, lanes * count, lanes):
        where = [divmod(at, count) for at in range(first, first + lanes)]
        result = picked(builder, vectors[0], vectors[1], [lane + lanes * (v == 1) for lane, v in where])
        for v in range(2, count):
            result = picked(
                builder, result, vectors[v], [lanes + lane if own == v else n for n, (lane, own) in enumerate(where)]
            )
        found.append(result)
    return found


def pieces(builder: ir.IRBuilder, vector: ir.Value, count: int) -> list[tuple[int, ir.Value]]:
    """The first ``count`` elements of a vector as vectors of 8, 4, 2 and 1, each with the number of its first."""
    found, first = [], 0
    for width in (8, 4, 2, 1):
        while count - first >= width:
            found.append((first, picked(builder, vector, vector, [*range(first, first + width)])))
            first += width
    return found


def prefetch(builder: Any, place: ir.Value, *, to_write: bool = False) -> None:
    """Ask for the cache line of ``place``, which need not be memory that may be read."""
    number = ir.IntType(32)
    fetch = named(builder, "llvm.prefetch.p0", ir.VoidType(), [place.type, number, number, number])
    builder.call(fetch, [place, number(int(to_write)), number(3), number(1)])


def transpose(builder: ir.IRBuilder, rows: list[ir.Value]) -> list[ir.Value]:
    """Transpose a square of vectors.

    First within the 128-bit parts of the vectors, then the parts as wholes: each step is one
    instruction of its own kind, where a swap of blocks across parts would be a permutation
    by a table that has to be loaded.
    """
    lanes = len(rows)
    part = 16 // element_bytes(rows[0].type)
    span = 1
    while span < part:
        # Runs of ``span`` elements alternate: of the lower half of every part, then of the upper half.
        starts = [at + i for at in range(0, lanes, part) for i in range(0, part // 2, span)]
        low = [
            n for start in starts for n in (*range(start, start + span), *range(lanes + start, lanes + start + span))
        ]
        high = [n + part // 2 for n in low]
        merged: list[ir.Value] = []
        for first in range(0, lanes, 2 * span):
            for one, other in zip(rows[first : first + span], rows[first + span : first + 2 * span], strict=True):
                merged += [picked(builder, one, other, picks) for picks in (low, high)]
        rows, span = merged, 2 * span
    columns = list(rows)
    for j in range(part):
        columns[j::part] = _transpose_parts(builder, rows[j::part], part)
    return columns


def _transpose_parts(builder: ir.IRBuilder, rows: list[ir.Value], part: int) -> list[ir.Value]:
    """Transpose 1, 2 or 4 vectors of as many parts of ``part`` elements."""

    def pair(one: ir.Value, other: ir.Value, *parts: int) -> ir.Value:
        return picked(builder, one, other, [n * part + e for n in parts for e in range(part)])

    if len(rows) == 4:
        a, b, c, d = rows
        upper, lower = ((pair(x, y, 0, 1, 4, 5), pair(x, y, 2, 3, 6, 7)) for x, y in ((a, b), (c, d)))
        return [pair(x, y, *picks) for x, y in zip(upper, lower, strict=True) for picks in ((0, 2, 4, 6), (1, 3, 5, 7))]
    if len(rows) == 2:
        return [pair(*rows, 0, 2), pair(*rows, 1, 3)]
    return rows


def picked(builder: ir.IRBuilder, one: ir.Value, other: ir.Value, picks: Sequence[int]) -> ir.Value:
    """A vector of elements of two, those of the second counted on from the first."""
    return builder.shuffle_vector(one, other, ir.Constant(ir.VectorType(ir.IntType(32), len(picks)), list(picks)))
