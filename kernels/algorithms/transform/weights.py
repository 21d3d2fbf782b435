"""Weights of a convolution by transform: U, points of the taps of each pair of channels.

Layout of U: ``[g][block of output channels][point][kernel piece][ic][part][channel]``, input channels in whole vectors.
Taps are gathered from the weights as they are, transformed in float64 and rounded once.

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
from kernels.machine.cpu import cache_bytes
from kernels.machine.ir import data_pointer, index_value, scalar_type, store_vector
from kernels.machine.microkernel import Doubles, Elements, Offsets, microkernel
from kernels.machine.packing import Biases, InRange, TransformedPanels, lanes_of_points, matrix_panels, tile_gathered
from kernels.machine.ranges import over_ranges
from kernels.machine.register_tile import tile_multiply, tile_rank1, tile_zeros
from kernels.machine.static import intrinsic, number
from kernels.machine.tile_memory import tile_load, tile_store
from kernels.machine.tile_shape import TileShape
from kernels.problem import Conv2dProblem
from kernels.registry import Packing

__all__ = ["transform_packing", "transformed_elements", "weight_bytes"]

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
_HEAD, _PIECE = 13, 7


@microkernel
def spectrum(
    spec, src: Elements, dst: Elements, extents: Offsets, scratch: Elements, tables: Doubles, local: Doubles,
    begin: int, end: int,
) -> None:  # fmt: skip
    """Points of the input channels of panels ``begin`` to ``end``, for every kernel piece, zeros past the last ones.

    ``extents``: sizes; for each piece its rows and columns of taps, its two tables and its distance in U; then the
    places of points. Tables: ``[kw][point along a row][part]``, the points in whole tiles, and
    ``[kh][part][point of a column]``. ``local``: taps of a piece, and the points of each of their rows, for one vector
    of output channels. In scratch all points of an input channel wait for its last vector.
    """
    LANES = number(spec.lanes)
    OCG, BLOCKS, ICG, channels, NR, KH, KW, T, C, J = (
        extents[0], extents[1], extents[2], extents[3], extents[4], extents[5], extents[6], extents[7], extents[8],
        extents[9],
    )  # fmt: skip
    step, pieces, size = extents[10], extents[11], extents[12]
    places, middle = _HEAD + _PIECE * pieces, KH * KW * LANES
    for item in range(begin * channels * pieces, end * channels * pieces):
        panel, c, at = item // (channels * pieces), item // pieces % channels, _HEAD + _PIECE * (item % pieces)
        first = panel % BLOCKS * NR
        live = min(NR, OCG - first) if c < ICG else 0
        channel = ((panel // BLOCKS * OCG + first) * ICG + min(c, ICG - 1)) * KH * KW
        kh0, rows, kw0, columns = extents[at], extents[at + 1], extents[at + 2], extents[at + 3]
        along, down, to = extents[at + 4], extents[at + 5], panel * size + c * step + extents[at + 6]
        for v in range(0, NR, LANES):
            begins = channel + min(v, max(live, 1) - 1) * ICG * KH * KW
            for n in range(rows * columns):
                tap = begins + (kh0 + n // columns) * KW + kw0 + n % columns
                tile_store(tile_gathered(spec.one, src, tap, ICG * KH * KW, live - v), local, n * LANES, 0)
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
                    store_narrowed(column, scratch, v + (i * C + j) * step, NR, C * step)
        for n in range(T * C):
            for i in range(0, step, LANES):
                tile_store(tile_load(spec.one, scratch, n * step + i, 0), dst, to + extents[places + n] + i, 0)


def transform_packing(p: Conv2dProblem, t: Transform, threads: int) -> Packing:
    """Pack weights, transformed to U, and biases; behind them is what brings results back from the range of U."""
    z, _ = sizes_of(p, t, 1)
    places = _places(z)
    if t.weights is None:
        panels = _spectrum(p, t, z, places, threads)
    else:
        panels = matrix_panels(
            p.weight_shape, p.dtype, p.g, z.CHANNELS, threads, *t.weights, z.ICP, z.W * z.CHANNELS, places
        )
    biases, factors = (Biases(p.oc, p.dtype, p.g, z.CHANNELS) for _ in range(2))
    scaled = InRange(panels, factors)
    return Packing((panels.packed, biases.packed, factors.packed), scaled, biases, unscaled=scaled.as_it_is)


def weight_elements(z: Sizes) -> int:
    """Elements of the transformed weights U."""
    return z.G * z.F * z.OCB * z.PIECES_H * z.PIECES_W * z.ICP * z.NR


def weight_bytes(p: Conv2dProblem, t: Transform) -> int:
    """Bytes of the transformed weights U."""
    return weight_elements(sizes_of(p, t, 1)[0]) * p.itemsize


def transformed_elements(p: Conv2dProblem, t: Transform) -> float:
    """Elements of U, as often as each takes the time of one that is copied: 1.5 to 2.2 times by Winograd's matrices.

    An element by Fourier's tables takes as much again for each row of taps.
    """
    z, _ = sizes_of(p, t, 1)
    elements = weight_elements(z)
    if t.weights is not None:
        return elements * (1.5 if elements * p.itemsize < cache_bytes(2) * 4 else 2.2)
    return elements * (2.2 + 0.3 * p.kh)


@functools.lru_cache(maxsize=256)
def _places(z: Sizes) -> np.ndarray:
    """Where each point of the first input channel stands in a panel: in the order of sums."""
    order = [
        (row + i) * z.C + column + j
        for row, rows, column, columns in zip(*(each.tolist() for each in points_of(z)), strict=True)
        for i in range(rows)
        for j in range(columns)
    ]
    places = np.empty(z.F, np.intp)
    places[order] = np.arange(z.F) * (z.PIECES_H * z.PIECES_W * z.ICP * z.W * z.CHANNELS)
    return places


def _spectrum(p: Conv2dProblem, t: Transform, z: Sizes, places: np.ndarray, threads: int) -> TransformedPanels:
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
    lanes, size = lanes_of_points(z.CHANNELS), z.F * z.PIECES_H * z.PIECES_W * z.ICP * channel
    head = [
        z.OCG, z.OCB, z.ICG, z.ICP, z.CHANNELS, p.kh, p.kw, T, z.C, J, channel, len(listed) // _PIECE, size,
    ]  # fmt: skip
    launch = over_ranges(
        spectrum.address(SpectrumSpec(p.dtype, lanes)), z.G * z.OCB if z.ICG else 0,
        np.concatenate([head, listed, places]), threads, scratch=z.F * channel, dtype=p.dtype,
        tables=np.concatenate(tables), local=(p.kh * p.kw + p.kh * J) * lanes,
    )  # fmt: skip
    return TransformedPanels(launch, np.empty(z.G * z.OCB * size, p.dtype))
