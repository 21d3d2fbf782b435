"""Convolution with one input channel a group: a stencil on every plane, nothing summed over channels.

- ``depthwise_stencil``: register tile of OCB output channels (of one source plane) x R
  output rows x NV vectors of pixels. Every source row is loaded once a tile, its shifts serve
  all output rows that need them, and the taps stay in registers.

Layout: source and result as they are, read and written once; weights ``[oc / OCB][kh][kw][OCB]``.
Loops, outside in: image and source plane; block of output channels; row of tiles; tile. A
plane that one tile covers is straight-line code of its own, in which every extent is a
constant: there, addresses and masks would take as long as the multiply-adds. Zeros around
the source are masked lanes and skipped rows; vectors too narrow to be masked read a padded copy.

On paper, for 3 x 3 taps: 9 multiply-adds an output vector (9 cycles on Zen 4), 9 / 7 source rows
of three loads that cross cache lines (7.7 cycles beside them): bound by multiply-adds from
L1 and L2, close to what a copy takes from L3 on.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
from numba import prange

from kernels.machine.blocking import lanes_of
from kernels.machine.jit import kernel, parallel_kernel, share_of
from kernels.machine.packing import pack_weight_blocks, pad_source
from kernels.machine.static import static
from kernels.machine.stencil import (
    Stencil,
    pick_stencil,
    tile_of_channels,
    tile_stencil,
    tile_store_channels,
)
from kernels.machine.workspace import carve, workspace_bytes
from kernels.problem import Conv2dProblem
from kernels.registry import Packed, algorithm

#: Largest kernel whose taps and tile are worth a straight line of code.
_MOST_TAPS = 49
#: Widest stride between columns that is picked out of vectors.
_MOST_STRIDE = 4


class _Plane(NamedTuple):
    """What straight-line code of a whole plane is specialised by."""

    stencil: Stencil
    IH: int
    IW: int
    PH: int
    PW: int
    OH: int
    OW: int
    LIVE: int
    ORIGIN: int = 0


@kernel
def _tiles(plane, begin, end, src, wei, bia, dst, IC, BLOCKS, OH, OW, OCB, R, NR):
    """Rows of tiles ``begin`` to ``end``, numbered over (image, channel, block of output channels, row of tiles)."""
    ROWS = (OH + R - 1) // R
    block = begin // ROWS
    row = begin - block * ROWS
    weights, source = block % (IC * BLOCKS), block // BLOCKS
    part = block - source * BLOCKS
    for _ in range(begin, end):
        oh = row * R
        for column in range(0, OW, NR):
            # The last tile of a row reaches back, so that it is whole.
            ow = max(0, min(column, OW - NR))
            tile = tile_of_channels(plane.stencil, bia, weights * OCB, plane.LIVE)
            tile = tile_stencil(
                plane.stencil, tile, src, source, oh, ow, plane.IH, plane.IW, plane.PH, plane.PW, wei, weights
            )
            tile_store_channels(plane.stencil, tile, dst, block * OCB, oh, ow, plane.OH, plane.OW, plane.LIVE)
        # Counted rather than divided: a division takes as long as several vectors of pixels.
        row += 1
        if row == ROWS:
            row = 0
            block += 1
            part += 1
            if part == BLOCKS:
                part = 0
                source += 1
            weights = weights + 1 if weights + 1 < IC * BLOCKS else 0


@kernel
def _planes(plane, begin, end, src, wei, bia, dst, IC, BLOCKS, OCB):
    """Blocks ``begin`` to ``end``, numbered over (image, channel, block of output channels), a tile each."""
    weights = begin % (IC * BLOCKS)
    for block in range(begin, end):
        tile = tile_of_channels(plane.stencil, bia, weights * OCB, plane.LIVE)
        tile = tile_stencil(
            plane.stencil, tile, src, block // BLOCKS, plane.ORIGIN, plane.ORIGIN, plane.IH, plane.IW, plane.PH,
            plane.PW, wei, weights,
        )  # fmt: skip
        tile_store_channels(
            plane.stencil, tile, dst, block * OCB, plane.ORIGIN, plane.ORIGIN, plane.OH, plane.OW, plane.LIVE
        )
        weights += 1
        if weights == IC * BLOCKS:
            weights = 0


@parallel_kernel
def _tiles_parallel(plane, parts, items, src, wei, bia, dst, IC, BLOCKS, OH, OW, OCB, R, NR):
    for part in prange(parts):
        begin, end = share_of(items, part, parts)
        _tiles(plane, begin, end, src, wei, bia, dst, IC, BLOCKS, OH, OW, OCB, R, NR)


@parallel_kernel
def _planes_parallel(plane, parts, items, src, wei, bia, dst, IC, BLOCKS, OCB):
    for part in prange(parts):
        begin, end = share_of(items, part, parts)
        _planes(plane, begin, end, src, wei, bia, dst, IC, BLOCKS, OCB)


@functools.lru_cache(maxsize=1024)
def _stencil(p: Conv2dProblem) -> Stencil:
    return pick_stencil(
        p.oc // p.g, p.oh, p.ow, (p.kh, p.kw, p.sh, p.sw, p.dh, p.dw), lanes_of(p.dtype), divides=True
    )


def _scratch(p: Conv2dProblem) -> dict[str, tuple[int, ...]]:
    s, (HP, WP) = _stencil(p), p.padded_shape
    return {} if s.masked else {"padded": (p.mb * p.ic * HP * WP + s.reach,)}


def _unsupported(p: Conv2dProblem) -> str | None:
    if p.ic != p.g:
        return f"a group has {p.ic // p.g} input channels, expected 1"
    if p.kh * p.kw > _MOST_TAPS:
        return f"the kernel has {p.kh * p.kw} taps, expected at most {_MOST_TAPS}"
    if p.sw > _MOST_STRIDE:
        return f"the stride between columns is {p.sw}, expected at most {_MOST_STRIDE}"
    return None


def _prepare(p: Conv2dProblem, wei: np.ndarray) -> Packed:
    s = _stencil(p)
    source = (p.ih, p.iw, p.ph, p.pw) if s.masked else (*p.padded_shape, 0, 0)
    BLOCKS = p.oc // p.ic // s.OCB
    packed = pack_weight_blocks(wei, p.g, s.OCB)
    blocks = p.mb * p.ic * BLOCKS
    code = static(_Plane(s, *source, p.oh, p.ow, s.OCB))
    if s.R >= p.oh and s.NR >= p.ow:
        return _planes, _planes_parallel, code, blocks, packed, (p.ic, BLOCKS, s.OCB)
    sizes = (p.ic, BLOCKS, p.oh, p.ow, s.OCB, s.R, s.NR)
    return _tiles, _tiles_parallel, code, blocks * -(-p.oh // s.R), packed, sizes


def _workspace(p: Conv2dProblem, threads: int) -> int:
    return workspace_bytes(_scratch(p), p.dtype)


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
    serial, parallel, code, items, wei, sizes = packed
    source = src.reshape(-1)
    if workspace.size:
        source = carve(workspace, _scratch(problem), problem.dtype)["padded"]
        pad_source(problem, src, source, threads)
    arrays: Any = (source, wei, bia, dst.reshape(-1))
    if threads == 1:
        serial(code, 0, items, *arrays, *sizes)
    else:
        parallel(code, threads, items, *arrays, *sizes)
