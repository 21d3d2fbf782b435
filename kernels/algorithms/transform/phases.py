"""Microkernels of the phases before and after the products: planes to vectors, codelets, vectors to planes.

``gather``   rows of a plane a channel -> ``[row][column][lanes]``, squares of vectors transposed in registers
``lines``    a one-dimensional codelet along every line of every tile of a row of tiles
``scatter``  ``[row][column][lanes]`` -> rows of planes, with bias and epilogue

A call takes as long as some vectors, so each takes a row of tiles, or the rows under it: a tile is 20 to 200 cycles.

A two-dimensional transform is `lines` twice with a scratch in L1 between. That is as fast as both dimensions in one
piece: those points of a tile that find no register would go to the stack and back, and columns that neighbouring
tiles share are transformed once. It compiles in a tenth of the time, and each codelet serves all of the other side.
"""

from __future__ import annotations

from typing import NamedTuple

from kernels.algorithms.transform.codelets.apply import Codelet, apply_codelet
from kernels.epilogue import Epilogue
from kernels.machine.microkernel import Elements, Offsets, microkernel
from kernels.machine.register_tile import tile_scaled_plus, tile_transposed
from kernels.machine.static import number
from kernels.machine.tile_memory import tile_load, tile_load_partial, tile_store, tile_store_partial
from kernels.machine.tile_shape import TileShape

__all__ = ["GatherSpec", "LinesSpec", "ScatterSpec", "gather", "lines", "scatter"]


class GatherSpec(NamedTuple):
    """What `gather` is specialised by: ``square`` is lanes x 1 vectors."""

    dtype: str
    square: TileShape


class LinesSpec(NamedTuple):
    """What `lines` is specialised by."""

    dtype: str
    lanes: int
    codelet: Codelet


class ScatterSpec(NamedTuple):
    """What `scatter` is specialised by; of the epilogue the kind."""

    dtype: str
    square: TileShape
    epilogue: Epilogue


@microkernel
def gather(
    spec,
    src: Elements,
    IH: int,
    IW: int,
    first: int,
    rows: int,
    PW: int,
    channels: int,
    pixels: Elements,
    WP: int,
    DH: int,
    GRIDS: int,
    top: int,
    taken: int,
) -> None:
    """One vector of channels of ``rows`` rows from row ``first``, zeros where the padding is.

    ``src`` is the first channel's plane of IH x IW; ``pixels`` has WP columns, whole vectors, PW of them before the
    source's first. Of rows in GRIDS sub-grids, of which one has a row each DH, those of ``taken`` from ``top`` on are
    all that is read.
    """
    LANES = number(spec.square.MR)
    for row in range(rows):
        if taken < GRIDS and (row % DH - top) % GRIDS >= taken:
            continue
        ih = first + row
        out = row * WP * LANES
        if ih < 0 or ih >= IH:
            for i in range(WP * LANES):
                pixels[out + i] = 0
            continue
        at = ih * IW - PW
        for column in range(0, WP, LANES):
            begin, end = max(0, PW - column), min(LANES, PW + IW - column)
            if begin == 0 and end == LANES and channels == LANES:
                square = tile_load(spec.square, src, at + column, IH * IW)
            else:
                square = tile_load_partial(spec.square, src, at + column, IH * IW, channels, begin, end)
            tile_store(tile_transposed(square), pixels, out + column * LANES, LANES)


@microkernel
def lines(
    spec,
    a: Elements,
    corners: Offsets,
    a_next: int,
    a_step: int,
    a_part: int,
    c: Elements,
    places: Offsets,
    c_next: int,
    c_step: int,
    c_part: int,
    tiles: int,
    count: int,
) -> None:
    """``count`` lines of each of ``tiles`` tiles.

    Part q of bundle j of line i of tile t is the vector at ``a[corners[t] + i * a_next + j * a_step + q * a_part]``;
    results are laid out likewise in ``c``.
    """
    for tile in range(tiles):
        at, to = corners[tile], places[tile]
        for _ in range(count):
            apply_codelet(spec.codelet, spec.lanes, a, at, a_step, a_part, c, to, c_step, c_part)
            at += a_next
            to += c_next


@microkernel
def scatter(
    spec,
    rows: Elements,
    row_step: int,
    SW: int,
    count: int,
    scale: Elements,
    bias: Elements,
    dst: Elements,
    residual: Elements,
    dst_step: int,
    OW: int,
    OHW: int,
    channels: int,
    slope: Elements,
) -> None:
    """``count`` rows of OW outputs of one vector of channels, planes of OHW apart.

    Rows that are no whole vectors end in one that reaches back. Rows shorter than a vector are stored whole where
    what they are too long by is written next: masked stores take an AVX2 machine ten times as long.
    """
    LANES = number(spec.square.MR)
    for row in range(count):
        begin = 0
        while begin < OW:
            columns = LANES
            if begin + LANES > OW:
                if OW >= LANES:
                    begin = OW - LANES
                elif dst_step != OW or (count - row) * OW < LANES:
                    columns = OW
            at = row * row_step + begin * SW * LANES
            pixels = tile_scaled_plus(tile_load(spec.square, rows, at, SW * LANES), scale, bias, 0)
            planes, place = tile_transposed(pixels), row * dst_step + begin
            tile_store_partial(planes, dst, place, OHW, channels, columns, spec.epilogue, residual, slope)
            begin += LANES
