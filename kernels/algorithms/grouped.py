"""Convolution of one or few channels a group: pixels are the vector side.

- ``depthwise_stencil``: one input channel a group.
- ``grouped_stencil``: any number; made for fewer output channels a group than a vector has lanes.

Layout: source and result as they are; weights ``[g][oc / OCB][ic][kh][kw][OCB]``. Tile: OCB
output channels x R output rows x NV vectors of pixels, the sums of all input channels in
registers from first to last. Loops, outside in: image, group and block of OCB channels;
row of tiles; tile; input channel; then straight-line code: source row, kernel column,
vector, channel, kernel row. All extents but the numbers of images and groups and the source's
height are constants: otherwise addresses and masks take a sixth of the time. (With the height
as well, no branch would be left between the source rows of a small map, and LLVM would
reorder the whole tile until its sums no longer fit the registers.) The source rows of a tile are in L1, a
group's planes in L2; source and result cross memory once. Zeros around the source are masked
lanes and skipped rows; vectors too narrow to be masked read a padded copy.

On paper, depthwise with 3 x 3 taps on Zen 4: 9 cycles of multiply-adds an output vector, and
beside them 16 / 14 source rows of three loads that cross cache lines, 7 cycles. Bound by
multiply-adds from L1 and L2, and by the copy itself from L3 on: a map of 56 x 56 and 128
channels takes 62 us of multiply-adds and 35 us of copying.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
from numba import prange

from kernels.costs.amounts import Amounts
from kernels.costs.stencil import stencil_amounts
from kernels.epilogue import Epilogue
from kernels.machine.cpu import lanes_of
from kernels.machine.jit import kernel, parallel_kernel, share_of
from kernels.machine.launch import Launch
from kernels.machine.packing import pack_weight_blocks, pad_source
from kernels.machine.static import number, static
from kernels.machine.stencil import Stencil, pick_stencil
from kernels.machine.stencil_tile import tile_of_channels, tile_stencil, tile_store_channels
from kernels.problem import Conv2dProblem
from kernels.registry import Packed, Run, Scratch, Setup, algorithm

#: Largest kernel that is worth a straight line of code.
_MOST_TAPS = 49
#: Widest stride between columns that is picked out of vectors.
_MOST_STRIDE = 4


class _Codes(NamedTuple):
    """What the kernels are specialised by."""

    whole: Stencil
    rest: Stencil  # the same over fewer columns, for those that are left of a row
    ICG: int
    OCG: int
    IW: int
    PH: int
    PW: int
    OH: int
    OW: int
    WHOLE: int  # columns that whole tiles cover
    R: int
    OCB: int
    NR: int
    REST: int  # columns of the rest's tile
    epilogue: Epilogue


@kernel
def _tiles(c, begin, end, src, wei, bia, dst, residual, G, IH):
    """Rows of tiles ``begin`` to ``end``, numbered over (image, group, block of channels, row of tiles)."""
    OH, OW, ICG, OCG = number(c.OH), number(c.OW), number(c.ICG), number(c.OCG)
    R, OCB, NR, WHOLE, REST = number(c.R), number(c.OCB), number(c.NR), number(c.WHOLE), number(c.REST)
    ROWS, BLOCKS = (OH + R - 1) // R, (OCG + OCB - 1) // OCB
    block, row = begin // ROWS, begin % ROWS
    group, part = block // BLOCKS, block % BLOCKS
    g = group % G
    for _ in range(begin, end):
        first, oh = part * OCB, row * R
        live = min(OCB, OCG - first)
        oc, weights = g * OCG + first, (g * BLOCKS + part) * ICG
        for ow in range(0, WHOLE, NR):
            tile = tile_of_channels(c.whole, bia, oc, live)
            for ic in range(ICG):
                tile = tile_stencil(
                    c.whole, tile, src, group * ICG + ic, oh, ow, IH, c.IW, c.PH, c.PW, wei, weights + ic
                )
            to = group * OCG + first
            tile_store_channels(c.whole, tile, dst, to, oh, ow, c.OH, c.OW, live, c.epilogue, residual)
        for column in range(WHOLE, OW, REST):
            # The last tile of a row reaches back, so that it is whole.
            ow = max(0, min(column, OW - REST))
            tile = tile_of_channels(c.rest, bia, oc, live)
            for ic in range(ICG):
                tile = tile_stencil(
                    c.rest, tile, src, group * ICG + ic, oh, ow, IH, c.IW, c.PH, c.PW, wei, weights + ic
                )
            to = group * OCG + first
            tile_store_channels(c.rest, tile, dst, to, oh, ow, c.OH, c.OW, live, c.epilogue, residual)
        # Counted rather than divided: a division takes as long as several vectors of pixels.
        row += 1
        if row == ROWS:
            row = 0
            part += 1
            if part == BLOCKS:
                part = 0
                group += 1
                g = g + 1 if g + 1 < G else 0


@parallel_kernel
def _tiles_parallel(c, parts, items, src, wei, bia, dst, residual, G, IH):
    for part in prange(parts):
        begin, end = share_of(items, part, parts)
        _tiles(c, begin, end, src, wei, bia, dst, residual, G, IH)


@functools.lru_cache(maxsize=1024)
def _stencil(p: Conv2dProblem) -> tuple[Stencil, Stencil, int]:
    kernel = p.kh, p.kw, p.sh, p.sw, p.dh, p.dw
    return pick_stencil(p.oc // p.g, p.oh, p.ow, kernel, lanes_of(p.dtype), p.ih * p.iw * p.itemsize)


def _scratch(p: Conv2dProblem, threads: int) -> Scratch:
    (s, _, _), (HP, WP) = _stencil(p), p.padded_shape
    # Behind the last plane, what a tile of a narrow map reads and throws away.
    return {} if s.masked else {"padded": (p.mb * p.ic * HP * WP + s.reach,)}


def _unsupported(p: Conv2dProblem) -> str | None:
    if p.kh * p.kw > _MOST_TAPS:
        return f"the kernel has {p.kh * p.kw} taps, expected at most {_MOST_TAPS}"
    if p.sw > _MOST_STRIDE:
        return f"the stride between columns is {p.sw}, expected at most {_MOST_STRIDE}"
    return None


def _depthwise_unsupported(p: Conv2dProblem) -> str | None:
    if p.ic != p.g:
        return f"a group has {p.ic // p.g} input channels, expected 1"
    return _unsupported(p)


def _prepare(p: Conv2dProblem, wei: np.ndarray) -> Packed:
    whole, _, _ = _stencil(p)
    return (pack_weight_blocks(wei, p.g, whole.OCB),)


def _bind(setup: Setup) -> Run:
    p, threads, bia, (wei,) = setup.problem, setup.threads, setup.bia, setup.packed
    (whole, rest, WHOLE), OCG = _stencil(p), p.oc // p.g
    IH, IW, PH, PW = (p.ih, p.iw, p.ph, p.pw) if whole.masked else (*p.padded_shape, 0, 0)
    codes = static(_Codes(
        whole, rest, ICG=p.ic // p.g, OCG=OCG, IW=IW, PH=PH, PW=PW, OH=p.oh, OW=p.ow, WHOLE=WHOLE, R=whole.R,
        OCB=whole.OCB, NR=whole.NR, REST=rest.NR, epilogue=setup.epilogue,
    ))  # fmt: skip
    items = p.mb * p.g * -(-OCG // whole.OCB) * -(-p.oh // whole.R)
    padded = setup.scratch.get("padded")
    launch, share = (Launch(_tiles), (0, items)) if threads == 1 else (Launch(_tiles_parallel), (threads, items))

    def run(src: np.ndarray, dst: np.ndarray, residual: np.ndarray) -> None:
        source = src.reshape(-1)
        if padded is not None:
            source = padded
            pad_source(p, src, source, threads)
        launch(codes, *share, source, wei, bia, dst.reshape(-1), residual.reshape(-1), p.g, IH)

    return run


def _amounts(p: Conv2dProblem, threads: int) -> Amounts:
    return stencil_amounts(p, *_stencil(p), threads)


_PROMISES: Any = {
    "family": "grouped", "error_factor": 8.0, "exact_on_integers": True, "prepare": _prepare, "scratch": _scratch,
    "amounts": _amounts,
}  # fmt: skip


@algorithm("depthwise_stencil", unsupported=_depthwise_unsupported, **_PROMISES)
def depthwise_stencil(setup: Setup) -> Run:
    """One input channel a group: a stencil on every plane."""
    return _bind(setup)


@algorithm("grouped_stencil", unsupported=_unsupported, **_PROMISES)
def grouped_stencil(setup: Setup) -> Run:
    """Few channels a group: stencils on planes, summed in registers."""
    return _bind(setup)
