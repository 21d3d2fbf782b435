"""Weights in the order that microkernels read them: panels of NR output channels.

A *panel* holds the weights of up to NR output channels of a group. Weights that the user gives lie along input channels
and taps; in a panel those of neighbouring output channels are neighbours. So a pack is a transposition: squares of a
vector's length are loaded, transposed in registers and stored a vector at a time, each vector to its place. Panels stay
in L2 while they are written, and source and panels cross memory once.

Weights of a transform are gathered by elements, transformed in registers, and stored so. Before, channels whose weights
are tiny or huge are brought into range by powers of two, which the last step of the inverse transform takes back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types

from kernels.machine.cpu import lanes_of, vector_bytes
from kernels.machine.ir import data_pointer, index_value, scalar_type, store_vector
from kernels.machine.matrix_codelet import MatrixCodelet
from kernels.machine.microkernel import Doubles, Elements, Offsets, memory_microkernel
from kernels.machine.parallel import Launch
from kernels.machine.ranges import over_ranges
from kernels.machine.register_tile import TileType, tile_transposed
from kernels.machine.static import StaticType, intrinsic, number
from kernels.machine.tile_memory import tile_load, tile_load_partial, tile_scatter, tile_store
from kernels.machine.tile_shape import TileShape

__all__ = [
    "Biases",
    "InRange",
    "Panels",
    "TransformedPanels",
    "in_channel_blocks",
    "lanes_of_points",
    "matrix_panels",
    "tile_gathered",
]


class PanelsSpec(NamedTuple):
    """What packing is specialised by: ``square`` is lanes x 1 vectors, of which ``width`` elements are stored."""

    dtype: str
    square: TileShape
    width: int


#: Elements of each channel at once: all channels of a panel have stored what is beside them before it leaves L1 or L2.
_AT_ONCE = 256
#: Integers before the places in the extents of `panels`.
_PLACES = 6


@memory_microkernel
def panels(
    spec, src: Elements, dst: Elements, extents: Offsets, scratch: Elements, tables: Doubles, local: Doubles,
    begin: int, end: int,
) -> None:  # fmt: skip
    """Panels ``begin`` to ``end``: element k of output channel r goes to ``places[k] + r`` of its panel.

    Channels and elements past the last one are zeros and not read; zeros are written for channels up to NR.
    """
    LANES = number(spec.square.MR)
    OCG, BLOCKS, K, NR = extents[0], extents[1], extents[2], extents[3]
    for panel in range(begin, end):
        first = panel % BLOCKS * NR
        at, to = (panel // BLOCKS * OCG + first) * K, panel * K * NR
        rows = min(NR, OCG - first)
        for first_k in range(0, K, _AT_ONCE):
            for r in range(extents[4], extents[5], LANES):
                for k in range(first_k, min(K, first_k + _AT_ONCE), LANES):
                    square = tile_load_partial(spec.square, src, at + r * K + k, K, rows - r, 0, K - k)
                    tile_scatter(tile_transposed(square), spec.width, dst, to + r, extents, _PLACES + k, K - k)


def _steps(dtype: str, NR: int) -> list[tuple[int, int, int]]:
    """Microkernels that pack NR channels, each with the first channel that it takes and the end of them."""
    lanes = lanes_of(dtype)
    square, whole = TileShape(lanes, 1, lanes), NR // lanes * lanes
    steps = [(lanes, 0, whole), (NR - whole, whole, NR)]
    return [(panels.address(PanelsSpec(dtype, square, width)), a, b) for width, a, b in steps if a < b]


class Panels:
    """Packs weights to panels of NR output channels, the last of each group filled with zeros: ``panels(wei)``.

    Parameters
    ----------
    shape : tuple of int
        Of the weights: (oc, ic // g, kh, kw). They are given C-contiguous.
    dtype : str
    groups, NR, threads : int
    places : ndarray of int, shape (ic // g * kh * kw,), optional
        Where element ``[ic][kh][kw]`` of a channel stands in a panel; as they are by default.

    Attributes
    ----------
    packed : ndarray, one-dimensional
        ``[g][oc / NR][place][NR]``; every call writes all of it.
    """

    def __init__(
        self, shape: tuple[int, ...], dtype: str, groups: int, NR: int, threads: int, places: np.ndarray | None = None
    ) -> None:
        OCG, K = shape[0] // groups, math.prod(shape[1:])
        BLOCKS = -(-OCG // NR)
        self.packed = np.empty(groups * BLOCKS * K * NR, dtype)
        #: None if weights are packed as they are.
        self._launches: list[Launch] | None = None
        if NR > 1 or places is not None:
            to = np.arange(K) if places is None else places
            self._launches = [
                over_ranges(
                    kernel, groups * BLOCKS if K else 0,
                    np.concatenate([np.array((OCG, BLOCKS, K, NR, first, last)), to * NR]), threads,
                )
                for kernel, first, last in _steps(dtype, NR)
            ]  # fmt: skip

    def __call__(self, wei: np.ndarray) -> None:
        """Pack."""
        if self._launches is None:
            self.packed[:] = wei.reshape(-1)
            return
        for launch in self._launches:
            launch(wei, self.packed, self.packed)


def in_channel_blocks(channels: int, taps: Sequence[int], KC: int) -> np.ndarray:
    """Places for `Panels`: weights of KC input channels behind those of the KC before, neighbours within.

    Parameters
    ----------
    channels : int
        Of a group.
    taps : sequence of int
        The number of each tap ``[kh][kw]`` in the order that they are to stand.
    KC : int

    Returns
    -------
    ndarray of int, shape (channels * taps,)
        Of ``[ic / KC][tap][KC]``, the last KC of what channels are left.
    """
    c, number_of = np.arange(channels)[:, None], np.asarray(taps)[None, :]
    first = c // KC * KC
    order: np.ndarray = first * len(taps) + number_of * np.minimum(KC, channels - first) + c - first
    return order.reshape(-1)


class Biases:
    """Packs biases as `Panels` packs weights: ``biases(bia)``.

    Attributes
    ----------
    packed : ndarray, shape (g, oc / NR * NR)
        Zeros behind each group's channels.
    """

    def __init__(self, oc: int, dtype: str, groups: int, NR: int) -> None:
        self._shape = groups, oc // groups
        self.packed = np.zeros((groups, -(-self._shape[1] // NR) * NR), dtype)
        self._live = self.packed[:, : self._shape[1]]

    def __call__(self, bia: np.ndarray) -> None:
        """Pack."""
        self._live[...] = bia.reshape(self._shape)


# -- weights that are transformed ----------------------------------------


class PointsSpec(NamedTuple):
    """What `matrix_points` is specialised by: ``across`` is along a row of taps, ``down`` over the rows that come."""

    dtype: str
    lanes: int
    down: MatrixCodelet
    across: MatrixCodelet

    @property
    def vector(self) -> TileShape:
        return TileShape(1, 1, self.lanes)


@intrinsic
def tile_gathered(typingctx: Any, shape: Any, a: Any, ai: Any, step: Any, live: Any) -> Any:
    """``tile_gathered(shape, a, ai, step, live)``: one vector of float64, element n is ``a[ai + n * step]``.

    For ``n < live``; others are zero and not read. ``a[ai]`` may be read in any case.
    """
    if not isinstance(shape, StaticType):
        return None
    tile = TileType(shape.value, types.float64)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = data_pointer(context, builder, a, arguments[1])
        start, stride, count = (
            index_value(context, builder, typ, value)
            for typ, value in zip((ai, step, live), arguments[2:], strict=True)
        )
        model = context.get_value_type(tile)
        return builder.insert_value(
            ir.Constant(model, ir.Undefined),
            _gathered(builder, data, _lanes(builder, start, stride, count, shape.value.lanes)),
            0,
        )

    return tile(shape, a, ai, step, live), codegen


def _lanes(
    builder: Any, start: ir.Value, step: ir.Value, live: ir.Value, lanes: int
) -> list[tuple[ir.Value, ir.Value]]:
    """For each lane its offset, and whether it counts; of those that do not the offset is the first one's."""
    found = []
    for lane in range(lanes):
        inside = builder.icmp_signed("<", live.type(lane), live)
        offset = builder.select(inside, builder.mul(step, step.type(lane)), step.type(0))
        found.append((builder.add(start, offset), inside))
    return found


def _gathered(builder: Any, data: ir.Value, lanes: list[tuple[ir.Value, ir.Value]], further: int = 0) -> ir.Value:
    """A vector of float64 of elements ``further`` behind those of the lanes, and zeros."""
    zero = ir.Constant(data.type.pointee, 0.0)
    vector = ir.VectorType(data.type.pointee, len(lanes))
    value = ir.Constant(vector, ir.Undefined)
    for lane, (offset, inside) in enumerate(lanes):
        element = builder.load(builder.gep(data, [builder.add(offset, offset.type(further))]))
        value = builder.insert_element(value, builder.select(inside, element, zero), ir.IntType(32)(lane))
    wide = ir.VectorType(ir.DoubleType(), len(lanes))
    return value if vector == wide else builder.fpext(value, wide)


@intrinsic
def points_of_taps(
    typingctx: Any, down: Any, across: Any, lanes: Any, taps: Any, ti: Any, step: Any, live: Any, u: Any, ui: Any,
    places: Any, pi: Any,
) -> Any:  # fmt: skip
    """``points_of_taps(down, across, lanes, taps, ti, step, live, u, ui, places, pi)``: of one vector of channels.

    Tap n of channel l is ``taps[ti + l * step + n]`` for ``l < live`` and zero for others, of which ``taps[ti]`` and on
    may be read; point n goes to ``u[ui + places[pi + n]]``. In between everything is float64: what is left is the
    rounding of each result.
    """
    if not all(isinstance(each, StaticType) for each in (down, across, lanes)):
        return None

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(scalar_type(taps.dtype), lanes.value)
        source, target, table = (
            data_pointer(context, builder, typ, arguments[i]) for i, typ in ((3, taps), (7, u), (9, places))
        )
        start, stride, count, to, first = (
            index_value(context, builder, typ, arguments[i])
            for i, typ in ((4, ti), (5, step), (6, live), (8, ui), (10, pi))
        )
        offsets = _lanes(builder, start, stride, count, lanes.value)
        width = across.value.inputs
        rows = [
            across.value.emit(builder, [_gathered(builder, source, offsets, i * width + j) for j in range(width)])
            for i in range(down.value.inputs)
        ]
        columns = [down.value.emit(builder, list(column)) for column in zip(*rows, strict=True)]
        for n, value in enumerate(value for row in zip(*columns, strict=True) for value in row):
            place = builder.add(to, builder.load(builder.gep(table, [builder.add(first, first.type(n))])))
            store_vector(builder, value if value.type == vector else builder.fptrunc(value, vector), target, place)
        return context.get_dummy_value()

    return types.void(down, across, lanes, taps, ti, step, live, u, ui, places, pi), codegen


#: Integers before the tables of places in the extents of `matrix_points`.
_POINTS = 9


@memory_microkernel
def matrix_points(
    spec, src: Elements, dst: Elements, extents: Offsets, scratch: Elements, tables: Doubles, local: Doubles,
    begin: int, end: int,
) -> None:  # fmt: skip
    """Points of the input channels of panels ``begin`` to ``end``, zeros for channels past the last ones.

    In scratch, ``[point][input channel of a few][NR]``, points wait until a few channels have theirs: in U they are
    powers of two apart, so that lines of them that are written in part would drive each other from the caches.
    """
    LANES = number(spec.lanes)
    OCG, BLOCKS, ICG, channels, NR, TAPS, step, few, POINTS = (
        extents[0], extents[1], extents[2], extents[3], extents[4], extents[5], extents[6], extents[7], extents[8],
    )  # fmt: skip
    for panel in range(begin, end):
        first = panel % BLOCKS * NR
        at, to = (panel // BLOCKS * OCG + first) * ICG * TAPS, panel * channels * POINTS * NR
        rows = min(NR, OCG - first)
        for c0 in range(0, channels, few):
            count = min(few, channels - c0)
            for c in range(count):
                for v in range(0, NR, LANES):
                    live = rows - v if c0 + c < ICG else 0
                    channel = at + (min(v, rows - 1) * ICG + min(c0 + c, ICG - 1)) * TAPS
                    points_of_taps(
                        spec.down, spec.across, spec.lanes, src, channel, ICG * TAPS, live, scratch, c * NR + v,
                        extents, _POINTS,
                    )  # fmt: skip
            for n in range(POINTS):
                place = to + c0 * step + extents[_POINTS + POINTS + n]
                for i in range(0, count * NR, LANES):
                    tile_store(tile_load(spec.vector, scratch, n * few * NR + i, 0), dst, place + i, 0)


#: Sums of the squares of a channel's weights that are left as they are: with the factors of a transform and values of
#: an input that are as small or large, nothing leaves the normal range.
_LEFT = 2.0**-40, 2.0**40


class InRange:
    """Packs weights after it has brought those of each output channel into range: used as `Panels` is.

    Transforms multiply weights by factors of down to 1/8100, so that denormal ones would lose what digits they have,
    and sum them, so that huge ones would become infinite. Powers of two change no digit.

    Parameters
    ----------
    pack : callable
        ``pack(wei)`` packs weights.
    factors : callable
        ``factors(values)`` packs what results of each output channel are to be multiplied by, nearly always one, as
        biases are packed.
    """

    def __init__(self, pack: Callable[[np.ndarray], None], factors: Callable[[np.ndarray], None]) -> None:
        self._pack, self._factors = pack, factors

    def __call__(self, wei: np.ndarray) -> None:
        """Pack."""
        rows = wei.reshape(len(wei), math.prod(wei.shape[1:]))
        with np.errstate(all="ignore"):
            squares = np.matmul(rows[:, None, :], rows[:, :, None])[:, 0, 0]
        left = (squares >= _LEFT[0]) & (squares <= _LEFT[1])
        factors = np.ones(len(wei), wei.dtype)
        if not left.all():
            limits, largest = np.finfo(wei.dtype), np.abs(rows).max(axis=1, initial=0)
            exponents = np.where(left | ~np.isfinite(largest), 0, np.frexp(largest)[1])
            # What takes the power back is a normal number itself.
            exponents = np.clip(exponents, limits.minexp, limits.maxexp - 1)
            factors, wei = np.ldexp(factors, exponents), np.ldexp(rows, -exponents[:, None]).reshape(wei.shape)
        self._factors(factors)
        self._pack(wei)

    def as_it_is(self, wei: np.ndarray) -> None:
        """Pack weights that stay in their range."""
        self._factors(np.ones(len(wei), wei.dtype))
        self._pack(wei)


#: Elements of points that wait until some input channels have them.
_SCRATCH = 4096


class TransformedPanels:
    """Packs weights to panels of the points of each input channel; used as `Panels` is.

    Parameters
    ----------
    launch : Launch
        What transforms: ``launch(wei, packed, packed)``.
    packed : ndarray, one-dimensional
        ``[g][oc / NR]`` of transformed panels.
    """

    def __init__(self, launch: Launch, packed: np.ndarray) -> None:
        self._launch, self.packed = launch, packed

    def __call__(self, wei: np.ndarray) -> None:
        """Pack."""
        self._launch(wei, self.packed, self.packed)


def lanes_of_points(NR: int) -> int:
    """Elements of the vectors of float64 that panels of NR channels are transformed by."""
    return min(vector_bytes() // 8, NR & -NR)


def matrix_panels(
    shape: tuple[int, ...],
    dtype: str,
    groups: int,
    NR: int,
    threads: int,
    down: MatrixCodelet,
    across: MatrixCodelet,
    channels: int,
    step: int,
    places: np.ndarray,
) -> TransformedPanels:
    """Weights transformed by two small matrices over the taps of each input channel.

    Parameters
    ----------
    shape, dtype, groups, NR, threads
        As for `Panels`.
    down, across : MatrixCodelet
    channels : int
        Input channels of a panel, those of its padding included.
    step : int
        Elements of a panel from one input channel to the next.
    places : ndarray of int, shape (points,)
        Where the points ``[down][across]`` of the first input channel stand in a panel.
    """
    OCG, ICG, points = shape[0] // groups, shape[1], down.outputs * across.outputs
    BLOCKS = -(-OCG // NR)
    # As many as stand together in U, while their points stay in L1.
    few = max(1, min(channels, _SCRATCH // (points * NR))) if step == NR else 1
    head = (OCG, BLOCKS, ICG, channels, NR, down.inputs * across.inputs, step, few, points)
    extents = np.concatenate([head, np.arange(points) * few * NR, places])
    kernel = matrix_points.address(PointsSpec(dtype, lanes_of_points(NR), down, across))
    launch = over_ranges(
        kernel, groups * BLOCKS if ICG else 0, extents, threads, scratch=points * few * NR, dtype=dtype
    )
    return TransformedPanels(launch, np.empty(groups * BLOCKS * channels * points * NR, dtype))
