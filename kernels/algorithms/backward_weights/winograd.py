"""Winograd's minimal filtering of backward weights: the taps are the outputs.

Versions, F(m, r) for m taps and r gradients per tile and dimension, of kernels that are not strided or dilated; a
dimension of one tap is left as it is:

- ``bwd_w_f3x4``: 6x6 points, 4 times fewer multiplications than the sum has, in one dimension 2 times.
- ``bwd_w_f5x4``: 8x8 points, 6.2 times fewer, in one dimension 2.5 times.
- ``bwd_w_f7x4``: 1x7 and 7x1 kernels, 10 points, 2.8 times fewer.

Points are rationals, chosen by measuring errors: over sums of 400 tiles, F(3x3, 4x4) errs 1.3 times as much as a direct
sum in float32, F(5x5, 4x4) 5 times, F(7, 4) 5 times.

A row of taps is the correlation of a row of the source with one of gradients, cut into tiles of r gradients. Of F(m, r)
the "kernel" is then the tile of gradients and the m outputs are the taps:

dW = A^T [ sum over tiles of (G dy G^T) * (B^T x B) ] A

The sum over tiles of all images is inside the brackets, so that a product is a matrix product at every point of the
transform, and the inverse transform is done once per pair of channels. Source: Lavin and Gray, "Fast Algorithms for
Convolutional Neural Networks" (2015), section 4.1, and Blahut, "Fast Algorithms for Signal Processing" (2010),
chapter 5.

The loops, with layout and caches, are in `kernels.algorithms.backward_weights.winograd_loops`.
"""

from __future__ import annotations

import functools
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from kernels.algorithms.backward_weights.costs import winograd_amounts
from kernels.algorithms.backward_weights.microkernel import PanelSpec, TileSpec, store_weights, sum_points
from kernels.algorithms.backward_weights.taps import VectorSpec, sum_plane
from kernels.algorithms.backward_weights.winograd_loops import Sizes, loops
from kernels.algorithms.cook_toom import transform_matrices, with_negatives
from kernels.algorithms.transform.phases import GatherSpec, LinesSpec, gather, lines
from kernels.costs.amounts import Amounts, ceil_div
from kernels.machine.cpu import cache_bytes, lanes_of, odd_lines, vector_registers
from kernels.machine.matrix_codelet import MatrixCodelet, matrix_codelet
from kernels.machine.parallel import Launch, address_of
from kernels.machine.tile_shape import TileShape
from kernels.problem import Conv2dProblem
from kernels.registry import Run, Scratch, Setup, algorithm

#: X and D of a block take as much as L2, and at least so much of all M, which is read and written once per block.
_BLOCK_OF_SUMS = 0.33
#: What M of an item may take of L2, and the most channels of its sides.
_ITEM_OF_L2 = 0.6
_ITEM_CHANNELS = 64
#: Items per thread that make shares even enough.
_ITEMS = 4


class _Filter(NamedTuple):
    """F(m, r) and its points."""

    m: int
    r: int
    points: tuple[Fraction | int, ...]


class _Codelets(NamedTuple):
    """Of a side: into points of source and gradients, and out of them."""

    source: MatrixCodelet
    gradients: MatrixCodelet
    taps: MatrixCodelet


@functools.cache
def _codelets(f: _Filter, gradients: int) -> _Codelets:
    """For tiles of so many gradients, over the first points of ``f``; products of all tiles then have the same taps."""
    at, g, bt = transform_matrices(f.m, gradients, f.points[: f.m + gradients - 2])
    return _Codelets(matrix_codelet(bt), matrix_codelet(g), matrix_codelet(at))


def _sides(p: Conv2dProblem, f: _Filter) -> tuple[_Filter, _Filter]:
    """Down and across; one tap is no filter."""
    down, across = (f if taps > 1 else _Filter(1, 1, ()) for taps in (p.kh, p.kw))
    return down, across


def _shape(p: Conv2dProblem) -> TileShape:
    """Rows are channels of the source and divide a vector."""
    lanes = lanes_of(p.dtype)
    NV = min(2, ceil_div(p.oc // p.g, lanes))
    rows = lanes
    while rows * NV + NV + 1 > vector_registers():
        rows //= 2
    return TileShape(rows, NV, lanes)


def _short(extent: int, f: _Filter) -> int:
    """Points of the last tile of so many gradients."""
    return f.m + (extent % f.r or f.r) - 1


@functools.lru_cache(maxsize=1024)
def _sizes(p: Conv2dProblem, f: _Filter, threads: int) -> Sizes:
    (down, across), shape, lanes = _sides(p, f), _shape(p), lanes_of(p.dtype)
    R, C = (side.m + side.r - 1 for side in (down, across))
    ICG, OCG = p.ic // p.g, p.oc // p.g
    TH, TW = ceil_div(p.oh, down.r), ceil_div(p.ow, across.r)
    IVECTORS, OVECTORS, PANELS = ceil_div(ICG, lanes), ceil_div(OCG, lanes), ceil_div(OCG, shape.NR)
    tile_bytes = R * C * p.g * (IVECTORS * lanes + PANELS * shape.NR) * p.itemsize
    rows = max(1, p.mb * TH)
    # Neither sizes of items nor threads may change what is added to what.
    sum_bytes = R * C * p.g * IVECTORS * lanes * PANELS * shape.NR * p.itemsize
    near = max(cache_bytes(2), int(_BLOCK_OF_SUMS * sum_bytes))
    BLOCKS = min(rows, ceil_div(rows * TW * tile_bytes, near))
    T = ceil_div(rows, BLOCKS) * TW
    most = max(lanes * shape.NR, int(_ITEM_OF_L2 * cache_bytes(2)) // (R * C * p.itemsize))
    ICB = min(IVECTORS * lanes, _ITEM_CHANNELS)
    PB = max(1, min(PANELS, _ITEM_CHANNELS // shape.NR))
    while most < ICB * PB * shape.NR and lanes < ICB:
        ICB = ceil_div(ICB // 2, lanes) * lanes
    # Few items leave threads idle.
    while threads > 1 and PB > 1 and p.g * ceil_div(PANELS, PB) * ceil_div(ICG, ICB) < _ITEMS * threads:
        PB = ceil_div(PB, 2)
    while threads > 1 and lanes < ICB and p.g * ceil_div(PANELS, PB) * ceil_div(ICG, ICB) < _ITEMS * threads:
        ICB = ceil_div(ICB // 2, lanes) * lanes
    return Sizes(
        MB=p.mb, G=p.g, IC=p.ic, OC=p.oc, ICG=ICG, OCG=OCG, IH=p.ih, IW=p.iw, OH=p.oh, OW=p.ow, PH=p.ph, PW=p.pw,
        KH=p.kh, KW=p.kw, LANES=lanes, MR=shape.MR, NR=shape.NR, TILE_H=down.r, TILE_W=across.r, TH=TH, TW=TW,
        FULL_TH=p.oh // down.r, FULL_TW=p.ow // across.r, R=R, C=C, SHORT_R=_short(p.oh, down),
        SHORT_C=_short(p.ow, across), BLOCKS=BLOCKS, T=T, WX=ceil_div(p.ow + p.kw - 1, lanes) * lanes,
        WD=ceil_div(p.ow, lanes) * lanes, IVECTORS=IVECTORS, OVECTORS=OVECTORS, PANELS=PANELS,
        XSTEP=odd_lines(p.g * IVECTORS * T * lanes, p.itemsize),
        DSTEP=odd_lines(p.g * PANELS * T * shape.NR, p.itemsize),
        MSTEP=odd_lines(PB * ICB * shape.NR, p.itemsize), ICB=ICB, PB=PB, IBLOCKS=ceil_div(ICG, ICB),
        OBLOCKS=ceil_div(PANELS, PB), HAS_BIAS=int(p.bias),
    )  # fmt: skip


def _local(z: Sizes) -> tuple[int, int, int]:
    """Elements of a thread's scratch; where the second side of a transform begins, and sums of taps."""
    pixels, mid = z.R * z.WX * z.LANES, z.R * z.WX * z.LANES
    taps, sums = z.LANES * z.KH * z.C * z.LANES, (z.LANES * z.KH * z.KW + z.LANES) * z.NR
    return max(pixels + mid, taps + sums), pixels, taps


def _scratch(f: _Filter, p: Conv2dProblem, threads: int) -> Scratch:
    z = _sizes(p, f, threads)
    points = z.R * z.C
    return {
        "local": (threads, _local(z)[0]),
        "X": (1, points * z.XSTEP),
        "D": (1, points * z.DSTEP),
        "M": (threads if z.BLOCKS == 1 else z.G * z.OBLOCKS * z.IBLOCKS, points * z.MSTEP),
    }


def _unsupported(f: _Filter, is_square: bool, p: Conv2dProblem) -> str | None:
    kernels = [f"{f.m}x{f.m}"] * is_square + [f"1x{f.m}", f"{f.m}x1"]
    if f"{p.kh}x{p.kw}" not in kernels:
        return f"the kernel is {p.kh}x{p.kw}, expected {' or '.join(kernels)}"
    if (p.sh, p.sw) != (1, 1):
        return f"the stride is {p.sh}x{p.sw}, expected 1x1"
    # One tap has no neighbours to be dilated from.
    if (p.kh > 1 and p.dh > 1) or (p.kw > 1 and p.dw > 1):
        return f"the dilation is {p.dh}x{p.dw}, expected 1x1"
    channels = min(p.ic, p.oc) // p.g
    return None if channels >= 4 else f"a group has {channels} channels, expected at least 4: a vector is mostly empty"


def _amounts(f: _Filter, p: Conv2dProblem, threads: int) -> Amounts:
    return winograd_amounts(p, _sizes(p, f, threads), threads)


def _bind(f: _Filter, setup: Setup) -> Run:
    p, threads = setup.problem, setup.threads
    z, shape, lanes = _sizes(p, f, threads), _shape(p), lanes_of(p.dtype)
    size, MID, SUMS = _local(z)
    square = TileShape(lanes, 1, lanes)
    sides = _sides(p, f)
    down, across = (_codelets(side, side.r) for side in sides)
    short_down, short_across = (
        _codelets(side, extent % side.r or side.r) for side, extent in zip(sides, (p.oh, p.ow), strict=True)
    )
    codelets = {
        "x_down": down.source, "x_across": across.source, "x_short_down": short_down.source,
        "x_short_across": short_across.source, "d_down": down.gradients, "d_across": across.gradients,
        "d_short_down": short_down.gradients, "d_short_across": short_across.gradients, "out_down": down.taps,
        "out_across": across.taps,
    }  # fmt: skip
    tile, channel = np.arange(z.T), np.arange(lanes)
    tables = {
        "zero": np.zeros(1, np.intp), "columns": np.arange(z.TW) * (z.TILE_W * lanes), "places_x": tile * lanes,
        "places_d": tile * z.NR, "sums": channel * z.NR, "mids": channel * (z.KH * z.C * lanes),
        "taps": channel * (z.KH * z.KW * z.NR),
    }  # fmt: skip
    arrays = {**tables, **setup.scratch}
    record = loops.record(
        **z._asdict(),
        ITEM=p.itemsize,
        WORD=np.dtype(np.intp).itemsize,
        LOCAL=size,
        MID=MID,
        SUMS=SUMS,
        M_BYTES=z.R * z.C * z.MSTEP * p.itemsize,
        gather=gather.address(GatherSpec(p.dtype, square)),
        products=sum_points.address(TileSpec(p.dtype, shape)),
        store=store_weights.address(PanelSpec(p.dtype, square, TileShape(1, shape.NV, lanes))),
        sum_plane=sum_plane.address(VectorSpec(p.dtype, TileShape(1, 1, lanes), square)) if p.bias else 0,
        **{name: lines.address(LinesSpec(p.dtype, lanes, codelet)) for name, codelet in codelets.items()},
        **{name: address_of(array) for name, array in arrays.items()},
    )
    return Launch(loops, record, threads, 2 * z.BLOCKS, keep=tuple(arrays.values()))


def _register(
    m: int, r: int, points: tuple[Fraction | int, ...], error_factor: float, summary: str, is_square: bool = True
) -> None:
    f = _Filter(m, r, points)
    bind = functools.partial(_bind, f)
    bind.__doc__ = summary
    algorithm(
        f"bwd_w_f{m}x{r}",
        family="backward_weights",
        directions=("bwd_w",),
        error_factor=error_factor,
        unsupported=functools.partial(_unsupported, f, is_square),
        scratch=functools.partial(_scratch, f),
        amounts=functools.partial(_amounts, f),
    )(bind)


_register(
    3, 4, with_negatives(Fraction(2, 3), Fraction(3, 2)), 12.0,
    "F(3, 4), whose outputs are the taps: 4 times fewer multiplications than the sum has.",
)  # fmt: skip
_register(
    5, 4, with_negatives(1, 2, Fraction(1, 2)), 45.0,
    "F(5, 4), whose outputs are the taps: 6.2 times fewer multiplications than the sum has.",
)  # fmt: skip
_register(
    7, 4, with_negatives(Fraction(2, 5), Fraction(4, 5), Fraction(4, 3), 2), 45.0,
    "F(7, 4) of 1x7 and 7x1: 2.8 times fewer multiplications than the sum has.", is_square=False,
)  # fmt: skip
