"""Blocks of tiles of a convolution by transform: extents, and which tiles have which points.

A block is some rows of tiles of one image, or all tiles of several small images.

Where the outputs are no multiple of a tile's, the last tile of a row or column may be *short*: it
takes fewer points, the first ones of a row or column of the transform. On a map of 14x14, for
which tiles of four outputs are too many by two, that is a sixth of all products.

The tiles of a block stand in this order: whole ones, short across only, short down only, short
both ways. Those that have a point are then the first ones, but for a point that short rows
lack across: tiles that are short across only are left out there, and those behind them move up.
"""

from __future__ import annotations

from typing import NamedTuple

from kernels.epilogue import Epilogue
from kernels.machine.blocking import TileShape
from kernels.machine.codelets import Codelet
from kernels.machine.jit import inner

__all__ = ["Block", "Codes", "Sizes", "block_of", "tile_number", "tiles_at"]


class Codes(NamedTuple):
    """What the kernels are specialised by.

    A tile is transformed in one piece, or in steps over a scratch: rows, then columns, and back.
    The codelets of the other way are None, as are short ones where no tile is short.
    """

    shape: TileShape
    square: TileShape
    lanes: int
    width: int
    split: int  # the first point along a row that short rows lack
    epilogue: Epilogue
    down_in: Codelet | None
    across_in: Codelet | None
    down_out: Codelet | None
    across_out: Codelet | None
    short_down_in: Codelet | None
    short_across_in: Codelet | None
    short_down_out: Codelet | None
    short_across_out: Codelet | None
    step_rows_in: Codelet | None
    step_columns_in: Codelet | None
    step_columns_out: Codelet | None
    step_rows_out: Codelet | None


class Sizes(NamedTuple):
    """Every extent that the kernels need, in elements unless said."""

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
    TH: int  # tiles down
    TW: int  # tiles across
    FULL_TH: int  # tiles down that are not short
    FULL_TW: int
    R: int  # tile rows a block at most
    BLOCKS: int  # blocks an image and group
    NH: int  # source rows a tile
    MH: int  # output rows a tile
    MW: int
    C: int  # points along a row
    SHORT_NH: int  # source rows, or points down a column, of a short tile
    SHORT_MH: int
    SHORT_C: int
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


@inner
def block_of(z, item):
    """The block number ``item``."""
    image, group, number = item // (z.BLOCKS * z.G) * z.IMAGES, item // z.BLOCKS % z.G, item % z.BLOCKS
    first = number * z.TH // z.BLOCKS
    images, rows = min(z.IMAGES, z.MB - image), (number + 1) * z.TH // z.BLOCKS - first
    full_rows = min(z.FULL_TH - first, rows)
    whole, across = images * full_rows * z.FULL_TW, images * full_rows * (z.TW - z.FULL_TW)
    down = images * (rows - full_rows) * z.FULL_TW
    tiles = images * rows * z.TW
    return Block(image, images, group, first, rows, full_rows, whole, across, down, tiles)


@inner
def tile_number(z, block, image, row, column):
    """Place of a tile among those of its block."""
    if row < block.full_rows:
        if column < z.FULL_TW:
            return (image * block.full_rows + row) * z.FULL_TW + column
        return block.whole + image * block.full_rows + row
    if column < z.FULL_TW:
        return block.whole + block.across + image * z.FULL_TW + column
    return block.whole + block.across + block.down + image


@inner
def tiles_at(z, block, f):
    """How many tiles have point ``f``."""
    if f // z.C < z.SHORT_NH:
        return block.tiles if f % z.C < z.SHORT_C else block.whole + block.down
    return block.whole + block.across if f % z.C < z.SHORT_C else block.whole
