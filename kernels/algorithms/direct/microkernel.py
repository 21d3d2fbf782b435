"""The microkernel of a direct convolution: a row of register tiles, each a sum over taps, edges left out.

A tile is MR neighbouring output pixels of a row (broadcast) by NV vectors of output channels. At the edge of a map
some taps of some pixels fall on padding. They are neither read nor multiplied: the innermost loop exists once for every
number of pixels that may be cut off a tile, up to `RowSpec.reach`, and a number read at run time says which one runs.
No padded copy of the source, no wasted multiply-adds.

Loops, outside in: tile, kw, then (kh, ic) as one loop over a table of offsets. With kw outside, what is cut off at the
left and right is the same for all of that loop; rows above and below are left out by where it begins and ends.

What is batched: a call takes all tiles of one width in an output row, since one tile of few input channels takes but
some hundred cycles.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from numba.core import cgutils

from kernels.epilogue import Epilogue
from kernels.machine.cpu import LINE_BYTES
from kernels.machine.ir import data_pointer, element_bytes, fma, index_value, load_vector, prefetch, splat
from kernels.machine.microkernel import Elements, Offsets, microkernel
from kernels.machine.static import StaticType, intrinsic, number
from kernels.machine.tile_memory import ask_to_write, tile_load, tile_store, tile_store_transposed
from kernels.machine.tile_shape import TileShape

__all__ = ["REACHES", "RowSpec", "tile_row"]

#: How many pixels may be cut off a tile: by a kernel without padding, of 3, of up to 7 pixels.
REACHES = (0, 1, 3)


class RowSpec(NamedTuple):
    """What a row of tiles is specialised by.

    Attributes
    ----------
    dtype : str
    shape : TileShape
        MR pixels of NV vectors of channels.
    NR : int
        Channels in a block of weights, of which the last block may need fewer vectors.
    reach : int
        The most pixels that are cut off at one end of a tile.
    pitch : int
        From one pixel of the source to the next, or 0 if it is given at run time.
    partial : bool
        Whether some of the channels do not exist.
    epilogue : Epilogue
        Without the number of its slope.
    """

    dtype: str
    shape: TileShape
    NR: int
    reach: int
    pitch: int
    partial: bool
    epilogue: Epilogue


@microkernel
def tile_row(
    spec, start: Elements, start_step: int, row_step: int, src: Elements, src_step: int, pitch: int,
    taps: Offsets, count: int, clips: Offsets, KW: int, kw_step: int, wei: Elements, wei_step: int, tiles: int,
    ends: int, dst: Elements, dst_step: int, plane: int, live: int, residual: Elements, slope: Elements,
    ahead: int, ahead_last: int, further: int, further_last: int,
):  # fmt: skip
    """Add ``count`` taps of each of KW columns of the kernel to a row of ``tiles`` tiles.

    Tile t begins as ``start[t * start_step + m * row_step :]`` for pixel m. Tap k of column kw is added from
    ``src[t * src_step + kw * kw_step + taps[k] :: pitch]`` with weights ``wei[kw * wei_step + k * NR :]``, pixels cut
    off as ``clips[t * KW + kw]`` says. Where the sum ``ends``, ``live`` channels of it go to planes of the result,
    ``plane`` elements apart; else it is put by in ``dst`` as it is. What the next tile reads (``ahead``) and writes is
    asked for, unless that distance is 0.
    """
    for t in range(tiles):
        tile = tile_load(spec.shape, start, t * start_step, row_step)
        distance, beyond = ahead, further
        if t == tiles - 1:
            distance, beyond = ahead_last, further_last
        if ends and ahead:
            for n in range(min(live, number(spec.NR))):
                ask_to_write(dst, t * dst_step + n * plane + 2 * number(spec.shape.MR) - 1)
        for kw in range(KW):
            tile = tile_sum(
                spec, clips[t * KW + kw], tile, src, t * src_step + kw * kw_step, pitch, taps, count,
                wei, kw * wei_step, distance, beyond,
            )  # fmt: skip
        if ends:
            room = (tiles - t) * number(spec.shape.MR)
            tile_store_transposed(
                tile, dst, t * dst_step, plane, room, live, spec.partial, spec.epilogue, residual, slope
            )
        else:
            tile_store(tile, dst, t * dst_step, spec.NR)


@intrinsic
def tile_sum(
    typingctx: Any, spec: Any, clip: Any, tile: Any, a: Any, ai: Any, pitch: Any, taps: Any, stop: Any, b: Any,
    bi: Any, ahead: Any, further: Any,
) -> Any:  # fmt: skip
    """``tile_sum(spec, clip, tile, a, ai, pitch, taps, stop, b, bi, ahead, further)``: a sum over taps.

    Each tap k below ``stop`` adds ``outer(a[ai + taps[k]::pitch][:MR], b[bi + k * NR:][:NV vectors])``. Clip 0 takes
    part with all pixels; clip n up to the reach without the first n, clip reach + n without the last n, which are not
    read; any other adds nothing. For every tap the cache line ``ahead`` of it in ``a`` is asked for, and with a
    constant pitch those of MR pixels up to it; ``b`` is asked for ``further`` elements ahead.
    """
    if not isinstance(spec, StaticType):
        return None

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        size, reach, NR = spec.value.shape, spec.value.reach, spec.value.NR
        pixels, offsets, weights = (
            data_pointer(context, builder, typ, value)
            for typ, value in ((a, arguments[3]), (taps, arguments[6]), (b, arguments[8]))
        )
        chosen, origin, stride, last, at, distance, beyond = (
            index_value(context, builder, typ, value)
            for typ, value in (
                (clip, arguments[1]), (ai, arguments[4]), (pitch, arguments[5]), (stop, arguments[7]),
                (bi, arguments[9]), (ahead, arguments[10]), (further, arguments[11]),
            )
        )  # fmt: skip
        word = stride.type
        if spec.value.pitch:
            stride = word(spec.value.pitch)
        pixels, weights = builder.gep(pixels, [origin]), builder.gep(weights, [at])
        vector = context.get_value_type(tile).elements[0]
        line = LINE_BYTES // element_bytes(vector)
        # The cache lines of a tile, from its last pixel back.
        asked = range(0, max(1, size.MR * spec.value.pitch), line)
        slots = []
        for slot in range(size.MR * size.NV):
            value = builder.extract_value(arguments[2], slot)
            slots.append(cgutils.alloca_once(builder, value.type))
            builder.store(value, slots[-1])
        done = builder.append_basic_block("clips.done")
        switch = builder.switch(chosen, done)
        cuts = range(1, min(reach, size.MR - 1) + 1)
        parts = {0: (0, size.MR), **{n: (n, size.MR) for n in cuts}, **{reach + n: (0, size.MR - n) for n in cuts}}
        for code, (begin, end) in parts.items():
            block = builder.append_basic_block(f"clip{code}")
            switch.add_case(word(code), block)
            builder.position_at_end(block)
            with cgutils.for_range(builder, last) as loop:
                place = builder.gep(pixels, [builder.load(builder.gep(offsets, [loop.index]))])
                panel = builder.gep(weights, [builder.mul(loop.index, word(NR))])
                for back in asked:
                    prefetch(builder, builder.gep(place, [builder.sub(distance, word(back))]))
                for first in range(0, size.NR, line):
                    prefetch(builder, builder.gep(panel, [builder.add(beyond, word(first))]))
                _products(builder, size, slots, (begin, end), place, stride, panel)
            builder.branch(done)
        builder.position_at_end(done)
        result = arguments[2]
        for slot, place in enumerate(slots):
            result = builder.insert_value(result, builder.load(place), slot)
        return result

    return tile(spec, clip, tile, a, ai, pitch, taps, stop, b, bi, ahead, further), codegen


def _products(
    builder: Any, size: TileShape, slots: list[Any], part: tuple[int, int], place: Any, stride: Any, panel: Any
) -> None:
    """One tap of the tile's pixels from ``part[0]`` to ``part[1]``."""
    vector = slots[0].type.pointee
    values = [load_vector(builder, panel, stride.type(v * vector.count), vector) for v in range(size.NV)]
    place = builder.gep(place, [builder.mul(stride, stride.type(part[0]))])
    for m in range(*part):
        pixel = builder.load(place)
        pixel = splat(builder, pixel, vector.count)
        for v, value in enumerate(values):
            slot = slots[m * size.NV + v]
            builder.store(fma(builder, pixel, value, builder.load(slot)), slot)
        # One address from the other: there are no registers for the multiples of a stride that is no constant.
        place = builder.gep(place, [stride])
