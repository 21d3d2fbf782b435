"""Convolution by transform, elementwise products summed over channels, inverse transform.

One driver for Winograd and for FFT: they differ in their one-dimensional codelets only.

Layout (vectors run over channels, f numbers the points of the transform, row by row)
    pixels  [row][column][lanes]: the rows under a block of tiles, one vector of channels, padded
    V       [f][tile / MR][piece, ic / lanes][part][MR][lanes]
    U       [g][f][oc block][piece, ic][NR]
    M       [f][tile][NR]
    rows    [row][column][lanes]: output rows of one row of tiles, before they become NCHW
A *part* is real or imaginary (one part where numbers are real); a *piece* is a part of a
kernel that is larger than a tile takes: its source tile is the same one, shifted.

Loops, outside in: image, group, block of tile rows; input transform; block of output
channels: products of every f, output transform. V and M of a block are sized for L2. Where
there are fewer blocks than threads can share, threads split each phase instead: input
channels, then points x channel blocks, then channel blocks. Either way each number is
computed by the same steps, so the bits do not depend on the number of threads.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import prange

from kernels.machine.blocking import TileShape
from kernels.machine.codelets import Codelet, apply_codelet
from kernels.machine.jit import inner, kernel, parallel_kernel, share_of
from kernels.machine.simd import (
    tile_load,
    tile_load_partial,
    tile_multiply,
    tile_rank1,
    tile_rows,
    tile_store,
    tile_store_transposed,
)

__all__ = ["PHASES", "Codes", "Sizes", "share", "shares"]

_INPUT, _PRODUCTS, _OUTPUT = 0, 1, 2
PHASES = 3


class Codes(NamedTuple):
    """What the kernels are specialised by."""

    shape: TileShape
    square: TileShape
    lanes: int
    width: int
    rows_in: Codelet
    columns_in: Codelet
    columns_out: Codelet
    rows_out: Codelet


class Sizes(NamedTuple):
    """Every extent that the kernels need, in elements unless said."""

    OWN: bool  # whether threads take blocks of their own; else they share the phases of each
    MB: int
    G: int
    ICG: int
    OCG: int
    ICP: int  # input channels a group, whole vectors
    OCB: int  # blocks of output channels a group
    TH: int  # tiles down
    TW: int  # tiles across
    R: int  # tile rows a block
    BLOCKS: int  # blocks an image and group
    NH: int  # source rows a tile
    MH: int  # output rows a tile
    MW: int
    C: int  # points along a row
    F: int  # points of a tile
    W: int  # parts of a number
    PIECES_H: int
    PIECES_W: int
    TAP_H: int
    TAP_W: int
    IH: int
    IW: int
    PH: int
    PW: int
    WP: int  # columns of ``pixels``
    WR: int  # columns of ``rows``
    VSTEP: int  # from one point to the next in V
    MSTEP: int
    LANES: int
    MR: int
    NR: int
    CHANNELS: int  # output channels a block
    OH: int
    OW: int
    SH: int
    SW: int
    PIXELS: int  # size of ``pixels``
    ONE: int  # size of the scratch of one tile


@inner
def _place(z, item):
    """Image, group and first tile row of a block."""
    return item // (z.BLOCKS * z.G), item // z.BLOCKS % z.G, item % z.BLOCKS * z.R


@inner
def _gather(codes, z, src, plane, channels, first, ROWS, pixels):
    """One vector of channels of the rows under a block of tiles, zeros where the padding is."""
    LANES = z.LANES
    for row in range(ROWS):
        ih = first * z.MH + row - z.PH
        at = (plane * z.IH + ih) * z.IW - z.PW
        out = row * z.WP * LANES
        if ih < 0 or ih >= z.IH:
            for i in range(z.WP * LANES):
                pixels[out + i] = 0
            continue
        for column in range(0, z.WP, LANES):
            begin, end = max(0, z.PW - column), min(LANES, z.PW + z.IW - column)
            if begin == 0 and end == LANES and channels == LANES:
                block = tile_load(codes.square, src, at + column, z.IH * z.IW)
            else:
                block = tile_load_partial(codes.square, src, at + column, z.IH * z.IW, channels, begin, end)
            tile_store_transposed(block, pixels, out + column * LANES, LANES, LANES, LANES)


@inner
def _input_transform(codes, z, src, image, group, first, live_rows, begin, end, local, V):
    """V of a block, for vectors ``begin`` to ``end`` of input channels."""
    pixels, one = local[: z.PIXELS], local[z.PIXELS : z.PIXELS + z.ONE]
    LANES, L = z.LANES, z.C * z.W * z.LANES
    source_rows = (live_rows - 1) * z.MH + z.NH + (z.PIECES_H - 1) * z.TAP_H
    for ic in range(begin * LANES, end * LANES, LANES):
        plane = (image * z.G + group) * z.ICG + ic
        _gather(codes, z, src, plane, min(LANES, z.ICG - ic), first, source_rows, pixels)
        for piece in range(z.PIECES_H * z.PIECES_W):
            shift = piece // z.PIECES_W * z.TAP_H * z.WP + piece % z.PIECES_W * z.TAP_W
            K = z.PIECES_H * z.PIECES_W * z.ICP
            for tile in range(live_rows * z.TW):
                corner = (tile // z.TW * z.MH * z.WP + tile % z.TW * z.MW + shift) * LANES
                for row in range(z.NH):
                    at = corner + row * z.WP * LANES
                    apply_codelet(codes.rows_in, codes.lanes, pixels, at, LANES, 0, one, row * L, z.W * LANES, LANES)
                out = (tile // z.MR * K + piece * z.ICP + ic) * z.W * z.MR + tile % z.MR * LANES
                for c in range(z.C):
                    at = c * z.W * LANES
                    to = out + c * z.VSTEP
                    step = z.C * z.VSTEP
                    apply_codelet(codes.columns_in, codes.lanes, one, at, L, LANES, V, to, step, z.MR * LANES)


@inner
def _products(codes, z, V, U, group, block, tiles, f, zeros, M):
    """M of one block of output channels at point ``f``: a matrix product over input channels."""
    K = z.PIECES_H * z.PIECES_W * z.ICP
    for panel in range(0, tiles, z.MR):
        tile = tile_rows(codes.shape, zeros, 0)
        wi = ((group * z.F + f) * z.OCB + block) * K * z.NR
        for k in range(0, K, z.LANES):
            at = f * z.VSTEP + (panel * K + k * z.MR) * z.W
            for lane in range(z.LANES):
                tile = tile_multiply(codes.width, tile, V, at + lane, codes.lanes, z.MR * z.LANES, U, wi)
                wi += z.NR
        tile_store(tile, M, f * z.MSTEP + panel * z.NR, z.NR)


@inner
def _output_transform(codes, z, M, bias, ones, dst, image, group, block, first, live_rows, local):
    """The rows of dst under a block of tiles, for one block of output channels."""
    one, rows = local[z.PIXELS : z.PIXELS + z.ONE], local[z.PIXELS + z.ONE :]
    LANES, L = z.LANES, z.C * z.W * z.LANES
    OHW = z.OH * z.OW
    live = min(z.CHANNELS, z.OCG - block * z.CHANNELS)
    out = (image * z.G * z.OCG + group * z.OCG + block * z.CHANNELS) * OHW
    for vector in range(0, live, LANES):
        for tile_row in range(live_rows):
            for tile in range(z.TW):
                at = (tile_row * z.TW + tile) * z.NR + vector
                for c in range(z.C):
                    place, step = at + c * z.MSTEP, z.C * z.MSTEP
                    apply_codelet(
                        codes.columns_out, codes.lanes, M, place, step, z.CHANNELS, one, c * z.W * LANES, L, LANES
                    )
                for row in range(z.MH):
                    to = (row * z.WR + tile * z.MW) * LANES
                    apply_codelet(codes.rows_out, codes.lanes, one, row * L, z.W * LANES, LANES, rows, to, LANES, 0)
            for row in range(z.MH):
                dense = (first + tile_row) * z.MH + row
                oh = dense // z.SH
                if dense % z.SH != 0 or oh >= z.OH:
                    continue
                for ow in range(0, z.OW, LANES):
                    pixels = tile_load(codes.square, rows, (row * z.WR + ow * z.SW) * LANES, z.SW * LANES)
                    pixels = tile_rank1(pixels, ones, 0, 0, bias, (group * z.OCB + block) * z.CHANNELS + vector)
                    to = out + vector * OHW + oh * z.OW + ow
                    tile_store_transposed(pixels, dst, to, OHW, min(LANES, z.OW - ow), min(LANES, live - vector))


@inner
def _tiles_of(z, live_rows):
    """Tiles of a block, whole panels. What fills the last panel is multiplied and not read."""
    return (live_rows * z.TW + z.MR - 1) // z.MR * z.MR


@kernel
def share(codes, z, step, part, parts, src, U, bias, ones, zeros, dst, local, V, M):
    """What one of ``parts`` threads does in one step.

    With blocks of its own: all phases of each, products and outputs one block of output
    channels after another in an M of its own. Else: its share of one phase of one block, and
    M holds every block of output channels. Each phase has one call in here for both ways,
    because each is long and compiled once a call.
    """
    begin, end = share_of(z.MB * z.G * z.BLOCKS, part, parts)
    stages, slot = 1 + 2 * z.OCB, part
    if not z.OWN:
        begin, end = step // PHASES, step // PHASES + 1
        stages, slot = 1, 0
    for item in range(begin, end):
        image, group, first = _place(z, item)
        live_rows = min(z.R, z.TH - first)
        for stage in range(stages):
            phase = step % PHASES
            own_block = (stage - 1) // 2
            if z.OWN:
                phase = _INPUT if stage == 0 else _PRODUCTS + (stage - 1) % 2
            if phase == _INPUT:
                low, high = (0, z.ICP // z.LANES) if z.OWN else share_of(z.ICP // z.LANES, part, parts)
                _input_transform(codes, z, src, image, group, first, live_rows, low, high, local[part], V[slot])
            elif phase == _PRODUCTS:
                low, high = (own_block * z.F, (own_block + 1) * z.F) if z.OWN else share_of(z.OCB * z.F, part, parts)
                for q in range(low, high):
                    block = q // z.F
                    to = M[part if z.OWN else block]
                    _products(codes, z, V[slot], U, group, block, _tiles_of(z, live_rows), q % z.F, zeros, to)
            else:
                low, high = (own_block, own_block + 1) if z.OWN else share_of(z.OCB, part, parts)
                for block in range(low, high):
                    products = M[part if z.OWN else block]
                    _output_transform(
                        codes, z, products, bias, ones, dst, image, group, block, first, live_rows, local[part]
                    )


@parallel_kernel
def shares(codes, z, steps, parts, src, U, bias, ones, zeros, dst, local, V, M):
    """Threads meet after every step: once where blocks are shared out, once a phase where phases are."""
    for step in range(steps):
        for part in prange(parts):
            share(codes, z, step, np.intp(part), parts, src, U, bias, ones, zeros, dst, local, V, M)
