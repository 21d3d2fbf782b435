"""Weights in the order that microkernels read them: panels of NR output channels.

A *panel* holds the weights of up to NR output channels of a group. Weights that the user gives lie along input channels
and taps; in a panel those of neighbouring output channels are neighbours. So a pack is a transposition: squares of a
vector's length are loaded, transposed in registers and stored a vector at a time, each vector to its place. Panels stay
in L2 while they are written, and source and panels cross memory once.

Panels of a transform are packed into scratch of a thread, and from there transformed: see `TransformedPanels`.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types

from kernels.machine.cpu import lanes_of, vector_bytes
from kernels.machine.ir import data_pointer, index_value, load_vector, scalar_type, store_vector
from kernels.machine.matrix_codelet import MatrixCodelet
from kernels.machine.microkernel import Doubles, Elements, Microkernel, Offsets, call, macrokernel, microkernel
from kernels.machine.parallel import Launch, address_of, share_of
from kernels.machine.ranges import over_ranges
from kernels.machine.register_tile import tile_transposed
from kernels.machine.static import StaticType, intrinsic, number
from kernels.machine.tile_memory import tile_load, tile_load_partial, tile_scatter, tile_store
from kernels.machine.tile_shape import TileShape

__all__ = ["Biases", "Panels", "Points", "TransformedPanels", "in_channel_blocks", "points_of_weights"]


class PanelsSpec(NamedTuple):
    """What packing is specialised by: ``square`` is lanes x 1 vectors, of which ``width`` elements are stored."""

    dtype: str
    square: TileShape
    width: int


#: Integers before the places in the extents of `panels`.
_PLACES = 7


@microkernel
def panels(spec, src: Elements, dst: Elements, extents: Offsets, begin: int, end: int) -> None:
    """Panels ``begin`` to ``end``: element k of output channel r goes to ``places[k] + r`` of its panel.

    Channels and elements past the last one are zeros and not read; zeros are written for channels up to NR.
    """
    LANES = number(spec.square.MR)
    OCG, BLOCKS, K, NR = extents[0], extents[1], extents[2], extents[3]
    for panel in range(begin, end):
        first = panel % BLOCKS * NR
        at, to = (panel // BLOCKS * OCG + first) * K, panel * extents[6]
        rows = min(NR, OCG - first)
        for r in range(extents[4], extents[5], LANES):
            for k in range(0, K, LANES):
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
                    np.concatenate([np.array((OCG, BLOCKS, K, NR, first, last, K * NR)), to * NR]), threads,
                )
                for kernel, first, last in _steps(dtype, NR)
            ]  # fmt: skip

    def __call__(self, wei: np.ndarray) -> None:
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
    return (first * len(taps) + number_of * np.minimum(KC, channels - first) + c - first).reshape(-1)


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
def points_of_taps(
    typingctx: Any, down: Any, across: Any, lanes: Any, taps: Any, ti: Any, step: Any, u: Any, ui: Any, places: Any,
    pi: Any,
) -> Any:  # fmt: skip
    """``points_of_taps(down, across, lanes, taps, ti, step, u, ui, places, pi)``: of one vector of output channels.

    Tap n is the vector at ``taps[ti + n * step]``; point n goes to ``u[ui + places[pi + n]]``. In between everything
    is float64: what is left is the rounding of each result.
    """
    if not all(isinstance(each, StaticType) for each in (down, across, lanes)):
        return None

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(scalar_type(taps.dtype), lanes.value)
        wide = ir.VectorType(ir.DoubleType(), lanes.value)
        source, target, table = (
            data_pointer(context, builder, typ, arguments[i]) for i, typ in ((3, taps), (6, u), (8, places))
        )
        start, stride, to, first = (
            index_value(context, builder, typ, arguments[i]) for i, typ in ((4, ti), (5, step), (7, ui), (9, pi))
        )
        rows = []
        for i in range(down.value.inputs):
            row = []
            for j in range(across.value.inputs):
                place = builder.add(start, builder.mul(stride, stride.type(i * across.value.inputs + j)))
                value = load_vector(builder, source, place, vector)
                row.append(value if vector == wide else builder.fpext(value, wide))
            rows.append(across.value.emit(builder, row))
        columns = [down.value.emit(builder, list(column)) for column in zip(*rows, strict=True)]
        for n, value in enumerate(value for row in zip(*columns, strict=True) for value in row):
            place = builder.add(to, builder.load(builder.gep(table, [builder.add(first, first.type(n))])))
            store_vector(builder, value if vector == wide else builder.fptrunc(value, vector), target, place)
        return context.get_dummy_value()

    return types.void(down, across, lanes, taps, ti, step, u, ui, places, pi), codegen


#: Integers before the tables of places in the extents of `matrix_points`.
_POINTS = 6


@microkernel
def matrix_points(spec, taps: Elements, u: Elements, extents: Offsets, tables: Doubles, local: Doubles) -> None:
    """Points of every input channel of a panel ``[ic][tap][NR]``; ``tables`` and ``local`` are for others.

    Behind the panel there is scratch, ``[point][input channel of a few][NR]``: in U points are powers of two apart, so
    that lines of them that are written in part would drive each other from the caches.
    """
    LANES = number(spec.lanes)
    channels, NR, TAPS, step, few, POINTS = (
        extents[0], extents[1], extents[2], extents[3], extents[4], extents[5],
    )  # fmt: skip
    scratch = channels * TAPS * NR
    for c0 in range(0, channels, few):
        count = min(few, channels - c0)
        for c in range(count):
            for v in range(0, NR, LANES):
                points_of_taps(
                    spec.down, spec.across, spec.lanes, taps, (c0 + c) * TAPS * NR + v, NR, taps, scratch + c * NR + v,
                    extents, _POINTS,
                )  # fmt: skip
        for n in range(POINTS):
            at, to = scratch + n * few * NR, c0 * step + extents[_POINTS + POINTS + n]
            for i in range(0, count * NR, LANES):
                tile_store(tile_load(spec.vector, taps, at + i, 0), u, to + i, 0)


#: Elements of points that wait until some input channels have them.
_SCRATCH = 4096


class Points(NamedTuple):
    """How a panel is transformed.

    Attributes
    ----------
    kernel, spec : Microkernel and its spec
        With parameters ``(taps, u, extents, tables, local)``.
    extents : ndarray of int
    size : int
        Elements of a transformed panel.
    scratch : int
        Elements that the microkernel may write to behind the packed panel.
    tables, local : ndarray of float64
        What the microkernel reads, and its scratch.
    """

    kernel: Microkernel
    spec: Hashable
    extents: np.ndarray
    size: int
    scratch: int
    tables: np.ndarray = np.zeros(0)
    local: np.ndarray = np.zeros(0)


def points_of_weights(
    dtype: str, down: MatrixCodelet, across: MatrixCodelet, channels: int, NR: int, step: int, places: np.ndarray
) -> Points:
    """Two small matrices over the taps of each input channel.

    Parameters
    ----------
    dtype : str
    down, across : MatrixCodelet
    channels, NR : int
        Input channels of a panel, those of its padding included, and output channels.
    step : int
        Elements of a transformed panel from one input channel to the next.
    places : ndarray of int, shape (points,)
        Where the points ``[down][across]`` of the first input channel stand in a transformed panel.
    """
    # NR may be less than a vector, but is never so and not a power of two.
    lanes = min(vector_bytes() // 8, NR & -NR)
    points = down.outputs * across.outputs
    # As many as stand together in U, while their points stay in L1.
    few = max(1, min(channels, _SCRATCH // (points * NR))) if step == NR else 1
    head = (channels, NR, down.inputs * across.inputs, step, few, points)
    extents = np.concatenate([head, np.arange(points) * few * NR, places]).astype(np.intp)
    return Points(
        matrix_points, PointsSpec(dtype, lanes, down, across), extents, channels * points * NR, points * few * NR
    )


@macrokernel(("ITEMS", "pack", "pack_more", "extents", "extents_more", "points", "scratch", "SCRATCH",
              "PANEL", "points_extents", "tables", "local", "LOCAL"))  # fmt: skip
def _transformed(z, step, part, parts):
    """Panels, numbered over (group, block of output channels); each is packed, then transformed."""
    begin, end = share_of(z.ITEMS, part, parts)
    taps = z.scratch + part * z.SCRATCH
    for item in range(begin, end):
        if z.pack != 0:
            call(z.pack, (z.src, taps, z.extents, item, item + 1))
        if z.pack_more != 0:
            call(z.pack_more, (z.src, taps, z.extents_more, item, item + 1))
        call(z.points, (taps, z.dst + item * z.PANEL, z.points_extents, z.tables, z.local + part * z.LOCAL))


class TransformedPanels:
    """Packs weights to panels and transforms each by ``points``; used as `Panels` is.

    Attributes
    ----------
    packed : ndarray, one-dimensional
        ``[g][oc / NR]`` of what ``points`` makes of a panel.
    """

    def __init__(self, shape: tuple[int, ...], dtype: str, groups: int, NR: int, threads: int, points: Points) -> None:
        OCG, ICG, TAPS = shape[0] // groups, shape[1], math.prod(shape[2:])
        BLOCKS, K = -(-OCG // NR), ICG * TAPS
        self.packed = np.empty(groups * BLOCKS * points.size, dtype)
        # With zeros for the input channels that fill the last vector.
        scratch = np.zeros((threads, points.extents[0] * TAPS * NR + points.scratch), dtype)
        local = np.empty((threads, points.local.size))
        steps = {}
        keep: list[Any] = [scratch, local, points]
        for (kernel, first, last), more in zip(_steps(dtype, NR), ("", "_more"), strict=False):
            extents = np.concatenate([(OCG, BLOCKS, K, NR, first, last, 0), np.arange(K) * NR]).astype(np.intp)
            steps["pack" + more], steps["extents" + more] = kernel, address_of(extents)
            keep.append(extents)
        record = _transformed.record(
            ITEMS=groups * BLOCKS if points.size else 0, points=points.kernel.address(points.spec),
            scratch=address_of(scratch), SCRATCH=scratch[0].nbytes, PANEL=points.size * scratch.itemsize,
            points_extents=address_of(points.extents), tables=address_of(points.tables), local=address_of(local),
            LOCAL=local[0].nbytes, **steps,
        )  # fmt: skip
        self._launch = Launch(_transformed, record, threads, keep=tuple(keep))

    def __call__(self, wei: np.ndarray) -> None:
        self._launch(wei, self.packed, self.packed)
