"""The microkernels of backward weights of planes: pixels in vectors, a sum per tap.

A tile is OCB output channels x TH x TW taps, each a vector of sums, from first pixel to last: a vector of gradients
multiplies as many vectors of the source as there are taps, read at unaligned places of a copy with zeros around it.
Every SW-th column stands side by side in the copy, so that a vector of it is a load whatever the stride.

What is batched: a call takes all pixels of a block.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from llvmlite import ir

from kernels.machine.ir import data_pointer, first_lanes, fma, index_value, load_vector, masked_load
from kernels.machine.microkernel import Elements, Offsets, memory_microkernel, microkernel
from kernels.machine.register_tile import tile_zeros
from kernels.machine.static import StaticType, intrinsic, number
from kernels.machine.tile_memory import ask_for, tile_load, tile_load_partial, tile_store
from kernels.machine.tile_shape import TileShape

__all__ = ["TapsSpec", "VectorSpec", "store_taps", "sum_plane", "sum_taps"]


class TapsSpec(NamedTuple):
    """What a sum of taps is specialised by.

    Attributes
    ----------
    dtype : str
    lanes : int
    OCB, TH, TW : int
        Output channels, and rows and columns of taps.
    SW, DW : int
        Stride and dilation between columns.
    first : int
        Column of the first tap, less whole strides.
    """

    dtype: str
    lanes: int
    OCB: int
    TH: int
    TW: int
    SW: int
    DW: int
    first: int

    @property
    def tile(self) -> TileShape:
        """A row per channel and tap."""
        return TileShape(self.OCB * self.TH * self.TW, 1, self.lanes)

    @property
    def whole(self) -> bool:
        """For vectors of pixels that all exist."""
        return True

    @property
    def part(self) -> bool:
        """For the others."""
        return False


@microkernel
def sum_taps(
    spec, src: Elements, src_image: int, src_line: int, tap_line: int, phase: int, grad: Elements, images: int,
    grad_image: int, grad_plane: int, lines: int, columns: int, ahead: int, sums: Elements, begins: int,
):  # fmt: skip
    """Add the products of a block of pixels to the sums of some taps, or begin these.

    Kernel rows are ``tap_line`` elements apart in the copy, columns that differ by one less than a stride ``phase``.
    """
    LANES = number(spec.lanes)
    tile = tile_zeros(spec.tile, grad)
    whole = columns - columns % LANES
    for image in range(images):
        for line in range(lines):
            at, pixel = image * src_image + line * src_line, image * grad_image + line * columns
            for i in range(0, whole, LANES):
                ask_for(grad, pixel + i + ahead)
                tile = tile_taps(spec, spec.whole, tile, src, at + i, tap_line, phase, grad, pixel + i, grad_plane, 0)
            if whole < columns:
                ask_for(grad, pixel + whole + ahead)
                tile = tile_taps(
                    spec, spec.part, tile, src, at + whole, tap_line, phase, grad, pixel + whole, grad_plane,
                    columns - whole,
                )  # fmt: skip
    if begins == 0:
        tile = tile_summed(tile, sums)
    tile_store(tile, sums, 0, LANES)


@intrinsic
def tile_summed(typingctx: Any, tile: Any, a: Any) -> Any:
    """``tile_summed(tile, a)``: add vectors that stand one after the other from ``a[0]`` on."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        size, result = tile.shape, arguments[0]
        data = data_pointer(context, builder, a, arguments[1])
        vector = context.get_value_type(tile).elements[0]
        for slot in range(size.MR * size.NV):
            other = load_vector(builder, data, ir.IntType(64)(slot * size.lanes), vector)
            result = builder.insert_value(result, builder.fadd(other, builder.extract_value(result, slot)), slot)
        return result

    return tile(tile, a), codegen


@intrinsic
def tile_taps(
    typingctx: Any, spec: Any, whole: Any, tile: Any, a: Any, ai: Any, row: Any, phase: Any, b: Any, bi: Any,
    plane: Any, count: Any,
) -> Any:  # fmt: skip
    """``tile_taps(spec, whole, tile, a, ai, row, phase, b, bi, plane, count)``.

    Channel o and tap (i, j) get the products of ``b[bi + o * plane :]`` and ``a`` at ``ai`` plus ``i`` rows and where
    column j stands added; unless ``whole``, of the first ``count`` pixels.
    """
    if not isinstance(spec, StaticType) or not isinstance(whole, StaticType):
        return None
    s: TapsSpec = spec.value

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, grads = data_pointer(context, builder, a, arguments[3]), data_pointer(context, builder, b, arguments[7])
        start, down, across, at, channel, live = (
            index_value(context, builder, typ, arguments[i])
            for i, typ in ((4, ai), (5, row), (6, phase), (8, bi), (9, plane), (10, count))
        )
        vector = context.get_value_type(tile).elements[0]
        mask = None if whole.value else first_lanes(builder, live, s.lanes)

        def loaded(data: ir.Value, place: ir.Value) -> ir.Value:
            if mask is None:
                return load_vector(builder, data, place, vector)
            return masked_load(builder, vector, data, place, mask)

        values = []
        for _ in range(s.OCB):
            values.append(loaded(grads, at))
            at = builder.add(at, channel)
        result = arguments[2]
        for i in range(s.TH):
            for j in range(s.TW):
                steps, q = divmod(s.first + j * s.DW, s.SW)
                place = builder.add(start, builder.mul(across, across.type(q)))
                pixels = loaded(source, builder.add(place, place.type(steps)))
                for o, value in enumerate(values):
                    slot = (o * s.TH + i) * s.TW + j
                    total = fma(builder, pixels, value, builder.extract_value(result, slot))
                    result = builder.insert_value(result, total, slot)
            start = builder.add(start, down)
        return result

    return tile(spec, whole, tile, a, ai, row, phase, b, bi, plane, count), codegen


class VectorSpec(NamedTuple):
    """What is specialised by the length of vectors alone."""

    dtype: str
    vector: TileShape


@memory_microkernel
def store_taps(spec, sums: Elements, places: Offsets, channels: int, taps: int, dst: Elements, step: int):
    """Each vector of sums added up: that at ``places[channel * taps + tap]`` to ``dst[channel * step + tap]``."""
    LANES = number(spec.vector.lanes)
    for channel in range(channels):
        for tap in range(taps):
            at = places[channel * taps + tap]
            width = LANES // 2
            while width > 0:
                for i in range(width):
                    sums[at + i] += sums[at + width + i]
                width //= 2
            dst[channel * step + tap] = sums[at]


@memory_microkernel
def sum_plane(spec, grad: Elements, images: int, image_step: int, pixels: int, sums: Elements, dst: Elements):
    """The sum of one channel's gradients: of lanes within an image, then of images, then of lanes."""
    LANES = number(spec.vector.lanes)
    tile_store(tile_zeros(spec.vector, sums), sums, 0, 0)
    for image in range(images):
        at = image * image_step
        whole = pixels - pixels % LANES
        tile = tile_load_partial(spec.vector, grad, at + whole, 0, 1, 0, pixels - whole)
        for i in range(0, whole, LANES):
            tile = tile_sum(tile, tile_load(spec.vector, grad, at + i, 0))
        tile_store(tile_sum(tile, tile_load(spec.vector, sums, 0, 0)), sums, 0, 0)
    total = sums[0]
    for i in range(1, LANES):
        total += sums[i]
    dst[0] = total


@intrinsic
def tile_sum(typingctx: Any, one: Any, other: Any) -> Any:
    """``tile_sum(one, other)``: the sum of two tiles."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        result = arguments[0]
        for slot in range(one.shape.MR * one.shape.NV):
            total = builder.fadd(*(builder.extract_value(each, slot) for each in arguments))
            result = builder.insert_value(result, total, slot)
        return result

    return one(one, other), codegen
