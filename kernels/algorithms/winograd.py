"""Winograd's minimal filtering for 3x3, stride 1: fewer multiplications than the sum has.

Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015).

Versions:

- ``winograd_f2x3``: 4x4 tiles, 2.25 times fewer multiplications, the smaller error.
- ``winograd_f4x3``: 6x6 tiles, 4 times fewer.

Layout: vectors run over channels. ``padded`` is flat NCHW with zeros around and channels
rounded up to whole vectors; ``pixels`` [row][column][lanes] is one block of channels of the
rows under a block of tiles; ``V`` [xi][tile / MR][ic / lanes][MR][lanes]; ``U``
[g][xi][oc / NR][ic][NR]; ``M`` [xi][tile / MR * MR][NR], xi the index within a tile.

Loops, outside in: image, group, block of tile rows (the unit of work of a thread); inside
it input transform, then for each block of NR channels the products of every xi and the
output transform. V and M of a block are sized to stay in L2.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numba import prange

from kernels.algorithms.winograd_matrices import transform_matrices
from kernels.machine.jit import kernel, parallel_kernel
from kernels.machine.packing import pad_planes, pad_planes_parallel
from kernels.machine.simd import (
    TileShape,
    lanes_of,
    linear_map,
    static,
    tile_load,
    tile_rank1,
    tile_rows,
    tile_store,
    tile_store_transposed,
    vector_bytes,
)
from kernels.problem import Conv2dProblem
from kernels.registry import Packed, algorithm

#: Finite interpolation points by outputs a tile side.
_POINTS = {2: (0, 1, -1), 4: (0, 1, -1, 2, -2)}
#: Tile shapes (MR, NV) of the products, by number of vector registers.
_TILES = {32: ((14, 2), (9, 3), (7, 3), (4, 4)), 16: ((6, 2), (4, 2), (3, 3))}
#: Tiles that a block aims at: enough rows for the products, few enough for L2.
_BLOCK_TILES = 56


@dataclass(frozen=True)
class _Geometry:
    """Every extent that the kernels need; elements unless said."""

    m: int  # outputs a tile side
    shape: TileShape
    ICP: int  # input channels a group, whole vectors
    OCB: int  # blocks of NR output channels a group
    TH: int  # tiles down
    TW: int  # tiles across
    rows: int  # tile rows a block
    HP: int
    WP: int

    @property
    def n(self) -> int:
        return self.m + 2

    @property
    def blocks(self) -> int:
        return -(-self.TH // self.rows)

    @property
    def tiles(self) -> int:
        """Tiles a block, whole panels of MR."""
        return -(-self.rows * self.TW // self.shape.MR) * self.shape.MR

    @property
    def part_sizes(self) -> tuple[int, ...]:
        """Scratch of one thread: pixels, one tile, V, M, output rows."""
        n, lanes = self.n, self.shape.lanes
        pixels = ((self.rows - 1) * self.m + n) * self.WP * lanes
        products = n * n * self.tiles
        return pixels, n * n * lanes, products * self.ICP, products * self.shape.NR, self.m * self.WP * lanes


@functools.lru_cache(maxsize=1024)
def _geometry(p: Conv2dProblem, m: int) -> _Geometry:
    lanes = lanes_of(p.dtype)
    TH, TW = -(-p.oh // m), -(-p.ow // m)
    rows = max(1, min(TH, round(_BLOCK_TILES / TW)))
    tiles = rows * TW
    channels = p.oc // p.g

    def work(tile: tuple[int, int]) -> float:
        MR, NV = tile
        return -(-tiles // MR) * MR * -(-channels // (NV * lanes)) * NV * max(1.0, (MR + NV) / (MR * NV))

    MR, NV = min(_TILES[32 if vector_bytes() == 64 else 16], key=work)
    # Whole vectors of columns, for the transposing copies.
    WP = -(-(TW * m + 2) // lanes) * lanes
    return _Geometry(
        m, TileShape(MR, NV, lanes), -(-(p.ic // p.g) // lanes) * lanes, -(-channels // (NV * lanes)), TH, TW, rows,
        TH * m + 2, WP,
    )  # fmt: skip


@kernel
def _input_transform(bt, lanes, square, padded, at, PLANE, ICP, ROWS, TW, m, WP, LANES, MR, pixels, one, V):  # type: ignore[no-untyped-def]
    """V of a block of ROWS tile rows whose first source row starts at ``at``."""
    n = m + 2
    panels = (ROWS * TW + MR - 1) // MR
    XI = panels * MR * ICP
    for ic in range(0, ICP, LANES):
        for row in range((ROWS - 1) * m + n):
            for column in range(0, WP, LANES):
                block = tile_load(square, padded, at + ic * PLANE + row * WP + column, PLANE)
                tile_store_transposed(block, pixels, (row * WP + column) * LANES, LANES, LANES, LANES)
        for tile in range(ROWS * TW):
            corner = (tile // TW * m * WP + tile % TW * m) * LANES
            for column in range(n):
                linear_map(bt, lanes, pixels, corner + column * LANES, WP * LANES, one, column * LANES, n * LANES)
            out = (tile // MR) * MR * ICP + ic * MR + tile % MR * LANES
            for row in range(n):
                linear_map(bt, lanes, one, row * n * LANES, LANES, V, out + row * n * XI, XI)


@kernel
def _products(shape, step, V, U, ui, zeros, M, XIS, TILES, ICP, LANES, MR, NR, USTEP):  # type: ignore[no-untyped-def]
    """M of one block of NR channels: a matrix product for every xi."""
    for xi in range(XIS):
        for panel in range(0, TILES, MR):
            tile = tile_rows(shape, zeros, 0)
            wi = ui + xi * USTEP
            for ic in range(0, ICP, LANES):
                at = (xi * TILES + panel) * ICP + ic * MR
                for lane in range(LANES):
                    tile = tile_rank1(tile, V, at + lane, step, U, wi)
                    wi += NR
            tile_store(tile, M, (xi * TILES + panel) * NR, NR)


@kernel
def _output_transform(
    at_matrix,
    lanes,
    square,
    M,
    bias,
    bi,
    one,
    rows,
    dst,
    out,
    OHW,
    live,
    first,
    ROWS,
    TW,
    TILES,
    m,
    WP,
    LANES,
    NR,
    OH,
    OW,
):  # type: ignore[no-untyped-def]
    """One block of NR channels of the output rows under a block of tile rows."""
    n = m + 2
    for vector in range(0, min(NR, live), LANES):
        for tile_row in range(ROWS):
            for tile in range(TW):
                at = (tile_row * TW + tile) * NR + vector
                for column in range(n):
                    linear_map(
                        at_matrix, lanes, M, at + column * TILES * NR, n * TILES * NR, one, column * LANES, n * LANES
                    )
                for row in range(m):
                    linear_map(
                        at_matrix, lanes, one, row * n * LANES, LANES, rows, (row * WP + tile * m) * LANES, LANES
                    )
            for row in range(min(m, OH - (first + tile_row) * m)):
                oh = (first + tile_row) * m + row
                for ow in range(0, OW, LANES):
                    block = tile_load(square, rows, (row * WP + ow) * LANES, LANES)
                    tile_store_transposed(
                        block,
                        dst,
                        out + vector * OHW + oh * OW + ow,
                        OHW,
                        min(LANES, OW - ow),
                        min(LANES, live - vector),
                    )


@kernel
def _add_bias(dst, out, live, bias, oc, begin, end, OHW):  # type: ignore[no-untyped-def]
    for channel in range(live):
        start = out + channel * OHW
        dst[start + begin : start + end] += bias[oc + channel]


@kernel
def _blocks(
    shape,
    square,
    step,
    bt,
    at_matrix,
    lanes,
    begin,
    end,
    padded,
    U,
    bias,
    dst,
    scratch,
    zeros,
    sizes,
    G,
    OCG,
    ICP,
    OCB,
    TH,
    TW,
    R,
    BLOCKS,
    m,
    TILES,
    HP,
    WP,
    LANES,
    MR,
    NR,
    OH,
    OW,
):  # type: ignore[no-untyped-def]
    """Blocks of tile rows ``begin`` to ``end``, numbered over (image, group, block)."""
    n = m + 2
    pixels = scratch[: sizes[0]]
    one = scratch[sizes[0] : sizes[1]]
    V = scratch[sizes[1] : sizes[2]]
    M = scratch[sizes[2] : sizes[3]]
    rows = scratch[sizes[3] : sizes[4]]
    OHW = OH * OW
    for item in range(begin, end):
        first = item % BLOCKS * R
        g = item // BLOCKS % G
        image = item // (BLOCKS * G)
        live_rows = min(R, TH - first)
        at = (image * G + g) * ICP * HP * WP + first * m * WP
        # The last block may be short: its missing tiles keep what an earlier block left, and
        # their products are not read; the panels keep their size, so that the layout does too.
        _input_transform(bt, lanes, square, padded, at, HP * WP, ICP, live_rows, TW, m, WP, LANES, MR, pixels, one, V)
        tiles = (live_rows * TW + MR - 1) // MR * MR
        for block in range(OCB):
            oc = g * OCG + block * NR
            live = min(NR, OCG - block * NR)
            out = (image * G * OCG + oc) * OHW
            ui = (g * n * n * OCB + block) * ICP * NR
            _products(shape, step, V, U, ui, zeros, M, n * n, tiles, ICP, LANES, MR, NR, OCB * ICP * NR)
            _output_transform(
                at_matrix,
                lanes,
                square,
                M,
                bias,
                oc,
                one,
                rows,
                dst,
                out,
                OHW,
                live,
                first,
                live_rows,
                TW,
                tiles,
                m,
                WP,
                LANES,
                NR,
                OH,
                OW,
            )
            _add_bias(dst, out, live, bias, oc, first * m * OW, min(OH, (first + live_rows) * m) * OW, OHW)


@parallel_kernel
def _blocks_parallel(
    shape,
    square,
    step,
    bt,
    at_matrix,
    lanes,
    parts,
    items,
    padded,
    U,
    bias,
    dst,
    scratch,
    zeros,
    sizes,
    G,
    OCG,
    ICP,
    OCB,
    TH,
    TW,
    R,
    BLOCKS,
    m,
    TILES,
    HP,
    WP,
    LANES,
    MR,
    NR,
    OH,
    OW,
):  # type: ignore[no-untyped-def]
    for part in prange(parts):
        own = scratch[part * sizes[4] : (part + 1) * sizes[4]]
        _blocks(
            shape,
            square,
            step,
            bt,
            at_matrix,
            lanes,
            part * items // parts,
            (part + 1) * items // parts,
            padded,
            U,
            bias,
            dst,
            own,
            zeros,
            sizes,
            G,
            OCG,
            ICP,
            OCB,
            TH,
            TW,
            R,
            BLOCKS,
            m,
            TILES,
            HP,
            WP,
            LANES,
            MR,
            NR,
            OH,
            OW,
        )


def _unsupported(p: Conv2dProblem) -> str | None:
    if (p.kh, p.kw) != (3, 3):
        return f"the kernel is {p.kh}x{p.kw}, expected 3x3"
    if (p.sh, p.sw) != (1, 1):
        return f"the stride is {p.sh}x{p.sw}, expected 1x1"
    if (p.dh, p.dw) != (1, 1):
        return f"the dilation is {p.dh}x{p.dw}, expected 1x1"
    if p.g > 1 and p.ic // p.g < 4:
        return f"a group has {p.ic // p.g} input channels, expected at least 4: a vector would be mostly empty"
    return None


def _prepare(m: int, p: Conv2dProblem, wei: np.ndarray) -> Packed:
    geometry = _geometry(p, m)
    at, g, bt = transform_matrices(m, 3, _POINTS[m])
    n, NR, OCG, ICG = geometry.n, geometry.shape.NR, p.oc // p.g, p.ic // p.g
    G = np.array(g, np.float64)
    transformed = np.zeros((p.g, geometry.OCB * NR, geometry.ICP, n * n), p.dtype)
    grouped = wei.astype(np.float64).reshape(p.g, OCG, ICG, 3, 3)
    transformed[:, :OCG, :ICG] = np.einsum("ak,goikl,bl->goiab", G, grouped, G, optimize=True).reshape(
        p.g, OCG, ICG, n * n
    )
    U = transformed.reshape(p.g, geometry.OCB, NR, geometry.ICP, n * n).transpose(0, 4, 1, 3, 2)
    statics = (
        static(geometry.shape),
        static(TileShape(geometry.shape.lanes, 1, geometry.shape.lanes)),
        static(geometry.shape.lanes),
        static(tuple(tuple(map(float, row)) for row in bt)),
        static(tuple(tuple(map(float, row)) for row in at)),
        static(geometry.shape.lanes),
    )
    sizes = np.cumsum(geometry.part_sizes)
    return statics, np.ascontiguousarray(U).reshape(-1), np.zeros(NR, p.dtype), sizes


def _padded_elements(p: Conv2dProblem, geometry: _Geometry) -> int:
    return p.mb * p.g * geometry.ICP * geometry.HP * geometry.WP


def _workspace(m: int, p: Conv2dProblem, threads: int) -> int:
    geometry = _geometry(p, m)
    return (_padded_elements(p, geometry) + threads * sum(geometry.part_sizes)) * p.itemsize


def _run(
    m: int,
    p: Conv2dProblem,
    packed: Packed,
    src: np.ndarray,
    bia: np.ndarray,
    dst: np.ndarray,
    workspace: np.ndarray,
    threads: int,
) -> None:
    geometry = _geometry(p, m)
    statics, U, zeros, sizes = packed
    elements = _padded_elements(p, geometry)
    scratch = workspace.view(p.dtype)
    padded, parts = scratch[:elements], scratch[elements:]
    ICG = p.ic // p.g
    pad = pad_planes if threads == 1 else pad_planes_parallel
    sides = (p.ih, p.iw, p.ph, p.pw, geometry.HP, geometry.WP)
    pad(src.reshape(-1), padded, p.mb * p.g, ICG, geometry.ICP, *sides)
    # Groups that are no whole number of vectors have channels of nothing but zeros between them.
    shape = geometry.shape
    extents = (
        p.g, p.oc // p.g, geometry.ICP, geometry.OCB, geometry.TH, geometry.TW, geometry.rows, geometry.blocks, m,
        geometry.tiles, geometry.HP, geometry.WP, shape.lanes, shape.MR, shape.NR, p.oh, p.ow,
    )  # fmt: skip
    arrays = (padded, U, bia, dst.reshape(-1), parts, zeros, sizes)
    items = p.mb * p.g * geometry.blocks
    if threads == 1:
        _blocks(*statics, 0, items, *arrays, *extents)
    else:
        _blocks_parallel(*statics, threads, items, *arrays, *extents)


def _register(name: str, m: int, error_factor: float, summary: str) -> None:
    run = functools.partial(_run, m)
    run.__doc__ = summary
    algorithm(
        name,
        family="winograd",
        error_factor=error_factor,
        unsupported=_unsupported,
        prepare=functools.partial(_prepare, m),
        workspace=functools.partial(_workspace, m),
    )(run)


_register("winograd_f2x3", 2, 8.0, "F(2x2, 3x3): 2.25 times fewer multiplications than direct.")
_register("winograd_f4x3", 4, 20.0, "F(4x4, 3x3): 4 times fewer multiplications than direct.")
