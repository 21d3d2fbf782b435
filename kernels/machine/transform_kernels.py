"""Convolution by transform, elementwise products summed over channels, inverse transform.

One driver for Winograd and for FFT: they differ in their one-dimensional codelets only.

Layout (vectors run over channels, f numbers the points of the transform, row by row)
    pixels  [row][column][lanes]: the rows under a block of tiles, one vector of channels, padded
    V       [f][tile / MR][piece, ic / lanes][part][MR][lanes]
    U       [g][oc block][f of a sum after those of another][piece, ic][NR], read from first to last
    M       [sum][tile][NR]
    rows    [row][column][lanes]: output rows of one row of tiles, before they become NCHW
A *part* is real or imaginary (one part where numbers are real); a *piece* is a part of a
kernel that is larger than a tile takes: its source tile is the same one, shifted. Sums (as many
as points, but for stride 2), sub-grids (of dilated kernels), which tiles have which points, and
their order are in `kernels.machine.transform_blocks`. Sub-grids interleave in ``pixels`` and
``rows`` as in the source and in the result: to transforms they are a distance from vector to vector.

Loops, outside in: images, group, block of tile rows; input transform; block of output
channels: products of every f, output transform. V and M of a block are sized for L2. Threads
share blocks; where those are too few, first a block's input channels and then its blocks of
output channels; and where those are, every phase. Either way each number is computed by the
same steps, so the bits do not depend on the number of threads.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from kernels.machine.codelets import apply_codelet
from kernels.machine.codelets_2d import apply_codelets
from kernels.machine.jit import inner, kernel, parallel_kernel, share_of
from kernels.machine.register_tile import tile_multiply, tile_rank1, tile_rows, tile_transposed
from kernels.machine.static import number
from kernels.machine.tile_memory import tile_load, tile_store, tile_store_partial
from kernels.machine.transform_blocks import block_of, points_of, tile_number, tile_start, tiles_at
from kernels.machine.transform_input import input_transform

__all__ = ["output_transform", "products", "share", "shares"]

_INPUT, _PRODUCTS, _OUTPUT = 0, 1, 2


@inner
def products(codes, z, V, U, group, oc, tiles, f, zeros, M):
    """M of block ``oc`` of output channels at sum ``f``: a matrix product over input channels."""
    K = z.PIECES_H * z.PIECES_W * z.ICP
    row, ROWS, column, COLUMNS = points_of(z, f)
    # A tile that is summed in a loop within loops leaves its registers in between: two loops less.
    if number(codes.single) == 1:
        ROWS, COLUMNS = 1, 1
    for panel in range(0, tiles, z.MR):
        tile = tile_rows(codes.shape, zeros, 0)
        wi = ((group * z.OCB + oc) * z.F + row * z.C + ROWS * column) * K * z.NR
        for down in range(row, row + ROWS):
            for across in range(column, column + COLUMNS):
                first = (down * z.C + across) * z.VSTEP + panel * K * z.W
                for k in range(0, K, z.LANES):
                    at = first + k * z.MR * z.W
                    for lane in range(z.LANES):
                        tile = tile_multiply(codes.width, tile, V, at + lane, codes.lanes, z.MR * z.LANES, U, wi)
                        wi += z.NR
        tile_store(tile, M, f * z.MSTEP + panel * z.NR, z.NR)


@inner
def _steps_out(codes, z, M, at, one, rows, to):
    """Outputs of one tile in steps."""
    LANES, L = z.LANES, z.C * z.W * z.LANES
    for c in range(z.C):
        place, step = at + c * z.MSTEP, z.C * z.MSTEP
        apply_codelet(codes.step_columns_out, codes.lanes, M, place, step, z.CHANNELS, one, c * z.W * LANES, L, LANES)
    for row in range(z.MH):
        place = to + row * z.WR * LANES
        apply_codelet(codes.step_rows_out, codes.lanes, one, row * L, z.W * LANES, LANES, rows, place, LANES, 0)


@inner
def _whole_out(codes, z, down, across, M, at, behind, rows, to):
    """Outputs of one tile in one piece."""
    step, split = z.SUMS_C * z.MSTEP, codes.split_out
    L, next_column = z.WR * z.LANES, z.DW * z.LANES
    apply_codelets(down, across, codes.lanes, split, M, at, step, z.MSTEP, behind, rows, to, L, next_column, 0)


@inner
def output_transform(codes, z, M, bias, ones, dst, residual, block, oc, local):
    """The rows of dst under a block of tiles, for block ``oc`` of output channels."""
    one, rows = local[z.PIXELS : z.PIXELS + z.ONE], local[z.PIXELS + z.ONE :]
    LANES, OHW = z.LANES, z.OH * z.OW
    live = min(z.CHANNELS, z.OCG - oc * z.CHANNELS)
    for item in range((live + LANES - 1) // LANES * block.images):
        vector, image = item // block.images * LANES, item % block.images
        out = (((block.image + image) * z.G + block.group) * z.OCG + oc * z.CHANNELS + vector) * OHW
        for row in range(block.rows):
            to, grid = -LANES, 0
            for column in range(z.TW):
                to += LANES
                if grid == z.GRIDS_W:
                    to, grid = to + (z.MW * z.DW - z.GRIDS_W) * LANES, 0
                grid += 1
                at = tile_number(z, block, image, row, column) * z.NR + vector
                if z.STEPS:
                    _steps_out(codes, z, M, at, one, rows, to)
                elif row < block.full_rows:
                    if column < z.FULL_TW:
                        _whole_out(codes, z, codes.down_out, codes.across_out, M, at, 0, rows, to)
                    else:
                        _whole_out(codes, z, codes.down_out, codes.short_across_out, M, at, 0, rows, to)
                else:
                    behind = -block.across * z.NR
                    if column < z.FULL_TW:
                        _whole_out(codes, z, codes.short_down_out, codes.across_out, M, at, behind, rows, to)
                    else:
                        _whole_out(codes, z, codes.short_down_out, codes.short_across_out, M, at, 0, rows, to)
            for line in range(z.MH if row < block.full_rows else z.SHORT_MH):
                dense = tile_start(block.first + row, z.GRIDS_H, z.MH * z.DH) + line * z.DH
                oh = dense // z.SH
                if dense % z.SH != 0 or oh >= z.OH:
                    continue
                for ow in range(0, z.OW, LANES):
                    pixels = tile_load(codes.square, rows, (line * z.WR + ow * z.SW) * LANES, z.SW * LANES)
                    pixels = tile_rank1(pixels, ones, 0, 0, bias, (block.group * z.OCB + oc) * z.CHANNELS + vector)
                    place, channels, count = out + oh * z.OW + ow, min(LANES, live - vector), min(LANES, z.OW - ow)
                    planes = tile_transposed(pixels)
                    tile_store_partial(planes, dst, place, OHW, channels, count, codes.epilogue, residual, None)


@kernel
def share(codes, z, step, part, parts, src, U, bias, ones, zeros, dst, residual, local, V, M):
    """What one of ``parts`` threads does in one step.

    A step is everything, for blocks of its own, where there are blocks enough. Else it is one
    phase of one block: its share of the input, then for channel blocks of its own products
    and outputs, one block of channels after another in an M of its own; or, where there are
    too few of those too, its share of the products, then of the outputs, and M holds all of
    them. Each phase has one call in here for all ways, because each is long and compiled once a call.
    """
    begin, end = share_of(z.ITEMS, part, parts)
    first, last = (0, z.OCB) if z.PHASES == 1 else share_of(z.OCB, part, parts)
    lead, stages = 1, 1 + 2 * (last - first)
    if z.PHASES > 1:
        begin, end = step // z.PHASES, step // z.PHASES + 1
        lead, stages = 0, 2 * (last - first) if z.PHASES == 2 and step % 2 == 1 else 1
    whole, slot = z.PHASES < 3, part if z.PHASES == 1 else 0
    for item in range(begin, end):
        block = block_of(z, item)
        for stage in range(stages):
            phase, own = step % z.PHASES, first + (stage - lead) // 2
            if z.PHASES == 1 and stage > 0:
                phase = _PRODUCTS + (stage - 1) % 2
            elif z.PHASES == 2 and phase > 0:
                phase = _PRODUCTS + stage % 2
            if phase == _INPUT:
                low, high = (0, z.ICP // z.LANES) if z.PHASES == 1 else share_of(z.ICP // z.LANES, part, parts)
                input_transform(codes, z, src, block, low, high, local[part], V[slot])
            elif phase == _PRODUCTS:
                low, high = (own * z.SUMS, (own + 1) * z.SUMS) if whole else share_of(z.OCB * z.SUMS, part, parts)
                for q in range(low, high):
                    oc, f = q // z.SUMS, q % z.SUMS
                    to = M[part if whole else oc]
                    # Whole panels: what fills the last one is multiplied and not read.
                    products(codes, z, V[slot], U, block.group, oc, tiles_at(z, block, f), f, zeros, to)
            else:
                low, high = (own, own + 1) if whole else (first, last)
                for oc in range(low, high):
                    sums = M[part if whole else oc]
                    output_transform(codes, z, sums, bias, ones, dst, residual, block, oc, local[part])


@parallel_kernel
def shares(codes, z, steps, parts, src, U, bias, ones, zeros, dst, residual, local, V, M):
    """Threads meet after every step: once where blocks are shared out, once a phase where phases are."""
    for step in range(steps):
        for part in prange(parts):
            share(codes, z, step, np.intp(part), parts, src, U, bias, ones, zeros, dst, residual, local, V, M)
