"""The microkernels of backward weights: what is packed of a block of pixels, and the sum over them.

A tile is MR rows, each an input channel and a tap (broadcast), by NV vectors of output channels. Where a row's source
pixels begin, and where each pixel lies from there, comes from two tables: so rows are any channels and taps, and pixels
any run of lines and images. Beside twelve multiply-adds of vectors, a pixel takes eight loads of both operands and one
of the table.

What is batched: a call takes all rows of a block with one panel of gradients.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from llvmlite import ir
from numba import types

from kernels.machine.ir import (
    data_pointer,
    every,
    fma,
    index_value,
    load_vector,
    masked_load,
    prefetch,
    splat,
)
from kernels.machine.microkernel import Elements, Offsets, memory_microkernel, microkernel
from kernels.machine.register_tile import TileType, tile_rank1, tile_transposed, tile_zeros
from kernels.machine.static import StaticType, intrinsic, number
from kernels.machine.target import inner
from kernels.machine.tile_memory import ask_for, tile_load, tile_load_partial, tile_load_strided, tile_store
from kernels.machine.tile_shape import TileShape

__all__ = [
    "CopySpec",
    "PanelSpec",
    "TileSpec",
    "masks_below",
    "pack_gradients",
    "pack_source",
    "store_weights",
    "sum_biases",
    "sum_points",
    "sum_tiles",
    "tile_added",
]


class TileSpec(NamedTuple):
    """What the sum over pixels is specialised by: ``shape`` is MR rows of NV vectors of output channels."""

    dtype: str
    shape: TileShape


@microkernel
def sum_tiles(
    spec, src: Elements, rows: Offsets, tiles: int, pixels: Offsets, count: int, chunk: int, panel: Elements,
    sums: Elements, begins: int, later: Elements, lines: Offsets, last_line: int,
):  # fmt: skip
    """Add the products of ``count`` pixels to ``tiles`` tiles of sums, or begin these.

    Row m of tile t multiplies ``src[rows[t * MR + m] + pixels[k]]`` with ``panel[k * NR :]``. With every ``chunk`` of
    pixels, a cache line of the source, the next tile's are asked for, and two of the cache lines ``later[lines[i]]``,
    of gradients that come next.
    """
    MR, NR = number(spec.shape.MR), number(spec.shape.NR)
    line = 0
    for t in range(tiles):
        tile = tile_zeros(spec.shape, panel)
        at = t * MR * NR
        for begin in range(0, count, chunk):
            ask_for_tile(tile, src, rows, (t + 1) * MR, pixels[begin], sums, at + MR * NR + begin)
            ask_for(later, lines[min(line, last_line)])
            ask_for(later, lines[min(line + 1, last_line)])
            line += 2
            for k in range(begin, min(count, begin + chunk)):
                tile = tile_outer(tile, src, rows, t * MR, pixels[k], panel, k * NR)
        if begins == 0:
            tile = tile_added(tile, sums, at)
        tile_store(tile, sums, at, NR)


@microkernel
def sum_points(
    spec, X: Elements, x_vector: int, lanes: int, tiles: int, D: Elements, count: int, second: int, more: int,
    sums: Elements, begins: int,
):  # fmt: skip
    """Add the products of tiles of pixels at one point of a transform to ``tiles`` tiles of sums, or begin these.

    Layout of ``X``, ``D`` and sums as in `kernels.algorithms.backward_weights.winograd_loops`; MR divides ``lanes``.
    Tiles of pixels are the first ``count``, and ``more`` from number ``second`` on.
    """
    MR, NR = number(spec.shape.MR), number(spec.shape.NR)
    for t in range(tiles):
        tile = tile_zeros(spec.shape, D)
        at = t * MR // lanes * x_vector + t * MR % lanes
        for k in range(count):
            tile = tile_rank1(tile, X, at + k * lanes, 1, D, k * NR)
        for k in range(second, second + more):
            tile = tile_rank1(tile, X, at + k * lanes, 1, D, k * NR)
        if begins == 0:
            tile = tile_added(tile, sums, t * MR * NR)
        tile_store(tile, sums, t * MR * NR, NR)


@intrinsic
def tile_outer(typingctx: Any, tile: Any, a: Any, rows: Any, ri: Any, ai: Any, b: Any, bi: Any) -> Any:
    """``tile_outer(tile, a, rows, ri, ai, b, bi)``: row m gets ``a[rows[ri + m] + ai] * b[bi:][:NR]`` added."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        size, result = tile.shape, arguments[0]
        data, table, panel = (
            data_pointer(context, builder, typ, arguments[i]) for i, typ in ((1, a), (2, rows), (5, b))
        )
        first, pixel, at = (index_value(context, builder, typ, arguments[i]) for i, typ in ((3, ri), (4, ai), (6, bi)))
        vector = context.get_value_type(tile).elements[0]
        panel = builder.gep(panel, [at])
        values = [load_vector(builder, panel, at.type(v * size.lanes), vector) for v in range(size.NV)]
        for m in range(size.MR):
            row = builder.load(builder.gep(table, [builder.add(first, first.type(m))]))
            x = splat(builder, builder.load(builder.gep(builder.gep(data, [row]), [pixel])), size.lanes)
            for v, value in enumerate(values):
                slot = m * size.NV + v
                result = builder.insert_value(result, fma(builder, x, value, builder.extract_value(result, slot)), slot)
        return result

    return tile(tile, a, rows, ri, ai, b, bi), codegen


@intrinsic
def ask_for_tile(typingctx: Any, tile: Any, a: Any, rows: Any, ri: Any, ai: Any, b: Any, bi: Any) -> Any:
    """``ask_for_tile(tile, a, rows, ri, ai, b, bi)``: ask for what `tile_outer` reads of ``a``, and for ``b[bi]``."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data, table, other = (
            data_pointer(context, builder, typ, arguments[i]) for i, typ in ((1, a), (2, rows), (5, b))
        )
        first, pixel, at = (index_value(context, builder, typ, arguments[i]) for i, typ in ((3, ri), (4, ai), (6, bi)))
        for m in range(tile.shape.MR):
            row = builder.load(builder.gep(table, [builder.add(first, first.type(m))]))
            prefetch(builder, builder.gep(data, [builder.add(row, pixel)]))
        prefetch(builder, builder.gep(other, [at]))
        return context.get_dummy_value()

    return types.void(tile, a, rows, ri, ai, b, bi), codegen


@intrinsic
def tile_added(typingctx: Any, tile: Any, a: Any, ai: Any) -> Any:
    """``tile_added(tile, a, ai)``: add the tile whose vectors stand one after the other from ``a[ai]`` on."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        size, result = tile.shape, arguments[0]
        data = data_pointer(context, builder, a, arguments[1])
        start = index_value(context, builder, ai, arguments[2])
        vector = context.get_value_type(tile).elements[0]
        for slot in range(size.MR * size.NV):
            other = load_vector(builder, data, builder.add(start, start.type(slot * size.lanes)), vector)
            result = builder.insert_value(result, builder.fadd(other, builder.extract_value(result, slot)), slot)
        return result

    return tile(tile, a, ai), codegen


class PanelSpec(NamedTuple):
    """What panels of gradients and of sums are specialised by.

    Attributes
    ----------
    dtype : str
    square : TileShape
        As many rows as a vector has lanes.
    row : TileShape
        The NV vectors of a panel.
    """

    dtype: str
    square: TileShape
    row: TileShape


@memory_microkernel
def pack_gradients(
    spec, grad: Elements, panel: Elements, plane: int, live: int, images: int, image_step: int, runs: int,
    run_step: int, length: int,
):  # fmt: skip
    """Panel ``[pixel][NR]`` of ``live`` channels, ``plane`` elements apart: of each image runs of ``length`` pixels.

    A run's last square overhangs, and the next run overwrites that. Channels past the last are zeros.
    """
    LANES, NR = number(spec.square.lanes), number(spec.row.NR)
    done = 0
    for image in range(images):
        for run in range(runs):
            at = image * image_step + run * run_step
            for v in range(0, NR, LANES):
                channels = at + v * plane
                to = done * NR + v
                whole = length - length % LANES if live - v >= LANES else 0
                for i in range(0, whole, LANES):
                    square = tile_load(spec.square, grad, channels + i, plane)
                    tile_store(tile_transposed(square), panel, to + i * NR, NR)
                for i in range(whole, length, LANES):
                    square = tile_load_partial(spec.square, grad, channels + i, plane, live - v, 0, length - i)
                    tile_store(tile_transposed(square), panel, to + i * NR, NR)
            done += length


@memory_microkernel
def sum_biases(spec, panel: Elements, sums: Elements, count: int, begins: int):
    """Add up ``count`` pixels of a panel, and that to ``sums``, or begin these."""
    NR = number(spec.row.NR)
    tile = tile_zeros(spec.row, panel)
    for k in range(count):
        tile = tile_added(tile, panel, k * NR)
    if begins == 0:
        tile = tile_added(tile, sums, 0)
    tile_store(tile, sums, 0, NR)


@memory_microkernel
def store_weights(spec, sums: Elements, M: int, dst: Elements, step: int, live: int):
    """Sums ``[m][NR]`` of M rows to ``dst[channel * step + m]``, for ``live`` channels.

    Behind the last row there is room for the rest of a square.
    """
    LANES, NR = number(spec.square.lanes), number(spec.row.NR)
    for v in range(0, min(live, NR), LANES):
        whole = M - M % LANES if live - v >= LANES else 0
        for m in range(0, whole, LANES):
            square = tile_load(spec.square, sums, m * NR + v, NR)
            tile_store(tile_transposed(square), dst, v * step + m, step)
        for channel in range(v, min(live, v + LANES)):
            for m in range(whole, M):
                dst[channel * step + m] = sums[m * NR + channel]


class CopySpec(NamedTuple):
    """What the copy of the source is specialised by: every ``pitch``-th column; 0 if that is given at run time."""

    dtype: str
    vector: TileShape
    pitch: int


@microkernel
def pack_source(
    spec, src: Elements, copy: Elements, planes: int, plane: int, copied_plane: int, IH: int, IW: int, top: int,
    down: int, lines: int, left: int, pitch: int, columns: int, ahead: int,
):  # fmt: skip
    """Lines ``top``, ``top + down`` and on of each plane, columns ``left``, ``left + pitch`` and on; zeros beside it.

    Vectors overhang into what is written next, behind the last line into room for one. What stands ``ahead`` elements
    behind is asked for: the hardware's own streams end with the lines of a plane.
    """
    LANES = number(spec.vector.lanes)
    if number(spec.pitch):
        pitch = number(spec.pitch)
    low = min(columns, max(0, -(left // pitch)))
    high = max(low, min(columns, (IW - 1 - left) // pitch + 1))
    whole, rest = low + (high - low) // LANES * LANES, (high - low) % LANES
    first = min(lines, max(0, -(top // down)))
    last = max(first, min(lines, (IH - 1 - top) // down + 1))
    for c in range(planes):
        to, at = c * copied_plane, c * plane + (top + first * down) * IW + left
        clear(spec, copy, to, first * columns)
        to += first * columns
        for _ in range(first, last):
            clear(spec, copy, to, low)
            for i in range(low, whole, LANES):
                ask_for(src, at + i * pitch + ahead)
                vector = tile_load_strided(spec.vector, spec.pitch, src, at + i * pitch, pitch, 0, LANES)
                tile_store(vector, copy, to + i, 0)
            if rest > 0:
                ask_for(src, at + whole * pitch + ahead)
                if number(spec.pitch):
                    tile_store(tile_load_first(spec, src, at + whole * pitch, rest), copy, to + whole, 0)
                else:
                    vector = tile_load_strided(spec.vector, spec.pitch, src, at + whole * pitch, pitch, 0, rest)
                    tile_store(vector, copy, to + whole, 0)
            clear(spec, copy, to + high, columns - high)
            to += columns
            at += down * IW
        clear(spec, copy, to, (lines - last) * columns)


@inner
def clear(spec, copy, at, count):
    """Zeros to ``copy[at:][:count]``, in whole vectors."""
    for i in range(0, count, number(spec.vector.lanes)):
        tile_store(tile_zeros(spec.vector, copy), copy, at + i, 0)


@intrinsic
def tile_load_first(typingctx: Any, spec: Any, a: Any, ai: Any, count: Any) -> Any:
    """``tile_load_first(spec, a, ai, count)``: the vector of the first ``count`` of every ``pitch``-th element.

    The other lanes are zeros, and what they would be is not read.
    """
    if not isinstance(spec, StaticType):
        return None
    s: CopySpec = spec.value
    tile = TileType(s.vector, a.dtype)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        model = context.get_value_type(tile)
        data = data_pointer(context, builder, a, arguments[1])
        start, live = (index_value(context, builder, typ, arguments[i]) for i, typ in ((2, ai), (3, count)))
        vector = model.elements[0]
        pitch = max(1, s.pitch)
        last = builder.add(builder.mul(builder.sub(live, live.type(1)), live.type(pitch)), live.type(1))
        loaded = [
            masked_load(builder, vector, data, builder.add(start, start.type(v * s.vector.lanes)), each)
            for v, each in enumerate(masks_below(builder, last, s.vector.lanes, pitch))
        ]
        return builder.insert_value(ir.Constant(model, ir.Undefined), every(builder, loaded, pitch), 0)

    return tile(spec, a, ai, count), codegen


def masks_below(builder: Any, count: ir.Value, lanes: int, vectors: int) -> list[ir.Value]:
    """Masks of the elements below ``count`` of so many vectors; 32-bit numbers need no packing to be masks."""
    word = ir.IntType(32)
    bound = splat(builder, builder.trunc(count, word), lanes)
    numbers = ir.VectorType(word, lanes)
    return [
        builder.icmp_signed("<", ir.Constant(numbers, list(range(v * lanes, (v + 1) * lanes))), bound)
        for v in range(vectors)
    ]
