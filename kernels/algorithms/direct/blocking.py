"""Sizes of a direct convolution: register tiles, tiles of a row, blocks of input channels and strips.

A row of OW pixels is cut into as few tiles as the registers allow, MR pixels and MR - 1 pixels long: no short tile is
left at its end, and a problem needs two microkernels at most.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from kernels.algorithms.direct.microkernel import REACHES
from kernels.costs.amounts import ceil_div, longest_run, longest_share
from kernels.machine.cpu import cache_bytes, lanes_of, vector_registers
from kernels.machine.tile_shape import TileShape
from kernels.problem import Conv2dProblem

__all__ = ["RowTiles", "as_read", "clip_numbers", "pixel_tile", "row_tiles", "split_of", "strip_blocks"]


#: Tiles at edges times columns of the kernel that are looked at one by one.
_MOST_LOOKED_AT = 2**16
#: Numbers of blocks of input channels that are all tried.
_EVERY = 128
#: Items per thread that make shares even enough.
_ITEMS = 16
#: Bytes of a page, and on how many a block's channels may stand if each tile reads all of them: less than the first
#: level of a TLB holds, 64 or 72, beside those of weights and result. Tiles of so many pixels take long enough to wait
#: for the second level, and for weights from L2.
_PAGE, _PAGES, _FEW_PIXELS = 4096, 48, 7
#: Input channels of a block over which sums that are put by cost next to nothing.
_LEAST_CHANNELS = 64


class RowTiles(NamedTuple):
    """The tiles of an output row: WIDE tiles of ``shape.MR`` pixels, then the others of one pixel less."""

    shape: TileShape
    ACROSS: int
    WIDE: int

    def starts(self, tiles: np.ndarray) -> np.ndarray:
        """First pixel of tiles, by number."""
        first: np.ndarray = tiles * self.shape.MR - np.maximum(0, tiles - self.WIDE)
        return first

    def widths(self, tiles: np.ndarray) -> np.ndarray:
        """Pixels of tiles, by number."""
        return self.shape.MR - (tiles >= self.WIDE)


def pixel_tile(pixels: int, channels: int, lanes: int) -> TileShape:
    """The tile of a row's pixels (broadcast) by output channels (vectors).

    Vectors past the edge cost nothing, so all that counts is that the tiles of a row are about equally long and fill
    the registers.
    """
    registers = vector_registers()
    vectors = -(-channels // lanes)
    # Accumulators, vectors of weights and one broadcast; two vectors a row, if there are two.
    most = (registers - 1) // min(2, vectors) - 1
    MR = -(-pixels // -(-pixels // most))
    return TileShape(MR, min(vectors, (registers - 1) // (MR + 1), 8), lanes)


def row_tiles(p: Conv2dProblem) -> RowTiles:
    """The tiles of a row of ``p``, as the loops read it."""
    shape = pixel_tile(p.ow, p.oc // p.g, lanes_of(p.dtype))
    ACROSS = -(-p.ow // shape.MR)
    return RowTiles(shape, ACROSS, p.ow - ACROSS * (shape.MR - 1))


class Split(NamedTuple):
    """How work is shared out.

    Attributes
    ----------
    shares : int
        Parts of the blocks of output channels.
    tiles : int
        Tiles per strip.
    longest : float
        Tiles of the thread that has most to do, relative to an equal part of all.
    """

    shares: int
    tiles: int
    longest: float


@functools.lru_cache(maxsize=1024)
def as_read(p: Conv2dProblem) -> tuple[Conv2dProblem, int]:
    """The same sums over the source that the loops read, and how far its tiles are cut.

    A plane is read as one row if no pixel has neighbours. A map whose edges cut more off a tile than any microkernel
    does is read from a padded copy.
    """
    if p.kh == p.kw == p.sh == p.sw == 1 and p.padded_shape == (p.ih, p.iw):
        return p.replace(ih=1, iw=p.ih * p.iw), 0
    reach = _reach(p)
    if reach is None:
        return p.replace(ih=p.padded_shape[0], iw=p.padded_shape[1], ph=0, pw=0, pb=0, pr=0), 0
    return p, reach


def _reach(p: Conv2dProblem) -> int | None:
    """How far edges cut the tiles of a row at most; None if farther than any microkernel does, or from both sides."""
    tiles = row_tiles(p)
    # Tiles between these are whole: looked at are those that begin beside the source or end there.
    left = min(tiles.ACROSS, -(-p.pw // p.sw) // max(1, tiles.shape.MR - 1) + 2)
    right = max(left, (p.iw - 1 + p.pw - (p.kw - 1) * p.dw) // p.sw // tiles.shape.MR - 1)
    beside = left + tiles.ACROSS - right
    if beside * p.kw > _MOST_LOOKED_AT:
        return None
    edge = np.concatenate([np.arange(left), np.arange(min(right, tiles.ACROSS), tiles.ACROSS)])
    begin, end = _cuts(p, edge)
    widths = tiles.widths(edge)[:, None]
    cut = np.where(begin < end, np.maximum(begin, widths - end), 0)
    if ((begin < end) & (begin > 0) & (end < widths)).any():
        return None
    return next((each for each in REACHES if each >= cut.max(initial=0)), None)


def _cuts(p: Conv2dProblem, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First pixel of tiles whose tap is on the source, for each kw, and the first behind those."""
    tiles = row_tiles(p)
    first = tiles.starts(which)[:, None] * p.sw + np.arange(p.kw) * p.dw - p.pw
    return np.maximum(0, -(first // p.sw)), np.minimum(tiles.widths(which)[:, None], (p.iw - 1 - first) // p.sw + 1)


def clip_numbers(q: Conv2dProblem, reach: int) -> np.ndarray:
    """What is cut off each tile, for each kw, as `tile_row` counts it: 0 if nothing is, -1 if all is.

    Parameters
    ----------
    q : Conv2dProblem
        As the loops read it.
    reach : int

    Returns
    -------
    ndarray of intp, shape (tiles of a row, kw)
    """
    tiles = row_tiles(q)
    every = np.arange(tiles.ACROSS)
    begin, end = _cuts(q, every)
    widths = tiles.widths(every)[:, None]
    numbers = np.where(end < widths, reach + widths - end, begin)
    return np.where(begin < end, numbers, -1).astype(np.intp)


@functools.lru_cache(maxsize=1024)
def strip_blocks(p: Conv2dProblem, shape: TileShape) -> tuple[int, int]:
    """Input channels in a block and tiles in a strip, for a direct convolution of one group.

    The source under a strip and the weights of one block of output channels share three quarters of L2. Of all that
    fit, the pair is taken that moves fewest bytes beyond L2: the weights once for each strip, the sums twice for every
    block of input channels but the first.
    """
    ICG, OCG = p.ic // p.g, p.oc // p.g
    across = -(-p.ow // shape.MR)
    tiles = p.oh * across
    budget = cache_bytes(2) * 3 // 4 // p.itemsize
    weights = ICG * OCG * p.kh * p.kw
    # A tap's weights serve MR rows. Seven rows take long enough for them to come from L2; below,
    # they have to be in L1: a third of it, with the source and the sums. Half of it if a call of the
    # microkernel takes one tile, whose cost is then spread over more taps,
    # unless a stride leaves unused pixels in L1.
    row = row_tiles(p)
    share = 2 if p.sw == 1 and max(row.WIDE, row.ACROSS - row.WIDE) == 1 else 3
    most = ICG
    if shape.MR < _FEW_PIXELS:
        most = max(1, cache_bytes(1) // share // p.itemsize // (p.kh * p.kw * shape.NR))
        # A plane so small that all tiles read the same lines: if enough channels of it fit L1 beside the weights, no
        # tile waits for L2.
        with_planes = cache_bytes(1) * 3 // 4 // p.itemsize // (p.kh * p.kw * shape.NR + p.ih * p.iw)
        if with_planes >= _LEAST_CHANNELS:
            most = min(most, with_planes)
        most = min(most, max(1, _PAGES * _PAGE // min(_PAGE, p.ih * p.iw * p.itemsize)))
    best = None
    blocks = -(-ICG // min(most, ICG)) - 1
    while blocks < ICG:
        # Every number of blocks that a network has; of millions of channels some.
        blocks = min(ICG, blocks + max(1, blocks // _EVERY))
        KC = -(-ICG // blocks)
        if best is not None and best[1] == KC:
            continue
        room = budget - KC * p.kh * p.kw * shape.NR
        strips = 1
        while strips < tiles and _source_under(p, shape, -(-tiles // strips), KC) > room:
            strips = min(tiles, strips + max(1, strips // 8))
        fits = _source_under(p, shape, -(-tiles // strips), KC) <= room
        moved = strips * weights + 2 * (blocks - 1) * OCG * p.oh * p.ow
        if best is None or (not fits, moved) < best[0]:
            best = (not fits, moved), KC, -(-tiles // strips)
        if KC <= 16:
            break
    assert best is not None
    return best[1], best[2]


def split_of(p: Conv2dProblem, row: RowTiles, strip: int, threads: int) -> Split:
    """How threads share out strips of so many tiles, or shorter ones, and blocks of output channels.

    Of few strips, threads take blocks of channels too, or else, if every thread's L2 holds all weights, shorter strips:
    whichever leaves the slowest thread least to do. The last block may have fewer vectors than others.
    """
    tiles, maps = p.oh * row.ACROSS, max(1, p.mb * p.g)
    strips, wanted = ceil_div(tiles, strip), _ITEMS * threads
    if threads == 1 or maps * strips >= wanted:
        return Split(1, strip, longest_share(maps * strips, threads))
    vectors = ceil_div(p.oc // p.g, row.shape.lanes)
    blocks = ceil_div(vectors, row.shape.NV)
    widths = np.full(blocks, row.shape.NV)
    widths[-1] = vectors - (blocks - 1) * row.shape.NV

    def found(shares: int, strips: int) -> Split:
        each = max(1, tiles // strips if shares > 1 else ceil_div(tiles, strips))
        lengths = np.diff(np.append(np.arange(0, tiles, each), tiles))
        # As the loops number items: strips within shares within maps.
        wide = np.add.reduceat(widths, np.arange(shares) * blocks // shares)
        items = np.tile(np.outer(wide, lengths).ravel(), maps)
        return Split(shares, each, longest_run(items, threads) * threads / float(items.sum()))

    by_blocks = found(blocks, max(strips, ceil_div(wanted, maps * blocks)))
    if p.oc * (p.ic // p.g) * p.kh * p.kw * p.itemsize > cache_bytes(2) // 4:
        return by_blocks
    whole = ceil_div(strips, threads) * threads
    return min((by_blocks, *(found(1, each) for each in (whole, 2 * whole, 4 * whole))), key=lambda each: each.longest)


def _source_under(p: Conv2dProblem, shape: TileShape, tiles: int, channels: int) -> int:
    """Elements of source that a strip of that many tiles reads."""
    across = -(-p.ow // shape.MR)
    if p.oh == 1:
        return channels * p.kh * min(p.iw, tiles * shape.MR * p.sw + p.kw * p.dw)
    rows = (-(-tiles // across) - 1) * p.sh + p.kernel_extent[0]
    return channels * min(rows, p.padded_shape[0]) * p.iw
