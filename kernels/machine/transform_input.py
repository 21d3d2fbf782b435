"""Into the domain of a transform: source to points, the first phase of `kernels.machine.transform_kernels`.

Layout and loops are stated there. A vector of channels of the rows under a block is brought from
planes into vectors once; every tile then reads its pixels from there, in L1.
"""

from __future__ import annotations

from kernels.machine.codelets import apply_codelet
from kernels.machine.codelets_2d import apply_codelets
from kernels.machine.jit import inner
from kernels.machine.register_tile import tile_transposed
from kernels.machine.tile_memory import tile_load, tile_load_partial, tile_store
from kernels.machine.transform_blocks import tile_number, tile_start

__all__ = ["input_transform"]


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
