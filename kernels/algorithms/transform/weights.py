"""Weights of a convolution by transform: U, points of the taps of each pair of channels.

Layout of U: ``[g][block of output channels][point][kernel piece][ic][part][channel]``, input channels in whole vectors.
A panel of output channels is packed into scratch (`kernels.machine.packing`) and transformed from there in float64.

Winograd's points are two small matrices times the taps, unrolled. Those of the Fourier transform are two products with
tables, since only the taps of a tile's pixels are not zero: first of each row of taps, then of the columns that come.
They are conjugated: a correlation, so that outputs 0 to T - tap are free of wrap-around.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types

from kernels.algorithms.transform.geometry import Sizes, points_of
from kernels.algorithms.transform.tiling import Transform, sizes_of
from kernels.machine.cpu import cache_bytes, vector_bytes
from kernels.machine.ir import data_pointer, index_value, load_vector, scalar_type, store_vector
from kernels.machine.microkernel import Doubles, Elements, Offsets, microkernel
from kernels.machine.packing import Biases, Points, TransformedPanels, points_of_weights
from kernels.machine.register_tile import TileType, tile_multiply, tile_rank1, tile_zeros
from kernels.machine.static import StaticType, intrinsic, number
from kernels.machine.tile_memory import tile_load, tile_store
from kernels.machine.tile_shape import TileShape
from kernels.problem import Conv2dProblem
from kernels.registry import Packing

__all__ = ["transform_packing", "transformed_elements"]

#: Rows of points, real and imaginary ones in turn, that are computed together, and points of a column.
_ROWS, _COLUMN = 6, 4


class SpectrumSpec(NamedTuple):
    """What `spectrum` is specialised by."""

    dtype: str
    lanes: int

    @property
    def width(self) -> int:
        """Of a complex number, for `tile_multiply`."""
        return 2

    @property
    def one(self) -> TileShape:
        return TileShape(1, 1, self.lanes)

    @property
    def rows(self) -> TileShape:
        return TileShape(_ROWS, 1, self.lanes)

    @property
    def column(self) -> TileShape:
        """Real parts, then imaginary ones."""
        return TileShape(_COLUMN, 2, self.lanes)


@intrinsic
def tile_widened(typingctx: Any, shape: Any, a: Any, ai: Any) -> Any:
    """``tile_widened(shape, a, ai)``: one vector of ``a`` from ``ai`` on, in float64."""
    if not isinstance(shape, StaticType):
        return None
    tile = TileType(shape.value, types.float64)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector, model = ir.VectorType(scalar_type(a.dtype), shape.value.lanes), context.get_value_type(tile)
        data, at = data_pointer(context, builder, a, arguments[1]), index_value(context, builder, ai, arguments[2])
        value = load_vector(builder, data, at, vector)
        wide = value if vector == model.elements[0] else builder.fpext(value, model.elements[0])
        return builder.insert_value(ir.Constant(model, ir.Undefined), wide, 0)

    return tile(shape, a, ai), codegen


@intrinsic
def store_narrowed(typingctx: Any, tile: Any, c: Any, ci: Any, part: Any, step: Any) -> Any:
    """``store_narrowed(tile, c, ci, part, step)``: vector v of row m, rounded, to ``c[ci + m * step + v * part :]``."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector, data = (
            ir.VectorType(scalar_type(c.dtype), tile.shape.lanes),
            data_pointer(context, builder, c, arguments[1]),
        )
        start, behind, stride = (
            index_value(context, builder, typ, value)
            for typ, value in zip((ci, part, step), arguments[2:], strict=True)
        )
        for m in range(tile.shape.MR):
            for v in range(tile.shape.NV):
                value = builder.extract_value(arguments[0], m * tile.shape.NV + v)
                rounded = value if value.type == vector else builder.fptrunc(value, vector)
                row = builder.add(start, builder.mul(stride, stride.type(m)))
                store_vector(builder, rounded, data, builder.add(row, builder.mul(behind, behind.type(v))))
        return context.get_dummy_value()

    return types.void(tile, c, ci, part, step), codegen


#: Integers before the pieces in the extents of `spectrum`, and of each piece.
_HEAD, _PIECE = 9, 7


@microkernel
def spectrum(spec, taps: Elements, u: Elements, extents: Offsets, tables: Doubles, local: Doubles) -> None:
    """Points of every input channel of a panel ``[ic][kh][kw][NR]``, for every kernel piece.

    ``extents``: sizes; for each piece its rows and columns of taps, its two tables and its distance in U; then the
    places of points. Tables: ``[kw][point along a row][part]``, the points in whole tiles, and
    ``[kh][part][point of a column]``. ``local``: taps of a piece in float64, and the points of each of their rows, for
    one vector of output channels. Behind the panel all points of an input channel wait for its last vector.
    """
    LANES = number(spec.lanes)
    channels, NR, KH, KW, T, C, J = (
        extents[0], extents[1], extents[2], extents[3], extents[4], extents[5], extents[6],
    )  # fmt: skip
    step, pieces = extents[7], extents[8]
    places, scratch, middle = _HEAD + _PIECE * pieces, channels * KH * KW * NR, KH * KW * LANES
    for item in range(channels * pieces):
        c, at = item // pieces, _HEAD + _PIECE * (item % pieces)
        kh0, rows, kw0, columns = extents[at], extents[at + 1], extents[at + 2], extents[at + 3]
        along, down, to = extents[at + 4], extents[at + 5], c * step + extents[at + 6]
        for v in range(0, NR, LANES):
            for n in range(rows * columns):
                tap = (c * KH + kh0 + n // columns) * KW + kw0 + n % columns
                tile_store(tile_widened(spec.one, taps, tap * NR + v), local, n * LANES, 0)
            for kh in range(rows):
                for j in range(0, J, number(spec.rows.MR)):
                    tile = tile_zeros(spec.rows, local)
                    for kw in range(columns):
                        tile = tile_rank1(tile, tables, along + kw * J + j, 1, local, (kh * columns + kw) * LANES)
                    tile_store(tile, local, middle + (kh * J + j) * LANES, LANES)
            for j in range(C):
                for i in range(0, T, number(spec.column.MR)):
                    column = tile_zeros(spec.column, local)
                    for kh in range(rows):
                        column = tile_multiply(
                            spec.width, column, tables, down + 2 * kh * T + i, 1, T, local,
                            middle + (kh * J + 2 * j) * LANES,
                        )  # fmt: skip
                    store_narrowed(column, taps, scratch + v + (i * C + j) * step, NR, C * step)
        for n in range(T * C):
            for i in range(0, step, LANES):
                point = tile_load(spec.one, taps, scratch + n * step + i, 0)
                tile_store(point, u, to + extents[places + n] + i, 0)


def transform_packing(p: Conv2dProblem, t: Transform, threads: int) -> Packing:
    """Pack weights, transformed to U, and biases."""
    z, _ = sizes_of(p, t, 1)
    panels = TransformedPanels(p.weight_shape, p.dtype, p.g, z.CHANNELS, threads, _points(p, t, z))
    biases = Biases(p.oc, p.dtype, p.g, z.CHANNELS)
    return Packing((panels.packed, biases.packed), panels, biases)


def transformed_elements(p: Conv2dProblem, t: Transform) -> float:
    """Elements of U, as often as each takes the time of one that is copied: 1.5 to 2.2 times by Winograd's matrices.

    An element by Fourier's tables takes as much again for each row of taps.
    """
    z, _ = sizes_of(p, t, 1)
    elements = z.G * z.F * z.OCB * z.PIECES_H * z.PIECES_W * z.ICP * z.NR
    if t.weights is not None:
        return elements * (1.5 if elements * p.itemsize < cache_bytes(2) * 4 else 2.2)
    return elements * (2.2 + 0.3 * p.kh)


@functools.lru_cache(maxsize=256)
def _points(p: Conv2dProblem, t: Transform, z: Sizes) -> Points:
    order = [
        (row + i) * z.C + column + j
        for row, rows, column, columns in (points_of(z, f) for f in range(z.SUMS))
        for i in range(rows)
        for j in range(columns)
    ]
    channel = z.W * z.CHANNELS
    places = np.empty(z.F, np.intp)
    places[order] = np.arange(z.F) * (z.PIECES_H * z.PIECES_W * z.ICP * channel)
    if t.weights is not None:
        return points_of_weights(p.dtype, *t.weights, z.ICP, z.CHANNELS, channel, places)
    return _spectrum(p, t, z, places)


def _spectrum(p: Conv2dProblem, t: Transform, z: Sizes, places: np.ndarray) -> Points:
    T, channel = t.down.n, z.W * z.CHANNELS
    J = -(-2 * z.C // _ROWS) * _ROWS
    tables: list[np.ndarray] = []
    used = 0

    def table(values: np.ndarray) -> int:
        nonlocal used
        tables.append(values.reshape(-1))
        used += values.size
        return used - values.size

    def pieces(taps: int, dilation: int, tap: int, count: int) -> list[np.ndarray]:
        """Pixels, in its own piece, of the taps of each piece."""
        pixels = np.arange(taps) * dilation
        return [pixels[pixels // tap == piece] - piece * tap for piece in range(count)]

    def turned(pixels: np.ndarray, points: int) -> np.ndarray:
        """``[tap][point]``."""
        return np.exp(2j * np.pi * np.outer(pixels, np.arange(points)) / T)

    along, down = [], []
    for pixels in pieces(p.kw, p.dw, z.TAP_W, z.PIECES_W):
        values = np.zeros((len(pixels), J))
        values[:, : 2 * z.C] = turned(pixels, z.C).view(np.float64)
        along.append((len(pixels), table(values)))
    for pixels in pieces(p.kh, p.dh, z.TAP_H, z.PIECES_H):
        values = turned(pixels, T) / (T * T)
        down.append((len(pixels), table(np.stack([values.real, values.imag], axis=1))))
    listed: list[int] = []
    kh = 0
    for ph, (rows, down_table) in enumerate(down):
        kw = 0
        for pw, (columns, along_table) in enumerate(along):
            distance = (ph * z.PIECES_W + pw) * z.ICP * channel
            listed += [kh, rows, kw, columns, along_table, down_table, distance]
            kw += columns
        kh += rows
    lanes = min(vector_bytes() // 8, z.CHANNELS & -z.CHANNELS)
    head = [z.ICP, z.CHANNELS, p.kh, p.kw, T, z.C, J, channel, len(listed) // _PIECE]
    return Points(
        spectrum,
        SpectrumSpec(p.dtype, lanes),
        np.concatenate([head, listed, places]).astype(np.intp),
        z.F * z.PIECES_H * z.PIECES_W * z.ICP * channel,
        z.F * channel,
        np.concatenate(tables),
        np.empty((p.kh * p.kw + p.kh * J) * lanes),
    )
