"""The innermost loop of a direct convolution: a sum over taps into a register tile, edges left out.

At the edge of a map some taps of some pixels fall on padding. They are neither read nor
multiplied: the loop exists once for every `Clip` that a problem needs, and a number chosen
at run time says which one runs. No padded copy of the source, no wasted multiply-adds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba.core import cgutils
from numba.extending import intrinsic

from kernels.machine.ir import data_pointer, element_bytes, fma, index_value, load_vector, prefetch, splat
from kernels.machine.static import StaticType
from kernels.machine.tile_shape import TileShape
from kernels.problem import Conv2dProblem

__all__ = ["Clip", "clip_table", "tile_sum"]


#: Bytes ahead that weights are asked for: a page, which is where the hardware's own streams end.
_FURTHER = 4096


@dataclass(frozen=True)
class Clip:
    """The part of a tile that takes part: rows ``begin`` to ``end`` of the first ``NV`` vectors."""

    begin: int
    end: int
    NV: int


def clip_table(p: Conv2dProblem, shape: TileShape) -> tuple[tuple[Clip, ...], np.ndarray]:
    """Every clip that a problem needs, and which one each tile needs.

    Parameters
    ----------
    p : Conv2dProblem
    shape : TileShape
        MR pixels of a row by NV vectors of output channels.

    Returns
    -------
    clips : tuple of Clip
    table : ndarray of intp, shape (2, tiles a row, kw)
        Indices into ``clips``, -1 where a tap misses the tile: first for every block of
        output channels but the last, then for the last.
    """
    blocks = -(-(p.oc // p.g) // shape.NR)
    last = -(-(p.oc // p.g - (blocks - 1) * shape.NR) // shape.lanes)
    clips: dict[Clip, int] = {}
    table = np.full((2, -(-p.ow // shape.MR), p.kw), -1, np.intp)
    for side, NV in ((0, shape.NV), (1, last)):
        if side == 0 and blocks == 1:
            continue
        for tile in range(table.shape[1]):
            for kw in range(p.kw):
                # Pixel m reads column first + m * sw, which is inside from 0 to iw.
                first = tile * shape.MR * p.sw + kw * p.dw - p.pw
                begin = max(0, -(first // p.sw))
                end = min(shape.MR, p.ow - tile * shape.MR, (p.iw - 1 - first) // p.sw + 1)
                if begin < end:
                    table[side, tile, kw] = clips.setdefault(Clip(begin, end, NV), len(clips))
    return tuple(clips), table


@intrinsic
def tile_sum(
    typingctx: Any, clips: Any, clip: Any, tile: Any, a: Any, ai: Any, step: Any, taps: Any, k: Any, stop: Any, b: Any,
    bi: Any, row: Any, ahead: Any,
) -> Any:  # fmt: skip
    """``tile_sum(clips, clip, tile, a, ai, step, taps, k, stop, b, bi, row, ahead)``: a sum over taps.

    Each tap from ``k`` to ``stop`` adds ``outer(a[ai + taps[k]::step][:MR], b[bi:][:NR])`` to the rows and vectors of
    ``clips[clip]``, and ``bi`` goes on by ``row``. Elements outside the clip are not read.
    Nothing is added where ``clip`` is not an index of ``clips``. For every tap the cache line
    ``ahead`` of it in ``a`` is asked for, and with a static ``step`` those of MR rows up to it;
    with a static ``row``, ``b`` is asked for a page ahead.
    """
    if not isinstance(clips, StaticType):
        return None

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        size = tile.shape
        pixels, offsets, weights = (
            data_pointer(context, builder, typ, value)
            for typ, value in ((a, arguments[3]), (taps, arguments[6]), (b, arguments[9]))
        )
        chosen, origin, stride, first, last, at, width, distance = (
            index_value(context, builder, typ, value)
            for typ, value in (
                (clip, arguments[1]), (ai, arguments[4]), (step, arguments[5]), (k, arguments[7]),
                (stop, arguments[8]), (bi, arguments[10]), (row, arguments[11]),
                (ahead, arguments[12]),
            )
        )  # fmt: skip
        pixels, weights = builder.gep(pixels, [origin]), builder.gep(weights, [at])
        # The cache lines of a tile, from its last row back.
        vector = context.get_value_type(tile).elements[0]
        line = 64 // element_bytes(vector)
        asked = range(0, size.MR * step.value, line) if isinstance(step, StaticType) else range(1)
        slots = []
        for slot in range(size.MR * size.NV):
            value = builder.extract_value(arguments[2], slot)
            slots.append(cgutils.alloca_once(builder, value.type))
            builder.store(value, slots[-1])
        done = builder.append_basic_block("clips.done")
        switch = builder.switch(chosen, done)
        for number, each in enumerate(clips.value):
            block = builder.append_basic_block(f"clip{number}")
            switch.add_case(chosen.type(number), block)
            builder.position_at_end(block)
            with cgutils.for_range_slice(builder, first, last, first.type(1)) as (index, count):
                place = builder.gep(pixels, [builder.load(builder.gep(offsets, [index]))])
                panel = builder.gep(weights, [builder.mul(count, width)])
                for back in asked:
                    prefetch(builder, builder.gep(place, [builder.sub(distance, distance.type(back))]))
                for v in range(each.NV) if isinstance(row, StaticType) else ():
                    prefetch(builder, builder.gep(panel, [width.type(_FURTHER // 64 * line + v * line)]))
                _products(builder, size.NV, slots, each, place, stride, panel)
            builder.branch(done)
        builder.position_at_end(done)
        result = arguments[2]
        for slot, place in enumerate(slots):
            result = builder.insert_value(result, builder.load(place), slot)
        return result

    return tile(clips, clip, tile, a, ai, step, taps, k, stop, b, bi, row, ahead), codegen


def _products(builder: Any, NV: int, slots: list[Any], clip: Clip, place: Any, stride: Any, panel: Any) -> None:
    """One tap of the clipped tile."""
    vector = slots[0].type.pointee
    values = [load_vector(builder, panel, stride.type(v * vector.count), vector) for v in range(clip.NV)]
    for m in range(clip.begin, clip.end):
        pixel = builder.load(builder.gep(place, [builder.mul(stride, stride.type(m))]))
        pixel = splat(builder, pixel, vector.count)
        for v, value in enumerate(values):
            slot = slots[m * NV + v]
            builder.store(fma(builder, pixel, value, builder.load(slot)), slot)
