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
First the strip is transformed; then block of OCB channels; vector of columns; input channel.
On paper, F(4, 3) with OCB = 4: an input channel takes 72 multiply-adds, 18 loads of pixels that
cross cache lines and 72 broadcasts of taps, two a cycle: 72 cycles for what takes 144 in
direct form, and about 40 to transform a vector of an input channel once.

Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015), section 4.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numba import prange

from kernels.algorithms.cook_toom import transform_matrices
from kernels.costs.amounts import Amounts
from kernels.costs.stencil import filter_amounts
from kernels.epilogue import NO_EPILOGUE, Epilogue
from kernels.machine.cpu import lanes_of, vector_bytes
from kernels.machine.height_filter import HeightFilter
from kernels.machine.height_tile import filter_product, filter_rows, filter_store, filter_zeros
from kernels.machine.jit import kernel, parallel_kernel, share_of
from kernels.machine.launch import Launch
from kernels.machine.matrix_codelet import MatrixCodelet
from kernels.machine.packing import pack_weight_blocks
from kernels.machine.static import number, static
from kernels.problem import Conv2dProblem
from kernels.registry import Packed, Run, Scratch, Setup, algorithm

#: Widest kernel that is worth a straight line of code.
_MOST_COLUMNS = 7


class _Rows(NamedTuple):
    """A minimal filter over rows: matrices as in Y = A^T [(G g) * (B^T d)], and which rows d are."""

    at: np.ndarray
    g: np.ndarray
    bt: np.ndarray
    rows: tuple[int, ...]


@functools.cache
def _rows(SH: int) -> _Rows:
    """F(4, 3) at stride 1; F(3, 2) over even rows beside three products with odd ones at stride 2."""
    if SH == 1:
        at, g, bt = (np.array(each, np.float64) for each in transform_matrices(4, 3, (0, 1, -1, 2, -2)))
        return _Rows(at, g, bt, tuple(range(6)))
    at, g, bt = (np.array(each, np.float64) for each in transform_matrices(3, 2, (0, 1, -1)))
    taps = np.zeros((7, 3))
    taps[:4, ::2], taps[4:, 1] = g, 1
    into = np.eye(7)
    into[:4, :4] = bt
    return _Rows(np.hstack([at, np.eye(3)]), taps, into, (0, 2, 4, 6, 1, 3, 5))


class _Codes(NamedTuple):
    """What the kernels are specialised by."""

    whole: HeightFilter
    rest: HeightFilter  # for the columns that are left of a row
    ICG: int
    OCG: int
    IW: int
    PH: int
    PW: int
    OH: int
    OW: int
    OCB: int
    LANES: int
    WHOLE: int  # columns that whole tiles cover
    REST: int  # columns of the rest's tile
    WS: int  # columns of scratch
    M: int  # output rows of a tile
    N: int  # rows of scratch an input channel
    TAPS: int  # weights of an input channel and a block
    epilogue: Epilogue


@kernel
def _strips(c, begin, end, src, wei, bia, dst, residual, scratch, G, IH):
    """Strips ``begin`` to ``end``, numbered over (image, group, strip)."""
    ICG, OCG, OH, OW = number(c.ICG), number(c.OCG), number(c.OH), number(c.OW)
    OCB, LANES, WS, M, N, TAPS = number(c.OCB), number(c.LANES), number(c.WS), number(c.M), number(c.N), number(c.TAPS)
    WHOLE, REST = number(c.WHOLE), number(c.REST)
    STRIPS, BLOCKS = (OH + M - 1) // M, (OCG + OCB - 1) // OCB
    # What a shift of the last row reads behind it.
    scratch[ICG * N * WS :] = 0
    for item in range(begin, end):
        group, oh = item // STRIPS, item % STRIPS * M
        g = group % G
        for ic in range(ICG):
            for at in range(0, WS, LANES):
                plane, to = group * ICG + ic, ic * N * WS + at
                filter_rows(c.whole, src, plane, oh, at, IH, c.IW, c.PH, c.PW, scratch, to, c.WS)
        for part in range(BLOCKS):
            first, wi = part * OCB, (g * BLOCKS + part) * ICG * TAPS
            oc = g * OCG + first
            for ow in range(0, WHOLE, LANES):
                tile = filter_zeros(c.whole, src)
                for ic in range(ICG):
                    tile = filter_product(c.whole, tile, scratch, ic * N * WS + ow, c.WS, wei, wi + ic * TAPS)
                to, live = group * OCG + first, OCG - first
                filter_store(c.whole, tile, bia, oc, dst, to, oh, ow, c.OH, c.OW, live, c.epilogue, residual)
            for column in range(WHOLE, OW, REST):
                # The last tile of a row reaches back, so that it is whole.
                ow = max(0, min(column, OW - REST))
                tile = filter_zeros(c.rest, src)
                for ic in range(ICG):
                    tile = filter_product(c.rest, tile, scratch, ic * N * WS + ow, c.WS, wei, wi + ic * TAPS)
                to, live = group * OCG + first, OCG - first
                filter_store(c.rest, tile, bia, oc, dst, to, oh, ow, c.OH, c.OW, live, c.epilogue, residual)


@parallel_kernel
def _strips_parallel(c, parts, items, src, wei, bia, dst, residual, scratch, G, IH):
    for part in prange(parts):
        begin, end = share_of(items, part, parts)
        _strips(c, begin, end, src, wei, bia, dst, residual, scratch[part], G, IH)


@functools.lru_cache(maxsize=1024)
def _codes(p: Conv2dProblem, epilogue: Epilogue = NO_EPILOGUE) -> _Codes:
    lanes, OCG = lanes_of(p.dtype), p.oc // p.g
    rows = _rows(p.sh)
    # Up to 28 sums, or 14, and what the products need beside them.
    most = 4 if vector_bytes() == 64 else 2
    OCB = -(-OCG // -(-OCG // most))
    into, out = (MatrixCodelet(tuple(tuple(map(float, row)) for row in each)) for each in (rows.bt, rows.at))
    PACK = _strips_a_vector(p, lanes, rows.at.shape[0])
    whole = HeightFilter(OCB, lanes, PACK, min(p.ow, lanes), p.kw, p.sw, p.dw, p.sh, rows.rows, into, out)
    # Half a vector takes half the time where whole ones are computed in two halves, and never longer.
    left = p.ow % lanes
    half = vector_bytes() == 64 and p.ow > lanes and 0 < left <= lanes // 2
    rest = replace(whole, lanes=lanes // 2, U=lanes // 2) if half else whole
    WS = -(-(p.ow + (p.kw - 1) * p.dw // p.sw) // lanes) * lanes
    return _Codes(
        whole, rest, ICG=p.ic // p.g, OCG=OCG, IW=p.iw, PH=p.ph, PW=p.pw, OH=p.oh, OW=p.ow, OCB=OCB, LANES=lanes,
        WHOLE=p.ow - left if half else 0, REST=rest.lanes, WS=WS, M=whole.m * PACK, N=whole.n * p.sw,
        TAPS=whole.n * p.kw * OCB, epilogue=epilogue,
    )  # fmt: skip


def _strips_a_vector(p: Conv2dProblem, lanes: int, m: int) -> int:
    """How many strips of a narrow map a vector takes: a column of zeros must stand behind each."""
    for PACK in (4, 2):
        beyond = p.ow + (p.kw - 1) * p.dw - lanes // PACK
        if p.sw == 1 and beyond <= p.pw and p.iw + p.pw <= lanes // PACK and p.oh > m * (PACK // 2):
            return PACK
    return 1


def _scratch(p: Conv2dProblem, threads: int) -> Scratch:
    c = _codes(p)
    # Behind the last row what a tile of a narrow map reads and throws away.
    return {"rows": (threads, c.ICG * c.N * c.WS + c.LANES + (p.kw - 1) * p.dw)}


def _unsupported(p: Conv2dProblem) -> str | None:
    if p.kh != 3 or p.kw > _MOST_COLUMNS:
        return f"the kernel is {p.kh}x{p.kw}, expected 3 rows and at most {_MOST_COLUMNS} columns"
    if max(p.sh, p.sw) > 2:
        return f"the stride is {p.sh}x{p.sw}, expected at most 2x2"
    if p.dh != 1:
        return f"the dilation between rows is {p.dh}, expected 1"
    return None


def _prepare(p: Conv2dProblem, wei: np.ndarray) -> Packed:
    c = _codes(p)
    transformed = (_rows(p.sh).g @ wei.astype(np.float64)).astype(p.dtype)
    return (pack_weight_blocks(transformed, p.g, c.OCB),)


def _amounts(p: Conv2dProblem, threads: int) -> Amounts:
    return filter_amounts(p, _codes(p), threads)


@algorithm(
    "grouped_winograd",
    family="grouped",
    error_factor=12.0,
    unsupported=_unsupported,
    prepare=_prepare,
    scratch=_scratch,
    amounts=_amounts,
)
def grouped_winograd(setup: Setup) -> Run:
    """Minimal filtering over rows: half the multiplications of direct, for few channels a group."""
    p, threads, bia, (wei,), rows = setup.problem, setup.threads, setup.bia, setup.packed, setup.scratch["rows"]
    c = _codes(p, setup.epilogue)
    codes, items = static(c), p.mb * p.g * -(-p.oh // c.M)
    launch, share, scratch = (
        (Launch(_strips), (0, items), rows[0]) if threads == 1 else (Launch(_strips_parallel), (threads, items), rows)
    )

    def run(src: np.ndarray, dst: np.ndarray, residual: np.ndarray) -> None:
        launch(codes, *share, src.reshape(-1), wei, bia, dst.reshape(-1), residual.reshape(-1), scratch, p.g, p.ih)

    return run
