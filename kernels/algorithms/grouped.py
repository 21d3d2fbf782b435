"""Convolution of few channels a group, or one: pixels are the vector side.

- ``depthwise_stencil``: one input channel a group.
- ``grouped_stencil``: any number; made for fewer output channels a group than a vector has lanes.

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

from kernels.machine.blocking import lanes_of, vector_bytes
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
#: Narrowest vectors, in bytes, whose lanes the hardware masks.
_LEAST_MASKED = 32


@kernel
def _tiles(
    stencil, begin, end, src, wei, bia, dst, G, ICG, OCG, IH, IW, PH, PW, OH, OW, SH, SW, TAPS, OCB, R, NR
):  # fmt: skip
    """Rows of tiles ``begin`` to ``end``, numbered over (image, group, channel block, row of tiles)."""
    BLOCKS, ROWS = -(-OCG // OCB), -(-OH // R)
    for block in range(begin // ROWS, -(-end // ROWS)):
        group, first = block // BLOCKS, block % BLOCKS * OCB
        live = min(OCB, OCG - first)
        for row in range(max(0, begin - block * ROWS), min(ROWS, end - block * ROWS)):
            oh = row * R
            for column in range(0, OW, NR):
                # The last tile of a row reaches back, so that it is whole.
                ow = max(0, min(column, OW - NR))
                tile = tile_of_channels(stencil, bia, group % G * OCG + first, live)
                wi = block % (G * BLOCKS) * ICG * TAPS * OCB
                for ic in range(ICG):
                    plane = (group * ICG + ic) * IH * IW
                    tile = tile_stencil(stencil, tile, src, plane, oh * SH - PH, ow * SW - PW, IH, IW, wei, wi)
                    wi += TAPS * OCB
                out = ((group * OCG + first) * OH + oh) * OW + ow
                tile_store_channels(stencil, tile, dst, out, OH * OW, OW, live, OH - oh)


@parallel_kernel
def _tiles_parallel(stencil, parts, items, src, wei, bia, dst, G, ICG, OCG, IH, IW, PH, PW, OH, OW, SH, SW, TAPS, OCB, R, NR):  # fmt: skip
    for part in prange(parts):
        begin, end = share_of(items, part, parts)
        _tiles(stencil, begin, end, src, wei, bia, dst, G, ICG, OCG, IH, IW, PH, PW, OH, OW, SH, SW, TAPS, OCB, R, NR)


@functools.lru_cache(maxsize=1024)
def _stencil(p: Conv2dProblem) -> Stencil:
    return pick_stencil(
        p.oc // p.g, p.oh, p.ow, (p.kh, p.kw, p.sh, p.sw, p.dh, p.dw), lanes_of(p.dtype),
        masked=vector_bytes() >= _LEAST_MASKED,
    )  # fmt: skip


def _scratch(p: Conv2dProblem) -> dict[str, tuple[int, ...]]:
    s, (HP, WP) = _stencil(p), p.padded_shape
    # Behind the last plane, what a tile of a narrow map reads and throws away.
    return {} if s.masked else {"padded": (p.mb * p.ic * HP * WP + s.reach,)}


def _refused(p: Conv2dProblem) -> str | None:
    if p.kh * p.kw > _MOST_TAPS:
        return f"the kernel has {p.kh * p.kw} taps, expected at most {_MOST_TAPS}"
    if p.sw > _MOST_STRIDE:
        return f"the stride between columns is {p.sw}, expected at most {_MOST_STRIDE}"
    return None


def _depthwise_refused(p: Conv2dProblem) -> str | None:
    if p.ic != p.g:
        return f"a group has {p.ic // p.g} input channels, expected 1"
    return _refused(p)


def _prepare(p: Conv2dProblem, wei: np.ndarray) -> Packed:
    s, OCG = _stencil(p), p.oc // p.g
    height, width, above, left = (p.ih, p.iw, p.ph, p.pw) if s.masked else (*p.padded_shape, 0, 0)
    sizes = (p.g, p.ic // p.g, OCG, height, width, above, left, p.oh, p.ow, p.sh, p.sw, p.kh * p.kw, s.OCB, s.R, s.NR)
    items = p.mb * p.g * -(-OCG // s.OCB) * -(-p.oh // s.R)
    return static(s), items, pack_weight_blocks(wei, p.g, s.OCB), sizes


def _workspace(p: Conv2dProblem, threads: int) -> int:
    return workspace_bytes(_scratch(p), p.dtype)


def _run(
    p: Conv2dProblem,
    packed: Packed,
    src: np.ndarray,
    bia: np.ndarray,
    dst: np.ndarray,
    workspace: np.ndarray,
    threads: int,
) -> None:
    stencil, items, wei, sizes = packed
    source = src.reshape(-1)
    if workspace.size:
        source = carve(workspace, _scratch(p), p.dtype)["padded"]
        pad_source(p, src, source, threads)
    arrays: Any = (source, wei, bia, dst.reshape(-1))
    if threads == 1:
        _tiles(stencil, 0, items, *arrays, *sizes)
    else:
        _tiles_parallel(stencil, threads, items, *arrays, *sizes)


_PROMISES: Any = {
    "family": "grouped", "error_factor": 8.0, "exact_on_integers": True, "prepare": _prepare, "workspace": _workspace,
}  # fmt: skip


@algorithm("depthwise_stencil", unsupported=_depthwise_refused, **_PROMISES)
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
    _run(problem, packed, src, bia, dst, workspace, threads)


@algorithm("grouped_stencil", unsupported=_refused, **_PROMISES)
def grouped_stencil(
    problem: Conv2dProblem,
    packed: Packed,
    src: np.ndarray,
    bia: np.ndarray,
    dst: np.ndarray,
    workspace: np.ndarray,
    threads: int,
) -> None:
    """Few channels a group: stencils on planes, summed in registers."""
    _run(problem, packed, src, bia, dst, workspace, threads)
