"""A stencil over a register tile: output rows x vectors of pixels of one plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba.extending import intrinsic

from kernels.machine.emit import data_pointer, fma, index_value, load_vector, splat
from kernels.machine.static import StaticType

__all__ = ["Stencil", "tile_stencil"]


@dataclass(frozen=True)
class Stencil:
    """Kernel extents, strides (columns: 1 or 2) and dilations."""

    KH: int
    KW: int
    SH: int
    SW: int
    DH: int
    DW: int


@intrinsic
def tile_stencil(typingctx: Any, stencil: Any, tile: Any, a: Any, ai: Any, row_step: Any, w: Any, wi: Any) -> Any:
    """``tile_stencil(stencil, tile, a, ai, row_step, w, wi)``: add a KH x KW stencil of ``a`` to a tile.

    Element (m, n) of the tile gets the sum of
    ``w[wi + kh * KW + kw] * a[ai + (m * SH + kh * DH) * row_step + n * SW + kw * DW]``. A
    source row is loaded once a kernel column and serves every row of the tile that needs it.
    With SW = 2 up to 2 * lanes elements behind the last one needed are not read past.
    """
    if not isinstance(stencil, StaticType):
        return None

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        s: Stencil = stencil.value
        size = tile.shape
        source, taps = data_pointer(context, builder, a, arguments[2]), data_pointer(context, builder, w, arguments[5])
        start, step, first = (
            index_value(context, builder, typ, value)
            for typ, value in ((ai, arguments[3]), (row_step, arguments[4]), (wi, arguments[6]))
        )
        vector = context.get_value_type(tile).elements[0]
        weights = [
            splat(builder, builder.load(builder.gep(taps, [builder.add(first, first.type(k))])), size.lanes)
            for k in range(s.KH * s.KW)
        ]
        slots = size.MR * size.NV
        totals = [builder.extract_value(arguments[1], slot) for slot in range(slots)]
        for row in range((size.MR - 1) * s.SH + (s.KH - 1) * s.DH + 1):
            uses = [
                (m, (row - m * s.SH) // s.DH)
                for m in range(size.MR)
                if (row - m * s.SH) % s.DH == 0 and 0 <= (row - m * s.SH) // s.DH < s.KH
            ]
            line = builder.add(start, builder.mul(step, step.type(row)))
            for kw in range(s.KW if uses else 0):
                for v in range(size.NV):
                    at = builder.add(line, line.type(v * size.lanes * s.SW + kw * s.DW))
                    pixels = _pixels(builder, source, at, vector, s.SW)
                    for m, kh in uses:
                        slot = m * size.NV + v
                        totals[slot] = fma(builder, weights[kh * s.KW + kw], pixels, totals[slot])
        result = arguments[1]
        for slot, total in enumerate(totals):
            result = builder.insert_value(result, total, slot)
        return result

    return tile(stencil, tile, a, ai, row_step, w, wi), codegen


def _pixels(builder: Any, source: Any, at: Any, vector: ir.VectorType, SW: int) -> Any:
    """A vector of neighbouring pixels, or of every second one."""
    low = load_vector(builder, source, at, vector)
    if SW == 1:
        return low
    # One element less, so that nothing is read behind the last pixel that counts.
    high = load_vector(builder, source, builder.add(at, at.type(vector.count - 1)), vector)
    half = vector.count // 2
    picks = [2 * i for i in range(half)] + [vector.count + 2 * i + 1 for i in range(half)]
    return builder.shuffle_vector(low, high, ir.Constant(ir.VectorType(ir.IntType(32), vector.count), picks))
