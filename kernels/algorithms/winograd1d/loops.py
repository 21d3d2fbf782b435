"""Winograd's minimal filtering along the height alone, for few channels a group.

- ``grouped_winograd``: F(4, 3) over rows, half the multiplications of direct. At stride 2, F(3, 2)
  over even rows beside direct products with odd ones, seven ninths.

Over both axes a quarter is left, but then a tile is spread over 36 products of a few
channels, and the transforms take longer than all of them. Along the height pixels stay in
their lanes: a transform is a dozen instructions for six rows, shared by all kernel columns
and all output channels of the group.

Layout: source and result as they are; weights ``[g][oc / OCB][ic][row of n][kw][OCB]``,
transformed; scratch, a strip of a group's input channels, ``[ic][row of n][column % SW][columns]``,
in L1. Loops, outside in: image, group and strip of m output rows (the unit of work of a thread).
First a microkernel transforms the strip; then in another, block of OCB channels; vector of columns; input channel.
On paper, F(4, 3) with OCB = 4: an input channel takes 72 multiply-adds, 18 loads of pixels that
cross cache lines and 72 broadcasts of taps, two a cycle: 72 cycles for what takes 144 in
direct form, and about 40 to transform a vector of an input channel once.

Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015), section 4.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from kernels.algorithms.winograd1d.costs import filter_amounts
from kernels.algorithms.winograd1d.filter import HeightFilter, RowTransform, row_filter
from kernels.algorithms.winograd1d.microkernel import EXTENTS, filter_tiles, transform_rows
from kernels.costs.amounts import Amounts
from kernels.machine.cpu import lanes_of, vector_bytes
from kernels.machine.matrix_codelet import identity
from kernels.machine.microkernel import call, macrokernel
from kernels.machine.packing import Biases, matrix_panels
from kernels.machine.parallel import Launch, address_of, share_of
from kernels.problem import Conv2dProblem
from kernels.registry import Packing, Run, Scratch, Setup, algorithm

#: Widest kernel that is worth a straight line of code.
_MOST_COLUMNS = 7


@macrokernel((
    "ITEMS", "STRIPS", "M", "SH", "PH", "G", "SRC_GROUP", "DST_GROUP", "WEI_GROUP", "BIA_GROUP", "OW", "WHOLE",
    "SCRATCH", "transform", "whole", "rest", "wei", "bia", "slope", "extents", "scratch",
))  # fmt: skip
def loops(z, step, part, parts):
    """Strips, numbered over (image, group, strip); steps are bytes."""
    begin, end = share_of(z.ITEMS, part, parts)
    rows = z.scratch + part * z.SCRATCH
    for item in range(begin, end):
        group, oh = item // z.STRIPS, item % z.STRIPS * z.M
        g, to = group % z.G, group * z.DST_GROUP
        call(z.transform, (z.src + group * z.SRC_GROUP, rows, z.extents, oh * z.SH - z.PH))
        arguments = (
            rows, z.wei + g * z.WEI_GROUP, z.bia + g * z.BIA_GROUP, z.dst + to, z.residual + to, z.slope, z.extents, oh,
        )  # fmt: skip
        if z.WHOLE > 0:
            call(z.whole, arguments + (0, z.WHOLE))  # noqa: RUF005  (Numba takes no starred tuple)
        if z.WHOLE < z.OW:
            call(z.rest, arguments + (z.WHOLE, z.OW))  # noqa: RUF005  (Numba takes no starred tuple)


class _Tiling(NamedTuple):
    """How a problem is cut."""

    whole: HeightFilter
    rest: HeightFilter  # for the columns that are left of a row
    into: RowTransform
    WHOLE: int  # columns that whole tiles cover
    WS: int  # columns of scratch
    M: int  # output rows of a strip
    N: int  # rows of scratch an input channel


@functools.lru_cache(maxsize=1024)
def _tiling(p: Conv2dProblem) -> _Tiling:
    lanes, OCG = lanes_of(p.dtype), p.oc // p.g
    # Up to 28 sums, or 14, and what the products need beside them.
    most = 4 if vector_bytes() == 64 else 2
    OCB = -(-OCG // -(-OCG // most))
    PACK = _strips_a_vector(p, lanes, len(row_filter(p.sh).at))
    DW = 1 if p.dw == 1 else 0
    whole = HeightFilter(p.dtype, OCB, lanes, PACK, p.kw, p.sw, DW, p.sh, p.ow < lanes // PACK)
    # Half a vector takes half the time where whole ones are computed in two halves, and never longer.
    left = p.ow % lanes
    half = vector_bytes() == 64 and p.ow > lanes and 0 < left <= lanes // 2
    rest = whole._replace(lanes=lanes // 2) if half else whole
    WS = -(-(p.ow + (p.kw - 1) * p.dw // p.sw) // lanes) * lanes
    into = RowTransform(p.dtype, lanes, PACK, p.sh, p.sw)
    return _Tiling(whole, rest, into, p.ow - left if half else 0, WS, whole.m * PACK, whole.n * p.sw)


def _strips_a_vector(p: Conv2dProblem, lanes: int, m: int) -> int:
    """How many strips of a narrow map a vector takes: a column of zeros must stand behind each.

    Padding may make the result wider than the source and its padding on the left.
    """
    for PACK in (4, 2):
        beyond = p.ow + (p.kw - 1) * p.dw - lanes // PACK
        widest = max(p.ow, p.iw + p.pw)
        if p.sw == 1 and beyond <= p.pw and widest <= lanes // PACK and p.oh > m * (PACK // 2):
            return PACK
    return 1


def _tail(p: Conv2dProblem) -> int:
    """Elements behind the last row that a shift of it reads."""
    return lanes_of(p.dtype) + (p.kw - 1) * p.dw


def _scratch(p: Conv2dProblem, threads: int) -> Scratch:
    c = _tiling(p)
    return {"rows": (threads, p.ic // p.g * c.N * c.WS + _tail(p))}


def _unsupported(p: Conv2dProblem) -> str | None:
    if p.kh != 3 or p.kw > _MOST_COLUMNS:
        return f"the kernel is {p.kh}x{p.kw}, expected 3 rows and at most {_MOST_COLUMNS} columns"
    if max(p.sh, p.sw) > 2:
        return f"the stride is {p.sh}x{p.sw}, expected at most 2x2"
    if p.dh != 1:
        return f"the dilation between rows is {p.dh}, expected 1"
    return None


def _packing(p: Conv2dProblem, threads: int) -> Packing:
    OCB, down = _tiling(p).whole.OCB, row_filter(p.sh).weights
    taps = down.outputs * p.kw
    panels = matrix_panels(
        p.weight_shape, p.dtype, p.g, OCB, threads, down, identity(p.kw), p.ic // p.g, taps * OCB,
        np.arange(taps) * OCB,
    )  # fmt: skip
    biases = Biases(p.oc, p.dtype, p.g, 1)
    return Packing((panels.packed, biases.packed), panels, biases)


def _packing_elements(p: Conv2dProblem) -> float:
    """One by the matrices takes as long as three that are copied, and there are outputs / 3 for each tap."""
    return float(math.prod(p.weight_shape) * row_filter(p.sh).weights.outputs)


def _amounts(p: Conv2dProblem, threads: int) -> Amounts:
    c = _tiling(p)
    return filter_amounts(p, c.whole, c.rest, c.WHOLE, c.WS, threads)


@algorithm(
    "grouped_winograd",
    family="grouped",
    error_factor=12.0,
    unsupported=_unsupported,
    packing=_packing,
    scratch=_scratch,
    amounts=_amounts,
    packing_elements=_packing_elements,
)
def grouped_winograd(setup: Setup) -> Run:
    """Minimal filtering over rows: half the multiplications of direct, for few channels a group."""
    p, threads, (wei, bia), rows, c = (
        setup.problem,
        setup.threads,
        setup.packed,
        setup.scratch["rows"],
        _tiling(setup.problem),
    )
    ICG, OCG, STRIPS = p.ic // p.g, p.oc // p.g, -(-p.oh // c.M)
    values = {
        "OH": p.oh, "OW": p.ow, "IH": p.ih, "IW": p.iw, "PW": p.pw, "WS": c.WS, "DW": p.dw, "ICG": ICG, "OCG": OCG,
        # Lanes that count are among them only if strips lie side by side.
        "TAIL": _tail(p) if c.whole.PACK > 1 else 0,
    }  # fmt: skip
    extents = np.array([values[name] for name in EXTENTS], np.intp)
    slope = np.array([setup.epilogue.slope], p.dtype)
    whole, rest = (filter_tiles.address(each._replace(epilogue=setup.epilogue.kind)) for each in (c.whole, c.rest))
    record = loops.record(
        ITEMS=p.mb * p.g * STRIPS, STRIPS=STRIPS, M=c.M, SH=p.sh, PH=p.ph, G=p.g,
        SRC_GROUP=ICG * p.ih * p.iw * p.itemsize, DST_GROUP=OCG * p.oh * p.ow * p.itemsize,
        WEI_GROUP=-(-OCG // c.whole.OCB) * ICG * c.whole.TAPS * p.itemsize, BIA_GROUP=OCG * p.itemsize, OW=p.ow,
        WHOLE=c.WHOLE, SCRATCH=rows[0].nbytes, transform=transform_rows.address(c.into), whole=whole, rest=rest,
        wei=address_of(wei), bia=address_of(bia), slope=address_of(slope), extents=address_of(extents),
        scratch=address_of(rows),
    )  # fmt: skip
    return Launch(loops, record, threads, keep=(wei, bia, slope, extents, rows))
