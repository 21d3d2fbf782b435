"""Convolution with one input channel a group: a stencil on every plane, nothing summed over channels.

- ``depthwise_stencil``: register tile of output rows x vectors of pixels. Every source
  vector is loaded once for each kernel column and used for all output rows of the tile
  that need it; the taps stay in registers.

Layout: one padded source plane a thread, small enough for L1 or L2, filled by vector
copies; weights as they are, (oc, 1, kh, kw). Source and result cross memory once.
Loops, outside in: image, source plane (the unit of work of a thread); its output channels;
rows of tiles; tiles. Kernel extents, strides and dilations are compile-time constants.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
from numba import prange

from kernels.machine.blocking import TileShape, lanes_of
from kernels.machine.jit import kernel, parallel_kernel, share_of
from kernels.machine.packing import pad_plane
from kernels.machine.simd import tile_rank1, tile_rows, tile_store_partial
from kernels.machine.static import static
from kernels.machine.stencil import Stencil, tile_stencil
from kernels.machine.workspace import carve, workspace_bytes
from kernels.problem import Conv2dProblem
from kernels.registry import Packed, algorithm

#: Largest kernel whose taps and tile are worth a straight line of code.
_MOST_TAPS = 49


class _Codes(NamedTuple):
    """What the kernels are specialised by."""

    shape: TileShape
    vector: TileShape  # one vector, for copies
    stencil: Stencil


class _Sizes(NamedTuple):
    """Every extent that the kernels need."""

    IC: int
    PER: int  # output channels a source plane
    IH: int
    IW: int
    PH: int
    PW: int
    HP: int
    WP: int
    OH: int
    OW: int
    SH: int
    SW: int
    LANES: int
    MR: int
    NR: int


@kernel
def _planes(codes, z, begin, end, src, wei, bia, one, dst, padded):
    """Source planes ``begin`` to ``end``, numbered over (image, channel)."""
    TAPS = wei.size // (z.IC * z.PER)
    for plane in range(begin, end):
        pad_plane(codes.vector, src, plane, padded, 0, z.IH, z.IW, z.PH, z.PW, z.HP, z.WP, z.LANES)
        for each in range(z.PER):
            oc = plane % z.IC * z.PER + each
            out = (plane * z.PER + each) * z.OH * z.OW
            for row in range(0, z.OH, z.MR):
                # The last tiles reach back, so that they never read past the plane.
                oh = max(0, min(row, z.OH - z.MR))
                for column in range(0, z.OW, z.NR):
                    ow = max(0, min(column, z.OW - z.NR))
                    tile = tile_rank1(tile_rows(codes.shape, one, z.NR), bia, oc, 0, one, 0)
                    at = oh * z.SH * z.WP + ow * z.SW
                    tile = tile_stencil(codes.stencil, tile, padded, at, z.WP, wei, oc * TAPS)
                    tile_store_partial(tile, dst, out + oh * z.OW + ow, z.OW, z.OH - oh, z.OW - ow)


@parallel_kernel
def _planes_parallel(codes, z, parts, planes, src, wei, bia, one, dst, padded):
    for part in prange(parts):
        begin, end = share_of(planes, part, parts)
        _planes(codes, z, begin, end, src, wei, bia, one, dst, padded[part])


@functools.lru_cache(maxsize=1024)
def _sizes(p: Conv2dProblem) -> tuple[_Sizes, TileShape]:
    lanes = lanes_of(p.dtype)
    shape = TileShape(4 if p.oh >= 4 else 1, 2 if p.ow > lanes else 1, lanes)
    HP, WP = p.padded_shape
    sizes = _Sizes(
        IC=p.ic, PER=p.oc // p.ic, IH=p.ih, IW=p.iw, PH=p.ph, PW=p.pw, HP=HP, WP=WP, OH=p.oh, OW=p.ow, SH=p.sh,
        SW=p.sw, LANES=lanes, MR=shape.MR, NR=shape.NR,
    )  # fmt: skip
    return sizes, shape


def _scratch(p: Conv2dProblem, threads: int) -> dict[str, tuple[int, ...]]:
    z, _ = _sizes(p)
    # Behind the plane what a tile of a narrow map reads and throws away.
    return {"padded": (threads, z.HP * z.WP + (z.NR + z.LANES) * z.SW)}


def _unsupported(p: Conv2dProblem) -> str | None:
    if p.ic != p.g:
        return f"a group has {p.ic // p.g} input channels, expected 1"
    if p.kh * p.kw > _MOST_TAPS:
        return f"the kernel has {p.kh * p.kw} taps, expected at most {_MOST_TAPS}"
    if p.sw > 2:
        return f"the stride between columns is {p.sw}, expected 1 or 2"
    return None


def _prepare(p: Conv2dProblem, wei: np.ndarray) -> Packed:
    z, shape = _sizes(p)
    one = np.zeros(2 * z.NR, p.dtype)  # a row of ones, then a row of zeros
    one[: z.NR] = 1
    stencil = Stencil(p.kh, p.kw, p.sh, p.sw, p.dh, p.dw)
    return static(_Codes(shape, TileShape(1, 1, shape.lanes), stencil)), wei.reshape(-1).copy(), one


def _workspace(p: Conv2dProblem, threads: int) -> int:
    return workspace_bytes(_scratch(p, threads), p.dtype)


@algorithm(
    "depthwise_stencil",
    family="depthwise",
    error_factor=8.0,
    exact_on_integers=True,
    unsupported=_unsupported,
    prepare=_prepare,
    workspace=_workspace,
)
def depthwise_stencil(
    problem: Conv2dProblem,
    packed: Packed,
    src: np.ndarray,
    bia: np.ndarray,
    dst: np.ndarray,
    workspace: np.ndarray,
    threads: int,
) -> None:
    """One input channel a group: a stencil on every plane."""
    p = problem
    codes, wei, one = packed
    z, _ = _sizes(p)
    padded = carve(workspace, _scratch(p, threads), p.dtype)["padded"]
    arrays: Any = (src.reshape(-1), wei, bia, one, dst.reshape(-1))
    if threads == 1:
        _planes(codes, z, 0, p.mb * p.ic, *arrays, padded[0])
    else:
        _planes_parallel(codes, z, threads, p.mb * p.ic, *arrays, padded)
