"""The microkernels of backward weights of planes: pixels in vectors, a sum per tap.

A tile is OCB output channels x TH x TW taps, each a vector of sums, from first pixel to last: a vector of gradients
multiplies as many vectors of the source as there are taps, read at unaligned places of a copy with zeros around it.
Every SW-th column stands side by side in the copy, so that a vector of it is a load whatever the stride.

What is batched: a call takes all pixels of a block.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from llvmlite import ir

from kernels.algorithms.backward_weights.microkernel import masks_below, tile_added
from kernels.machine.cpu import LINE_BYTES
from kernels.machine.ir import data_pointer, fma, index_value, load_vector, masked_load, transpose
from kernels.machine.microkernel import Elements, Offsets, memory_microkernel, microkernel
from kernels.machine.register_tile import TileType, tile_zeros
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
    R : int
        Lines of pixels at once: a line of the source that several of them meet is loaded once.
    SH, DH : int
        Stride and dilation between lines; 0 if R is 1, for any.
    """

    dtype: str
    lanes: int
    OCB: int
    TH: int
    TW: int
    SW: int
    DW: int
    first: int
    R: int
    SH: int
    DH: int

    @property
    def single(self) -> TapsSpec:
        """For one line of pixels."""
        return self._replace(R=1, SH=0, DH=0)

    @property
    def uses(self) -> list[tuple[int, list[tuple[int, int]]]]:
        """Lines of the source in order, by number, each with the lines of pixels and of taps that meet it."""
        found: dict[int, list[tuple[int, int]]] = {}
        for m in range(self.R):
            for i in range(self.TH):
                found.setdefault(m * self.SH + i * (self.DH or 1), []).append((m, i))
        return sorted(found.items())

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

    @property
    def line(self) -> int:
        """Elements of a cache line."""
        return LINE_BYTES // (4 if self.dtype == "float32" else 8)


@microkernel
def sum_taps(
    spec, src: Elements, src_channel: int, src_line: int, tap_line: int, row: int, phase: int, grad: Elements,
    channels: int, grad_channel: int, grad_plane: int, lines: int, columns: int, sums: Elements, sums_channel: int,
    begins: int, later: Elements, later_channel: int, later_line: int, later_grad: Elements,
):  # fmt: skip
    """Add the products of a block of pixels to the sums of some taps, or begin these, for each of ``channels``.

    In the copy, lines of pixels are ``src_line`` elements apart, kernel rows ``tap_line``, its own lines ``row``, and
    columns that differ by one less than a stride ``phase``.
    With each line those of the next block are asked for: ``later_line`` elements of the source and ``columns`` of the
    gradients, or none if ``later_line`` is 0. Small planes end before the hardware's own streams begin.
    """
    LANES, LINE, R = number(spec.lanes), number(spec.line), number(spec.R)
    whole, together = columns - columns % LANES, lines - lines % R
    for channel in range(channels):
        tile = tile_zeros(spec.tile, grad)
        at, pixel = channel * src_channel, channel * grad_channel
        next_block = channel * later_channel
        for _ in range(0, together, R):
            if later_line > 0:
                for i in range(0, R * later_line, LINE):
                    ask_for(later, next_block + i)
                for i in range(0, R * columns, LINE):
                    ask_for(later_grad, pixel + i)
            for i in range(0, whole, LANES):
                tile = tile_taps(
                    spec, spec.whole, tile, src, at + i, tap_line, row, phase, grad, pixel + i, columns, grad_plane, 0
                )  # fmt: skip
            if whole < columns:
                tile = tile_taps(
                    spec, spec.part, tile, src, at + whole, tap_line, row, phase, grad, pixel + whole, columns,
                    grad_plane, columns - whole,
                )  # fmt: skip
            at += R * src_line
            pixel += R * columns
            next_block += R * later_line
        for _ in range(together, lines):
            for i in range(0, whole, LANES):
                tile = tile_taps(
                    spec.single, spec.whole, tile, src, at + i, tap_line, row, phase, grad, pixel + i, columns,
                    grad_plane, 0,
                )  # fmt: skip
            if whole < columns:
                tile = tile_taps(
                    spec.single, spec.part, tile, src, at + whole, tap_line, row, phase, grad, pixel + whole, columns,
                    grad_plane, columns - whole,
                )  # fmt: skip
            at += src_line
            pixel += columns
        to = channel * sums_channel
        if begins == 0:
            tile = tile_added(tile, sums, to)
        tile_store(tile, sums, to, LANES)


@intrinsic
def tile_taps(
    typingctx: Any, spec: Any, whole: Any, tile: Any, a: Any, ai: Any, tap_line: Any, row: Any, phase: Any, b: Any,
    bi: Any, line: Any, plane: Any, count: Any,
) -> Any:  # fmt: skip
    """``tile_taps(spec, whole, tile, a, ai, tap_line, row, phase, b, bi, line, plane, count)``.

    Channel o and tap (i, j) get the products of ``b[bi + o * plane + m * line :]``, for each of R lines m, and ``a`` at
    ``ai`` plus SH * m + DH * i rows, or ``i`` tap lines if R is 1, and where column j stands added; unless ``whole`` of
    the first ``count`` pixels: what is behind them is not read.
    """
    if not isinstance(spec, StaticType) or not isinstance(whole, StaticType):
        return None
    s: TapsSpec = spec.value

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, grads = data_pointer(context, builder, a, arguments[3]), data_pointer(context, builder, b, arguments[8])
        start, taps_down, down, across, at, below, channel, live = (
            index_value(context, builder, typ, arguments[i])
            for i, typ in (
                (4, ai), (5, tap_line), (6, row), (7, phase), (9, bi), (10, line), (11, plane), (12, count)
            )
        )  # fmt: skip
        vector = context.get_value_type(tile).elements[0]
        values: dict[tuple[int, int], ir.Value] = {}
        masks = [] if whole.value else masks_below(builder, live, s.lanes, 1)
        for o in range(s.OCB):
            place = at
            for m in range(s.R):
                if masks:
                    values[o, m] = masked_load(builder, vector, grads, place, masks[0])
                else:
                    values[o, m] = load_vector(builder, grads, place, vector)
                place = builder.add(place, below)
            at = builder.add(at, channel)
        totals = [builder.extract_value(arguments[2], slot) for slot in range(s.tile.MR)]
        step, before = (taps_down if s.R == 1 else down), 0
        for number_of_row, uses in s.uses:
            for _ in range(number_of_row - before):
                start = builder.add(start, step)
            before = number_of_row
            for j in range(s.TW):
                steps, q = divmod(s.first + j * s.DW, s.SW)
                place = builder.add(start, builder.mul(across, across.type(q)))
                place = builder.add(place, place.type(steps))
                # Behind a copy there are zeros, behind the source there may be nothing.
                if masks:
                    pixels = masked_load(builder, vector, source, place, masks[0])
                else:
                    pixels = load_vector(builder, source, place, vector)
                for m, i in uses:
                    for o in range(s.OCB):
                        slot = (o * s.TH + i) * s.TW + j
                        totals[slot] = fma(builder, pixels, values[o, m], totals[slot])
        result = arguments[2]
        for slot, total in enumerate(totals):
            result = builder.insert_value(result, total, slot)
        return result

    return tile(spec, whole, tile, a, ai, tap_line, row, phase, b, bi, line, plane, count), codegen


class VectorSpec(NamedTuple):
    """What is specialised by the length of vectors alone: ``square`` has as many of them as each has elements."""

    dtype: str
    vector: TileShape
    square: TileShape


@memory_microkernel
def store_taps(
    spec, sums: Elements, size: int, places: Offsets, channels: int, taps: int, dst: Elements, step: int
):  # fmt: skip
    """Each of ``size`` vectors added up: number ``places[channel * taps + tap]`` is ``dst[channel * step + tap]``.

    Behind the last vector there is room for the rest of a square.
    """
    LANES = number(spec.square.lanes)
    for i in range(0, size, LANES):
        tile_store(tile_totals(tile_load(spec.square, sums, i * LANES, LANES)), sums, i, 0)
    for channel in range(channels):
        for tap in range(taps):
            dst[channel * step + tap] = sums[places[channel * taps + tap]]


@intrinsic
def tile_totals(typingctx: Any, tile: Any) -> Any:
    """``tile_totals(tile)``: a vector of the sums of the rows of a square, each by halves."""
    size = tile.shape
    if size.lanes != size.MR or size.NV != 1:
        return None
    result = TileType(TileShape(1, 1, size.lanes), tile.dtype)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vectors = transpose(builder, [builder.extract_value(arguments[0], m) for m in range(size.MR)])
        while len(vectors) > 1:
            half = len(vectors) // 2
            vectors = [builder.fadd(*pair) for pair in zip(vectors[:half], vectors[half:], strict=True)]
        return builder.insert_value(ir.Constant(context.get_value_type(result), ir.Undefined), vectors[0], 0)

    return result(tile), codegen


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
            tile = tile_added(tile, grad, at + i)
        tile_store(tile_added(tile, sums, 0), sums, 0, 0)
    total = sums[0]
    for i in range(1, LANES):
        total += sums[i]
    dst[0] = total
