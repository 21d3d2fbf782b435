"""Convolution of one or few channels a group: pixels are the vector side.

- ``depthwise_stencil``: one input channel a group.
- ``grouped_stencil``: any number; made for fewer output channels a group than a vector has lanes.
- ``subpixel_stencil``: backward data at a stride. The remainders of rows and columns are output channels of one dense
  convolution (`kernels.algorithms.stencil.subpixel`), stored in turn, whole vectors at a time; taps that a remainder
  does not meet are left out.

Layout: source and result as they are; weights ``[g][oc / OCB][ic][kh][kw][OCB]``. Without mask registers there is
scratch, the lines of a strip with zeros beside them: ``[g][ic][line][column % SW][columns]``, in L1 and of each
thread. Tile: OCB output channels x R output rows x NV vectors of pixels, the sums of all input channels in
registers from first to last. Loops, outside in: image, group, strip of T rows of tiles (these three number the
items that threads take); where a plane is one strip, as many groups as fit L1 at once. Then the lines are copied;
block of OCB channels; and in the microkernel group, row of tiles, tile, input channel. Source and result cross memory
once. Zeros around the source are skipped rows, and masked lanes or the copy's zeros.

On paper, depthwise with 3 x 3 taps on Zen 4: 9 cycles of multiply-adds an output vector, and
beside them 16 / 14 source rows of three loads that cross cache lines, 7 cycles. Bound by
multiply-adds from L1 and L2, and by the copy itself from L3 on: a map of 56 x 56 and 128
channels takes 62 us of multiply-adds and 35 us of copying. On AVX2, a tile of 4 rows x 3 vectors takes 108
multiply-adds, 54 loads of pixels and 36 of weights, two each a cycle: 54 cycles.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from kernels.algorithms.stencil.costs import stencil_amounts
from kernels.algorithms.stencil.microkernel import EXTENTS, Copy, clear_rows, copy_rows, planes_of_tiles
from kernels.algorithms.stencil.subpixel import dense_weights, reason_against
from kernels.algorithms.stencil.tile import Stencil, dense, narrowest_lanes, pick_stencil
from kernels.costs.amounts import Amounts
from kernels.machine.cpu import cache_bytes, lanes_of
from kernels.machine.microkernel import call, macrokernel
from kernels.machine.packing import Biases, Panels
from kernels.machine.parallel import Launch, address_of, share_of
from kernels.problem import Conv2dProblem
from kernels.registry import Packing, Run, Scratch, Setup, algorithm

#: Input channels per group up to which the counts were compared with times: of more, lines come from L2, which is not
#: counted, and tiles of channels are faster.
_MOST_COUNTED = 64
#: Largest kernel that is worth a straight line of code.
_MOST_TAPS = 49
#: Widest stride between columns that is picked out of vectors.
_MOST_STRIDE = 4
#: Most remainders by the stride that a tile has registers for.
_MOST_REMAINDERS = 9
#: Items a thread that make shares even enough.
_ITEMS = 4


@macrokernel((
    "ITEMS", "STRIPS", "T", "ROWS", "GROUPS", "G", "BLOCKS", "OCB", "OCG", "ICG", "ITEM", "SRC_GROUP", "SRC_TILE",
    "FIRST", "TOP", "TILE_LINES", "DST_GROUP", "DST_BLOCK", "WEI_BLOCK", "OW", "WHOLE", "SCRATCH", "whole", "rest",
    "copy", "clear", "wei", "bia", "slope", "extents", "scratch",
))  # fmt: skip
def loops(z, step, part, parts):
    """Strips, numbered over (image, group, strip). FIRST and SRC_TILE are elements, other steps bytes."""
    item, end = share_of(z.ITEMS, part, parts)
    scratch = z.scratch + part * z.SCRATCH * z.ITEM
    if z.copy != 0 and item < end:
        call(z.clear, (scratch, z.SCRATCH))
    while item < end:
        group, strip = item // z.STRIPS, item % z.STRIPS
        g, row = group % z.G, strip * z.T
        groups = 1
        if z.STRIPS == 1:
            groups = min(end - item, z.G - g, z.GROUPS)
        rows = min(z.T, z.ROWS - row)
        source, first = z.src + group * z.SRC_GROUP, z.FIRST + row * z.SRC_TILE
        if z.copy != 0:
            call(z.copy, (source, scratch, z.extents, row * z.TILE_LINES - z.TOP, groups * z.ICG))
            source, first = scratch, 0
        for block in range(z.BLOCKS):
            to = group * z.DST_GROUP + block * z.DST_BLOCK
            oc = g * z.OCG + block * z.OCB
            arguments = (
                source, z.wei + (g * z.BLOCKS + block) * z.WEI_BLOCK, z.bia + oc * z.ITEM, z.dst + to, z.residual + to,
                z.slope, z.extents, first,
            )  # fmt: skip
            live = min(z.OCB, z.OCG - block * z.OCB)
            if z.WHOLE > 0:
                call(z.whole, arguments + (0, z.WHOLE, row, rows, groups, live))  # noqa: RUF005  (Numba takes no starred tuple)
            if z.WHOLE < z.OW:
                call(z.rest, arguments + (z.WHOLE, z.OW, row, rows, groups, live))  # noqa: RUF005  (Numba takes no starred tuple)
        item += groups


class _Strips(NamedTuple):
    """Sizes of strips and of their copies."""

    T: int  # rows of tiles
    GROUPS: int  # groups at once
    LINES: int  # lines of a copied plane
    WS: int  # columns of a copied line, for each remainder by the stride


@functools.lru_cache(maxsize=1024)
def _stencil(p: Conv2dProblem) -> tuple[Stencil, Stencil, int]:
    return pick_stencil(p)


@functools.lru_cache(maxsize=1024)
def _strips(problem: Conv2dProblem, threads: int) -> _Strips:
    (s, _, _), p = _stencil(problem), dense(problem)
    lanes, ICG, ROWS = lanes_of(p.dtype), p.ic // p.g, -(-p.oh // s.R)
    WS = -(-(max(p.ow, s.NR) + (p.kw - 1) * p.dw // p.sw) // lanes) * lanes

    def lines(T: int) -> int:
        return (T * s.R - 1) * s.SH + (s.KH - 1) * s.DH + 1 if s.DH else s.KH

    def size(T: int) -> int:
        return ICG * lines(T) * s.SW * WS * p.itemsize

    # Even shares of threads.
    most = max(1, min(ROWS, ROWS * p.mb * p.g // (_ITEMS * threads)))
    if s.masked:
        return _Strips(most, p.g, 0, 0)
    near = cache_bytes(1) // 2
    budget = near if size(1) <= near else cache_bytes(2) // 4
    # As many rows of tiles as the budget has lines for.
    room = budget // (ICG * s.SW * WS * p.itemsize) - (s.KH - 1) * s.DH - 1
    T = max(1, min(most, (room // s.SH + 1) // s.R)) if s.DH else 1
    T = -(-ROWS // -(-ROWS // T))
    GROUPS = max(1, min(p.g, budget // size(T))) if T == ROWS else 1
    return _Strips(T, GROUPS, lines(T), WS)


def _scratch(p: Conv2dProblem, threads: int) -> Scratch:
    (s, _, _), c, q = _stencil(p), _strips(p, threads), dense(p)
    return {} if s.masked else {"lines": (threads, c.GROUPS, q.ic // q.g, c.LINES, q.sw, c.WS)}


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


def _subpixel_unsupported(p: Conv2dProblem) -> str | None:
    # Rows of the result may end up to sw - 1 elements before a tile does, which the last vector alone leaves out.
    if p.sw - 1 > narrowest_lanes(p.dtype):
        return f"the stride between columns is {p.sw}, expected at most {narrowest_lanes(p.dtype) + 1}"
    return reason_against(p, _MOST_REMAINDERS) or _unsupported(dense(p))


def _packing(p: Conv2dProblem, threads: int) -> Packing:
    (whole, _, _), q = _stencil(p), dense(p)
    panels, biases = Panels(q.weight_shape, q.dtype, q.g, whole.OCB, threads), Biases(q.oc, q.dtype, q.g, 1)
    if p.direction == "fwd":
        return Packing((panels.packed, biases.packed), panels, biases)
    return Packing(
        (panels.packed, biases.packed),
        lambda wei: panels(dense_weights(p, wei)),
        lambda bia: biases(np.repeat(bia, q.oc // p.ic)),
    )


def _bind(setup: Setup) -> Run:
    given, threads, (wei, bia) = setup.problem, setup.threads, setup.packed
    (whole, rest, WHOLE), c, p = _stencil(given), _strips(given, threads), dense(given)
    ICG, OCG, (HEIGHT, WIDTH) = p.ic // p.g, p.oc // p.g, given.result_shape[2:]
    BLOCKS, ROWS = -(-OCG // whole.OCB), -(-p.oh // whole.R)
    copied: tuple[np.ndarray, ...] = ()
    if whole.masked:
        line, plane = p.iw, p.ih * p.iw
        row = line if whole.DH else line * p.dh
    else:
        row = line = p.sw * c.WS
        plane, copied = c.LINES * line, (setup.scratch["lines"],)
    weights, together = ICG * whole.TAPS, whole.row_step * whole.result_step
    # Channels that are remainders of one share its plane.
    result = HEIGHT * WIDTH
    group, tile, block = OCG // together * result, whole.R * p.sh * line, whole.OCB // together * result * p.itemsize
    values = {
        "OH": p.oh, "IH": p.ih, "IW": p.iw, "PH": p.ph, "PW": p.pw, "SH": p.sh, "SRC_TILE": tile,
        "DW": p.dw, "ICG": ICG, "SRC_ROW": row, "SRC_PLANE": plane, "SRC_GROUP": ICG * plane,
        "DST_GROUP": group, "WEI_GROUP": BLOCKS * weights, "BIA_GROUP": OCG, "WS": c.WS, "LINES": c.LINES,
        "LINE_STEP": 1 if whole.DH else p.dh, "HEIGHT": HEIGHT, "WIDTH": WIDTH,
    }  # fmt: skip
    extents = np.array([values[name] for name in EXTENTS], np.intp)
    slope = np.array([setup.epilogue.slope], p.dtype)
    copy = Copy(p.dtype, lanes_of(p.dtype), p.sw)
    addresses = [planes_of_tiles.address(each._replace(epilogue=setup.epilogue.kind)) for each in (whole, rest)]
    STRIPS = -(-ROWS // c.T)
    record = loops.record(
        ITEMS=p.mb * p.g * STRIPS, STRIPS=STRIPS, T=c.T, ROWS=ROWS, GROUPS=c.GROUPS, G=p.g, BLOCKS=BLOCKS,
        OCB=whole.OCB, OCG=OCG, ICG=ICG, ITEM=p.itemsize, SRC_GROUP=ICG * p.ih * p.iw * p.itemsize, SRC_TILE=tile,
        FIRST=-(p.ph * p.iw + p.pw), TOP=p.ph, TILE_LINES=whole.R * p.sh, DST_GROUP=group * p.itemsize,
        DST_BLOCK=block, WEI_BLOCK=weights * p.itemsize, OW=p.ow, WHOLE=WHOLE,
        SCRATCH=copied[0][0].size if copied else 0, whole=addresses[0], rest=addresses[1],
        copy=copy_rows.address(copy) if copied else 0, clear=clear_rows.address(copy) if copied else 0,
        wei=address_of(wei), bia=address_of(bia), slope=address_of(slope), extents=address_of(extents),
        scratch=address_of(copied[0]) if copied else 0,
    )  # fmt: skip
    return Launch(loops, record, threads, keep=(wei, bia, slope, extents, *copied))


def _amounts(p: Conv2dProblem, threads: int) -> Amounts | None:
    q = dense(p)
    if q.ic // q.g > _MOST_COUNTED:
        return None
    return stencil_amounts(q, *_stencil(p), threads)


_PROMISES: Any = {
    "family": "grouped", "error_factor": 8.0, "exact_on_integers": True, "window_only": True, "packing": _packing,
    "scratch": _scratch, "amounts": _amounts,
}  # fmt: skip


@algorithm("depthwise_stencil", unsupported=_depthwise_unsupported, **_PROMISES)
def depthwise_stencil(setup: Setup) -> Run:
    """One input channel a group: a stencil on every plane."""
    return _bind(setup)


@algorithm("grouped_stencil", unsupported=_unsupported, **_PROMISES)
def grouped_stencil(setup: Setup) -> Run:
    """Few channels a group: stencils on planes, summed in registers."""
    return _bind(setup)


@algorithm("subpixel_stencil", unsupported=_subpixel_unsupported, directions=("bwd_d",), **_PROMISES)
def subpixel_stencil(setup: Setup) -> Run:
    """Backward data at a stride: a stencil on planes of the gradient, its remainders stored in turn."""
    return _bind(setup)
