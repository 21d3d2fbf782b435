"""Blocks of tiles of a convolution by transform: extents, and which tiles have which points.

A block is some rows of tiles of one image, or all tiles of several small images.

Where the outputs are no multiple of a tile's, the last tile of a row or column may be *short*: it
takes fewer points, the first ones of a row or column of the transform. On a map of 14x14, for
which tiles of four outputs are too many by two, that is a sixth of all products.

Where the kernel is dilated, the outputs of every DH-th row and DW-th column are a convolution of
their own, dense, over as many rows and columns of the source: a *sub-grid*. Each has tiles of its
own. Tile row or column number t is that of sub-grid t % GRIDS, so all sub-grids have as many.

Where the kernel has stride 2, a tile has points of its even samples and points of its odd ones, in
turn, which the filter multiplies by different taps. A *sum* of the result is over the products of
the one point or two, down a column and along a row, that its outputs are made from in the same way.

The tiles of a block stand in this order: whole ones, short across only, short down only, short
both ways. Those that have a point are then the first ones, but for a point that short rows
lack across: tiles that are short across only are left out there, and those behind them move up.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["Block", "Sizes", "block_of", "blocks_alike", "points_of", "tiles_at"]


class Sizes(NamedTuple):
    """Every extent that the loops need, in elements unless said."""

    STEPS: bool  # whether tiles are transformed in steps
    PHASES: int  # what threads share out: blocks (1), of each the input and the channel blocks (2), or every phase (3)
    MB: int
    IMAGES: int  # images a block
    ITEMS: int  # blocks of all images and groups
    G: int
    ICG: int
    OCG: int
    ICP: int  # input channels a group, whole vectors
    OCB: int  # blocks of output channels a group
    TH: int  # tiles down, of all sub-grids
    TW: int  # tiles across, of all sub-grids
    FULL_TH: int  # tiles down that are not short
    FULL_TW: int
    R: int  # tile rows a block at most
    BLOCKS: int  # blocks an image and group
    NH: int  # source rows a tile
    NW: int
    SHORT_NH: int  # source rows of a short tile
    MH: int  # output rows a tile
    MW: int
    SHORT_MH: int  # output rows of a short tile
    GRIDS_H: int  # sub-grids
    GRIDS_W: int
    DH: int  # rows from one of a sub-grid to its next
    DW: int
    STEP_H: int  # source rows from one tile of a sub-grid to its next
    STEP_W: int
    C: int  # points along a row
    SHORT_C: int  # the same of a short tile
    F: int  # points of a tile
    SHORT_R: int  # points down a column of a short tile
    SUMS: int  # sums of a tile
    SUMS_C: int  # sums along a row
    TWICE_H: int  # sums down a column, the first ones, that have two points
    TWICE_W: int  # sums along a row that have two points
    SHORT_SUMS_H: int  # sums down a column of a short tile
    SHORT_SUMS_W: int
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
    CHUNK: int  # tiles of a row that are transformed at a time, whole sets of sub-grids
    MID_W: int  # columns of the scratch between the sides of a transform
    MID: int  # size of it


class Block(NamedTuple):
    """What one block holds."""

    image: int  # the first
    images: int
    group: int
    first: int  # tile row
    rows: int  # tile rows
    full_rows: int  # those that are not short
    whole: int  # tiles that are not short
    across: int  # short across only
    down: int  # short down only
    tiles: int


def block_of(z: Sizes, item: int) -> Block:
    """The block number ``item``."""
    image, group, number = item // (z.BLOCKS * z.G) * z.IMAGES, item // z.BLOCKS % z.G, item % z.BLOCKS
    first = number * z.TH // z.BLOCKS
    return _block(z, image, group, first, min(z.IMAGES, z.MB - image), (number + 1) * z.TH // z.BLOCKS - first)


def _block(z: Sizes, image: int, group: int, first: int, images: int, rows: int) -> Block:
    full_rows = max(0, min(z.FULL_TH - first, rows))
    whole, across = images * full_rows * z.FULL_TW, images * full_rows * (z.TW - z.FULL_TW)
    down = images * (rows - full_rows) * z.FULL_TW
    tiles = images * rows * z.TW
    return Block(image, images, group, first, rows, full_rows, whole, across, down, tiles)


def blocks_alike(z: Sizes) -> list[tuple[Block, int]]:
    """One block of each kind and how many there are, in as little time for a million blocks as for one."""
    # Blocks before the one that the first short row is in, that one, and those after it.
    before = min(z.BLOCKS, ((z.FULL_TH + 1) * z.BLOCKS - 1) // z.TH)
    runs = [(0, before), (before, min(z.BLOCKS, before + 1)), (before + 1, z.BLOCKS)]
    least, left = z.MB // z.IMAGES, z.MB % z.IMAGES
    found = []
    for begin, end in runs:
        if begin < end:
            first, rows = begin * z.TH // z.BLOCKS, z.TH // z.BLOCKS
            # Some have a row more.
            more = end * z.TH // z.BLOCKS - first - rows * (end - begin)
            for height, count in ((rows, end - begin - more), (rows + 1, more)):
                for images, chunks in ((z.IMAGES, least), (left, 1 if left else 0)):
                    if count * chunks:
                        found.append((_block(z, 0, 0, first, images, height), count * chunks * z.G))
    return found


def tiles_at(z: Sizes, block: Block, f: int) -> int:
    """How many tiles have sum ``f``."""
    if f // z.SUMS_C < z.SHORT_SUMS_H:
        return block.tiles if f % z.SUMS_C < z.SHORT_SUMS_W else block.whole + block.down
    return block.whole + block.across if f % z.SUMS_C < z.SHORT_SUMS_W else block.whole


def points_of(z: Sizes) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Points of every sum: the first down a column and how many, the first along a row and how many."""
    down, across = np.divmod(np.arange(z.SUMS), z.SUMS_C)
    row, column = down + np.minimum(down, z.TWICE_H), across + np.minimum(across, z.TWICE_W)
    return row, 1 + (down < z.TWICE_H), column, 1 + (across < z.TWICE_W)
