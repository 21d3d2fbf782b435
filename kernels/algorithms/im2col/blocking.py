"""Sizes of im2col: register tiles and blocks of input channels."""

from __future__ import annotations

from kernels.machine.cpu import cache_bytes, vector_registers
from kernels.machine.tile_shape import TileShape
from kernels.problem import Conv2dProblem

__all__ = ["channel_tile", "column_blocks"]


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
