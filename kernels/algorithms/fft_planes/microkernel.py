"""The microkernels of transforms of planes: rows into vectors and back, and passes over lines of numbers.

A transform of N = first x second points is two passes: ``second`` transforms of every so many-th number, whose
results are turned, and then as many of neighbours. Points stay in the order in which the passes leave them: that of
the remainder by ``first``. Each pass is one loop, whose body is straight-line code over numbers in registers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from llvmlite import ir
from numba import types

from kernels.algorithms.fft_planes.dft import Complex, conjugate, dft, inverse_dft, times
from kernels.epilogue import Epilogue
from kernels.machine.finish import finished, store_finished
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
    transpose,
)
from kernels.machine.matrix_codelet import constant
from kernels.machine.microkernel import Elements, Offsets, microkernel
from kernels.machine.row_store import store_first
from kernels.machine.static import StaticType, intrinsic, number

__all__ = ["Pass", "PlaneSpec", "RowsSpec", "clear", "gather", "passes", "scatter", "spread"]


class PlaneSpec(NamedTuple):
    """What rows that come and taps are specialised by."""

    dtype: str
    lanes: int

    @property
    def yes(self) -> bool:
        """For squares of which a part may lie beside the row."""
        return True

    @property
    def no(self) -> bool:
        """For squares of which none does."""
        return False


class RowsSpec(NamedTuple):
    """What rows that go are specialised by; of the epilogue the kind."""

    dtype: str
    lanes: int
    epilogue: Epilogue


class Pass(NamedTuple):
    """What a pass is specialised by.

    Attributes
    ----------
    dtype : str
    lanes : int
    n : int
        Points of a transform.
    kind : str
        - ``"split"``: every so many-th number, transformed and turned; ``live`` of them, the others are zero.
        - ``"split real"``: the same of real numbers, of which half the results are kept, in the order of `Side.lines`.
        - ``"join"``: neighbours, transformed.
        - ``"middle"``: neighbours, transformed, times the weights, transformed back; the last with ``shared`` weights
          of one lane.
        - ``"part"``, ``"part first"``, ``"part half"``: neighbours, transformed back; of the first line and of the one
          at half, those that are not kept are conjugates of others.
        - ``"merge"``: every so many-th, turned back and transformed back; ``live`` of them are stored.
        - ``"merge real"``: the same of the lines of `Side.lines`; results are real.
    live : int
    shared : bool
    """

    dtype: str
    lanes: int
    n: int
    kind: str
    live: int
    shared: bool = False

    @property
    def lines(self) -> list[int]:
        """Numbers of a transform of real numbers that are kept: see `Side.lines`."""
        rest = list(range(1, (self.n + 1) // 2))
        return [0, self.n // 2, *rest] if self.n % 2 == 0 else [0, *rest]


class _Emitted:
    """Operations on vectors; see `dft.Operations`."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def add(self, a: Any, b: Any) -> Any:
        return self.builder.fadd(a, b)

    def subtract(self, a: Any, b: Any) -> Any:
        return self.builder.fsub(a, b)

    def negate(self, a: Any) -> Any:
        return self.builder.fneg(a)

    def scale(self, a: Any, x: float) -> Any:
        return self.builder.fmul(a, constant(a, x))

    def add_scaled(self, total: Any, a: Any, x: float) -> Any:
        return fma(self.builder, a, constant(a, x), total)

    def multiply(self, a: Any, b: Any) -> Any:
        return self.builder.fmul(a, b)

    def add_product(self, total: Any, a: Any, b: Any) -> Any:
        return fma(self.builder, a, b, total)

    def subtract_product(self, total: Any, a: Any, b: Any) -> Any:
        return fma(self.builder, self.builder.fneg(a), b, total)


@microkernel
def passes(
    spec, a: Elements, a_next: int, a_step: int, c: Elements, c_next: int, c_step: int, table: Elements, t_next: int,
    count: int,
):  # fmt: skip
    """``count`` transforms: number j of the i-th is at ``a[i * a_next + j * a_step]``, results are laid out likewise.

    ``table[i * t_next]`` and on are what numbers are turned by, or the weights.
    """
    at, to, ti = 0, 0, 0
    for _ in range(count):
        transform(spec, a, at, a_step, c, to, c_step, table, ti)
        at += a_next
        to += c_next
        ti += t_next


@intrinsic
def transform(
    typingctx: Any, spec: Any, a: Any, ai: Any, a_step: Any, c: Any, ci: Any, c_step: Any, table: Any, ti: Any
) -> Any:
    """``transform(spec, a, ai, a_step, c, ci, c_step, table, ti)``: one of `passes`."""
    if not isinstance(spec, StaticType) or not isinstance(spec.value, Pass):
        return None
    s: Pass = spec.value

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(scalar_type(a.dtype), s.lanes)
        source, target, factors = (
            data_pointer(context, builder, typ, arguments[i]) for i, typ in ((1, a), (4, c), (7, table))
        )
        start, step, to, c_pitch, first = (
            index_value(context, builder, typ, arguments[i])
            for i, typ in ((2, ai), (3, a_step), (5, ci), (6, c_step), (8, ti))
        )
        o = _Emitted(builder)

        def place(begin: ir.Value, pitch: ir.Value, j: int, part: int) -> ir.Value:
            return builder.add(builder.add(begin, builder.mul(pitch, pitch.type(j))), begin.type(part * s.lanes))

        def load(j: int, width: int = 2) -> Complex:
            parts = [load_vector(builder, source, place(start, step, j, part), vector) for part in range(width)]
            return (parts[0], parts[1] if width == 2 else None)

        def store(j: int, value: Complex, width: int = 2) -> None:
            for part in range(width):
                each = ir.Constant(vector, None) if value[part] is None else value[part]
                store_vector(builder, each, target, place(to, c_pitch, j, part))

        def turned(value: Complex, n: int, back: bool) -> Complex:
            """By the n-th factor of the table, or back by it."""
            if n == 0:
                return value
            c_, s_ = (
                splat(builder, builder.load(builder.gep(factors, [builder.add(first, first.type(2 * n - 2 + part))])),
                      s.lanes)
                for part in range(2)
            )  # fmt: skip
            return times(o, value, c_, o.negate(s_) if back else s_)

        def weighed(values: list[Complex]) -> list[Complex]:
            found = []
            for j, value in enumerate(values):
                parts = []
                for part in range(2):
                    if s.shared:
                        at = builder.add(first, first.type(2 * j + part))
                        parts.append(splat(builder, builder.load(builder.gep(factors, [at])), s.lanes))
                    else:
                        at = builder.add(first, first.type((2 * j + part) * s.lanes))
                        parts.append(load_vector(builder, factors, at, vector))
                found.append(times(o, value, *parts))
            return found

        if s.kind == "split":
            values = [load(j) if j < s.live else (None, None) for j in range(s.n)]
            for j, value in enumerate(dft(o, values)):
                store(j, turned(value, j, False))
        elif s.kind == "split real":
            values = [load(j, 1) if j < s.live else (None, None) for j in range(s.n)]
            results = dft(o, values)
            for n, line in enumerate(s.lines):
                store(n, turned(results[line], n, False))
        elif s.kind == "join":
            for j, value in enumerate(dft(o, [load(j) for j in range(s.n)])):
                store(j, value)
        elif s.kind == "middle":
            for j, value in enumerate(inverse_dft(o, weighed(dft(o, [load(j) for j in range(s.n)])))):
                store(j, value)
        elif s.kind in ("part", "part first", "part half"):
            kept = {"part": s.n, "part first": s.n // 2 + 1, "part half": (s.n + 1) // 2}[s.kind]
            values = [load(j) for j in range(kept)]
            values += [
                conjugate(o, values[s.n - j if s.kind == "part first" else s.n - 1 - j]) for j in range(kept, s.n)
            ]
            for j, value in enumerate(inverse_dft(o, values)):
                store(j, value)
        elif s.kind == "merge":
            values = [turned(load(j), j, True) for j in range(s.n)]
            for j, value in enumerate(inverse_dft(o, values)[: s.live]):
                store(j, value)
        else:
            lines = {line: turned(load(n), n, True) for n, line in enumerate(s.lines)}
            values = [lines[j] if j in lines else conjugate(o, lines[s.n - j]) for j in range(s.n)]
            for j, value in enumerate(inverse_dft(o, values)[: s.live]):
                store(j, value, 1)
        return context.get_dummy_value()

    return types.void(spec, a, ai, a_step, c, ci, c_step, table, ti), codegen


@microkernel
def clear(spec, a: Elements, count: int):
    """Zeros."""
    for i in range(count):
        a[i] = 0.0


@microkernel
def gather(spec, src: Elements, planes: Offsets, begin: int, end: int, c: Elements):
    """Pixels ``begin`` to ``end`` of a row, the i-th of plane l to ``c[i * lanes + l]``; zeros past the last ones.

    Pixel i of plane l is ``src[planes[l] + i]``; whole squares of vectors are written.
    """
    LANES = number(spec.lanes)
    whole = begin + (end - begin) // LANES * LANES
    for i in range(begin, whole, LANES):
        gather_square(spec, spec.no, src, planes, i, 0, c)
    if whole < end:
        gather_square(spec, spec.yes, src, planes, whole, end - whole, c)


@intrinsic
def gather_square(typingctx: Any, spec: Any, partial: Any, a: Any, planes: Any, i: Any, live: Any, c: Any) -> Any:
    """``gather_square(spec, partial, a, planes, i, live, c)``: a vector of pixels of each plane, the first ``live``."""
    if not isinstance(spec, StaticType) or not isinstance(partial, StaticType):
        return None
    lanes = spec.value.lanes

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(scalar_type(a.dtype), lanes)
        source, table, target = (
            data_pointer(context, builder, typ, arguments[n]) for n, typ in ((2, a), (3, planes), (6, c))
        )
        at, count = (index_value(context, builder, typ, arguments[n]) for n, typ in ((4, i), (5, live)))
        mask = first_lanes(builder, count, lanes) if partial.value else None
        rows = []
        for lane in range(lanes):
            place = builder.add(builder.load(builder.gep(table, [at.type(lane)])), at)
            rows.append(
                load_vector(builder, source, place, vector)
                if mask is None
                else masked_load(builder, vector, source, place, mask)
            )
        for n, column in enumerate(transpose(builder, rows)):
            place = builder.mul(builder.add(at, at.type(n)), at.type(lanes))
            store_vector(builder, column, target, place)
        return context.get_dummy_value()

    return types.void(spec, partial, a, planes, i, live, c), codegen


@microkernel
def spread(
    spec, wei: Elements, planes: Offsets, count: int, shift: int, step: int, N: int, scale: Elements, c: Elements
):
    """Taps of a kernel row: of plane l the i-th, times ``scale``, to ``c[(shift - i * step) % N * lanes + l]``."""
    LANES = number(spec.lanes)
    factor = scale[0]
    for i in range(count):
        to = (shift - i * step) % N * LANES
        for lane in range(LANES):
            c[to + lane] = wei[planes[lane] + i] * factor


@microkernel
def scatter(
    spec, a: Elements, width: int, row: int, live: int, places: Offsets, factors: Elements, bia: Elements,
    dst: Elements, residual: Elements, slope: Elements,
):  # fmt: skip
    """A row of ``width`` results, finished, to as many planes as there are lanes.

    ``places``: of each plane where its row 0 begins, its rows and its columns, of which no more than ``live`` count;
    the last are the elements from a row to the next.
    """
    LANES = number(spec.lanes)
    i = 0
    while i < width:
        # What overhangs reaches back.
        begin = max(0, min(i, width - LANES))
        scatter_square(spec, a, begin, row, live, places, factors, bia, dst, residual, slope)
        i += LANES


@intrinsic
def scatter_square(
    typingctx: Any, spec: Any, a: Any, i: Any, row: Any, live: Any, places: Any, factors: Any, bia: Any, dst: Any,
    residual: Any, slope: Any,
) -> Any:  # fmt: skip
    """``scatter_square(spec, a, i, row, live, places, factors, bia, dst, residual, slope)``: a vector of each plane."""
    if not isinstance(spec, StaticType) or not isinstance(spec.value, RowsSpec):
        return None
    s: RowsSpec = spec.value

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(scalar_type(a.dtype), s.lanes)
        pointed = (1, a), (5, places), (6, factors), (7, bia), (8, dst), (9, residual), (10, slope)
        source, table, factor, added, data, more, leak = (
            data_pointer(context, builder, typ, arguments[n]) for n, typ in pointed
        )
        begin, line, most = (
            index_value(context, builder, typ, arguments[n]) for n, typ in ((2, i), (3, row), (4, live))
        )
        word = begin.type
        scale, bias = (load_vector(builder, each, word(0), vector) for each in (factor, added))
        places_in = [builder.mul(builder.add(begin, word(n)), word(s.lanes)) for n in range(s.lanes)]
        columns = [fma(builder, load_vector(builder, source, place, vector), scale, bias) for place in places_in]

        def read(n: int) -> ir.Value:
            return builder.load(builder.gep(table, [word(n)]))

        pitch = builder.mul(line, read(3 * s.lanes))
        for lane, value in enumerate(transpose(builder, columns)):
            start, rows, width = (read(3 * lane + n) for n in range(3))
            width = builder.select(builder.icmp_signed("<", width, most), width, most)
            count = builder.sub(width, begin)
            there = builder.and_(builder.icmp_signed("<", line, rows), builder.icmp_signed(">", count, word(0)))
            place = builder.add(builder.add(start, pitch), begin)
            with builder.if_then(there, likely=True):
                whole = builder.icmp_signed(">=", count, word(s.lanes))
                with builder.if_else(whole, likely=True) as (then, otherwise):
                    with then:
                        store_finished(builder, s.epilogue, value, data, more, place, leak)
                    with otherwise:
                        mask = first_lanes(builder, count, s.lanes)
                        value = finished(builder, s.epilogue, value, more, place, leak, mask)
                        store_first(builder, value, data, place, count)
        return context.get_dummy_value()

    return types.void(spec, a, i, row, live, places, factors, bia, dst, residual, slope), codegen
