"""Sizes of im2col: register tiles, blocks of input channels, and how threads share the work out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kernels.costs.amounts import ceil_div, idle_slots, longest_run, longest_share
from kernels.machine.cpu import cache_bytes, vector_registers
from kernels.machine.tile_shape import TileShape
from kernels.problem import Conv2dProblem

__all__ = ["Split", "channel_tile", "column_blocks", "split_of"]

#: Panels for each thread from which on channel blocks are shared out by two at most, and from which on not at all.
_PANELS, _MANY_PANELS = 4, 64
#: Time of copying a vector of columns, in that of a multiply-add.
_COPY = 2.0


def channel_tile(channels: int, pixels: int, lanes: int) -> TileShape:
    """The tile of output channels (broadcast) by neighbouring pixels (vectors).

    Channels and whole vectors past the edge cost nothing.
    """
    registers = vector_registers()
    NV = min(3 if registers == 32 else 2, -(-pixels // lanes))
    most = (registers - 1) // NV - 1
    MR = -(-channels // -(-channels // min(most, channels)))
    return TileShape(MR, min((registers - 1) // (MR + 1), 8, max(NV, -(-pixels // lanes))), lanes)


def column_blocks(p: Conv2dProblem, shape: TileShape) -> int:
    """Input channels per block of packed columns, which takes an eighth of L2; blocks are equally long."""
    ICG = p.ic // p.g
    most = max(1, cache_bytes(2) // 8 // p.itemsize // (shape.NR * p.kh * p.kw))
    return -(-ICG // -(-ICG // most))


class Split(NamedTuple):
    """How the blocks of output channels are shared out.

    Attributes
    ----------
    shares : int
        Parts of the blocks; each copies the columns that it needs.
    longest : float
        Time of the thread that has most to do, relative to an equal part of what one thread alone would do.
    """

    shares: int
    longest: float


def split_of(shape: TileShape, pixels: int, maps: int, blocks: int, copied: bool, threads: int) -> Split:
    """The split in which the slowest of the threads has least to do.

    Parameters
    ----------
    shape : TileShape
    pixels : int
        Of one map, in panels of which the last may be short.
    maps : int
        Images times groups.
    blocks : int
        Blocks of output channels of a group.
    copied : bool
        Whether whole panels are copied. A panel that ends within a vector always is.
    threads : int

    Returns
    -------
    Split
    """
    panels = ceil_div(pixels, shape.NR)
    if threads == 1 or maps * panels >= _MANY_PANELS * threads:
        return Split(1, longest_share(maps * panels, threads))
    counts = np.full(panels, shape.NR)
    counts[-1] = pixels - (panels - 1) * shape.NR
    vectors = -(-counts // shape.lanes)
    block = np.array([shape.MR * n + idle_slots(shape.MR, int(n)) for n in vectors])
    copy = np.where(copied | (counts % shape.lanes > 0), _COPY * vectors, 0.0)
    alone = maps * float(np.sum(block * blocks + copy))
    found = []
    few = maps * panels < _PANELS * threads
    most = ceil_div(_PANELS * threads, maps * panels)
    wanted = (1, most // 2, most, threads, 2 * threads) if few else (1, 2)
    for shares in sorted({min(blocks, each) for each in wanted if each > 0}):
        ends = np.arange(shares + 1) * blocks // shares
        # Items as the loops number them: panels within shares within maps.
        items = np.tile((np.diff(ends)[:, None] * block + copy).ravel(), maps)
        found.append(Split(shares, longest_run(items, threads) * threads / alone))
    return min(found, key=lambda each: (each.longest, each.shares))
