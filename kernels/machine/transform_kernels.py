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
from kernels.machine.simd import tile_multiply, tile_rank1, tile_rows, tile_transposed
from kernels.machine.static import number
from kernels.machine.tile_memory import tile_load, tile_load_partial, tile_store, tile_store_partial
from kernels.machine.transform_blocks import block_of, points_of, tile_number, tile_start, tiles_at

__all__ = ["input_transform", "output_transform", "products", "share", "shares"]

_INPUT, _PRODUCTS, _OUTPUT = 0, 1, 2


@inner
def _gather(codes, z, src, plane, channels, block, ROWS, pixels):
    """One vector of channels of the rows under a block of tiles, zeros where the padding is."""
    LANES = z.LANES
    for row in range(ROWS):
        # A block of few tile rows has some of the sub-grids only.
        if (row % z.DH - block.first) % z.GRIDS_H >= block.rows:
            continue
        ih = block.first // z.GRIDS_H * z.STEP_H + row - z.PH
        at = (plane * z.IH + ih) * z.IW - z.PW
        out = row * z.WP * LANES
        if ih < 0 or ih >= z.IH:
            for i in range(z.WP * LANES):
                pixels[out + i] = 0
            continue
        for column in range(0, z.WP, LANES):
            begin, end = max(0, z.PW - column), min(LANES, z.PW + z.IW - column)
            if begin == 0 and end == LANES and channels == LANES:
                square = tile_load(codes.square, src, at + column, z.IH * z.IW)
            else:
                square = tile_load_partial(codes.square, src, at + column, z.IH * z.IW, channels, begin, end)
            tile_store(tile_transposed(square), pixels, out + column * LANES, LANES)


@inner
def _place_in(z, tile, k):
    """Where V of a tile begins at input channel, of all pieces, ``k``."""
    return (tile // z.MR * z.PIECES_H * z.PIECES_W * z.ICP + k) * z.MR * z.W + tile % z.MR * z.LANES


@inner
def _steps_in(codes, z, pixels, corner, one, V, out):
    """Points of one tile in steps."""
    LANES, L = z.LANES, z.C * z.W * z.LANES
    for row in range(z.NH):
        at = corner + row * z.WP * LANES
        apply_codelet(codes.step_rows_in, codes.lanes, pixels, at, LANES, 0, one, row * L, z.W * LANES, LANES)
    for c in range(z.C):
        at, to, step = c * z.W * LANES, out + c * z.VSTEP, z.C * z.VSTEP
        apply_codelet(codes.step_columns_in, codes.lanes, one, at, L, LANES, V, to, step, z.MR * LANES)


@inner
def _whole_in(codes, z, down, across, pixels, corner, V, out, behind):
    """Points of one tile in one piece."""
    L, next_column = z.DH * z.WP * z.LANES, z.DW * z.LANES
    step, split = z.C * z.VSTEP, codes.split_in
    apply_codelets(down, across, codes.lanes, split, pixels, corner, L, next_column, 0, V, out, step, z.VSTEP, behind)


@inner
def input_transform(codes, z, src, block, begin, end, local, V):
    """V of a block, for vectors ``begin`` to ``end`` of input channels."""
    pixels, one = local[: z.PIXELS], local[z.PIXELS : z.PIXELS + z.ONE]
    LANES = z.LANES
    top = block.first // z.GRIDS_H
    sets = (block.first + block.rows - 1) // z.GRIDS_H - top
    source_rows = sets * z.STEP_H + (z.NH - 1) * z.DH + z.GRIDS_H + (z.PIECES_H - 1) * z.TAP_H
    for vector in range(begin * block.images, end * block.images):
        ic, image = vector // block.images * LANES, vector % block.images
        plane = ((block.image + image) * z.G + block.group) * z.ICG + ic
        _gather(codes, z, src, plane, min(LANES, z.ICG - ic), block, source_rows, pixels)
        for piece in range(z.PIECES_H * z.PIECES_W):
            shift = piece // z.PIECES_W * z.TAP_H * z.WP + piece % z.PIECES_W * z.TAP_W
            k = piece * z.ICP + ic
            for row in range(block.rows):
                pixel_row = tile_start(block.first + row, z.GRIDS_H, z.STEP_H) - top * z.STEP_H
                # As `tile_start`, counted along: a division a tile shows.
                corner, grid = (pixel_row * z.WP + shift) * LANES - LANES, 0
                for column in range(z.TW):
                    corner += LANES
                    if grid == z.GRIDS_W:
                        corner, grid = corner + (z.STEP_W - z.GRIDS_W) * LANES, 0
                    grid += 1
                    number = tile_number(z, block, image, row, column)
                    out = _place_in(z, number, k)
                    if z.STEPS:
                        _steps_in(codes, z, pixels, corner, one, V, out)
                    elif row < block.full_rows:
                        if column < z.FULL_TW:
                            _whole_in(codes, z, codes.down_in, codes.across_in, pixels, corner, V, out, 0)
                        else:
                            _whole_in(codes, z, codes.down_in, codes.short_across_in, pixels, corner, V, out, 0)
                    else:
                        behind = _place_in(z, number - block.across, k) - out
                        if column < z.FULL_TW:
                            _whole_in(codes, z, codes.short_down_in, codes.across_in, pixels, corner, V, out, behind)
                        else:
                            _whole_in(codes, z, codes.short_down_in, codes.short_across_in, pixels, corner, V, out, 0)


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
                    tile_store_partial(planes, dst, place, OHW, channels, count, codes.epilogue, residual)


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
