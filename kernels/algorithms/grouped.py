"""Convolution of few output channels a group: pixels are the vector side.

- ``grouped_stencil``: made for fewer output channels a group than a vector has lanes.

Layout: source and result as they are; weights ``[g][oc / OCB][ic][kh][kw][OCB]``. Tile: OCB
output channels x R output rows x NV vectors of pixels, the sums of all input channels in
registers from first to last. Loops, outside in: image, group and block of OCB channels;
row of tiles; tile; input channel; then straight-line code: source row, kernel column,
vector, channel, kernel row. R + KH - 1 source rows serve R output rows, from L1: source and
result cross memory once where a group's planes fit L2. Zeros around the source are masked lanes
and skipped rows. Vectors too narrow to be masked read a padded copy.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba import prange

from kernels.machine.blocking import lanes_of
from kernels.machine.jit import kernel, parallel_kernel, share_of
from kernels.machine.packing import pack_weight_blocks, pad_source
from kernels.machine.static import static
from kernels.machine.stencil import Stencil, pick_stencil, tile_of_channels, tile_stencil, tile_store_channels
from kernels.machine.workspace import carve, workspace_bytes
from kernels.problem import Conv2dProblem
from kernels.registry import Packed, algorithm

#: Largest kernel that is worth a straight line of code.
_MOST_TAPS = 49
#: Widest stride between columns that is picked out of vectors.
_MOST_STRIDE = 4


@kernel
def _tiles(
    stencil, begin, end, src, wei, bia, dst, G, ICG, OCG, BLOCKS, IH, IW, PH, PW, OH, OW, OCB, R, NR
):  # fmt: skip
    """Rows of tiles ``begin`` to ``end``, numbered over (image, group, channel block, row of tiles)."""
    ROWS = (OH + R - 1) // R
    block = begin // ROWS
    group, part = block // BLOCKS, block % BLOCKS
    g = group % G
    row = begin - block * ROWS
    for _ in range(begin, end):
        first, oh = part * OCB, row * R
        live = min(OCB, OCG - first)
        for column in range(0, OW, NR):
            # The last tile of a row reaches back, so that it is whole.
            ow = max(0, min(column, OW - NR))
            tile = tile_of_channels(stencil, bia, g * OCG + first, live)
            weights = (g * BLOCKS + part) * ICG
            for ic in range(ICG):
                plane = group * ICG + ic
                tile = tile_stencil(stencil, tile, src, plane, oh, ow, IH, IW, PH, PW, wei, weights + ic)
            tile_store_channels(stencil, tile, dst, group * OCG + first, oh, ow, OH, OW, live)
        # Counted rather than divided: four divisions take as long as a small map.
        row += 1
        if row == ROWS:
            row = 0
            part += 1
            if part == BLOCKS:
                part = 0
                group += 1
                g = g + 1 if g + 1 < G else 0


@parallel_kernel
def _tiles_parallel(stencil, parts, items, src, wei, bia, dst, G, ICG, OCG, BLOCKS, IH, IW, PH, PW, OH, OW, OCB, R, NR):  # fmt: skip
    for part in prange(parts):
        begin, end = share_of(items, part, parts)
        _tiles(stencil, begin, end, src, wei, bia, dst, G, ICG, OCG, BLOCKS, IH, IW, PH, PW, OH, OW, OCB, R, NR)


@functools.lru_cache(maxsize=1024)
def _stencil(p: Conv2dProblem) -> Stencil:
    return pick_stencil(
        p.oc // p.g, p.oh, p.ow, (p.kh, p.kw, p.sh, p.sw, p.dh, p.dw), lanes_of(p.dtype)
    )


def _scratch(p: Conv2dProblem) -> dict[str, tuple[int, ...]]:
    s, (HP, WP) = _stencil(p), p.padded_shape
    # Behind the last plane, what a tile of a narrow map reads and throws away.
    return {} if s.masked else {"padded": (p.mb * p.ic * HP * WP + s.reach,)}


def _unsupported(p: Conv2dProblem) -> str | None:
    if p.kh * p.kw > _MOST_TAPS:
        return f"the kernel has {p.kh * p.kw} taps, expected at most {_MOST_TAPS}"
    if p.sw > _MOST_STRIDE:
        return f"the stride between columns is {p.sw}, expected at most {_MOST_STRIDE}"
    return None


def _prepare(p: Conv2dProblem, wei: np.ndarray) -> Packed:
    s, OCG = _stencil(p), p.oc // p.g
    height, width, above, left = (p.ih, p.iw, p.ph, p.pw) if s.masked else (*p.padded_shape, 0, 0)
    sizes = (p.g, p.ic // p.g, OCG, -(-OCG // s.OCB), height, width, above, left, p.oh, p.ow, s.OCB, s.R, s.NR)
    items = p.mb * p.g * -(-OCG // s.OCB) * -(-p.oh // s.R)
    return static(s), items, pack_weight_blocks(wei, p.g, s.OCB), sizes


def _workspace(p: Conv2dProblem, threads: int) -> int:
    return workspace_bytes(_scratch(p), p.dtype)


@algorithm(
    "grouped_stencil",
    family="grouped",
    error_factor=8.0,
    exact_on_integers=True,
    unsupported=_unsupported,
    prepare=_prepare,
    workspace=_workspace,
)
def grouped_stencil(
    problem: Conv2dProblem,
    packed: Packed,
    src: np.ndarray,
    bia: np.ndarray,
    dst: np.ndarray,
    workspace: np.ndarray,
    threads: int,
) -> None:
    """Few output channels a group: stencils on planes, summed in registers."""
    stencil, items, wei, sizes = packed
    source = src.reshape(-1)
    if workspace.size:
        source = carve(workspace, _scratch(problem), problem.dtype)["padded"]
        pad_source(problem, src, source, threads)
    arrays: Any = (source, wei, bia, dst.reshape(-1))
    if threads == 1:
        _tiles(stencil, 0, items, *arrays, *sizes)
    else:
        _tiles_parallel(stencil, threads, items, *arrays, *sizes)
