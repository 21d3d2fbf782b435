"""A transform, and every size that follows from it for a problem."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from kernels.algorithms.transform.codelets.apply import Codelet
from kernels.algorithms.transform.geometry import Sizes
from kernels.algorithms.transform.product_tile import pick_product_tile
from kernels.machine.cpu import cache_bytes, lanes_of
from kernels.machine.matrix_codelet import MatrixCodelet
from kernels.machine.tile_shape import TileShape
from kernels.problem import Conv2dProblem

__all__ = ["Code", "Side", "Transform", "sizes_of", "spread_extent"]

#: Work is shared out as a whole where the longest share is at most so many times as long as an equal one.
_EVEN = 1.08
#: Weights of up to so many bytes stay in the last cache from block to block.
_LAST_CACHE_BYTES = 12 * 2**20
#: Images share a block up to so many bytes of V, or to at least so many tiles.
_NEAR_BYTES, _LEAST_TILES = 640 * 2**10, 16
#: Tiles of a block that hide that its weights come from the last cache.
_TILES_WORTH_WEIGHTS = 32
#: What the scratch between the sides of a transform may take of L1.
_MIDDLE = 0.5
#: Short tiles are used where they leave at most this share of the points.
_WORTH_SHORT = 0.95


@dataclass(frozen=True)
class Side:
    """One dimension of a transform: tiles of ``n`` pixels to ``m`` outputs.

    ``into`` takes pixels to points, ``out`` sums to outputs; down a tile in steps, ``out`` has real and imaginary parts
    swapped. Where there are fewer sums than points,
    each of the first ones is of the products of two points that follow one another. ``stride`` and
    ``dilation`` are what the side takes care of: pixels from one output to the next, and pixels
    from one of the tile to the next.
    """

    n: int
    m: int
    into: Codelet
    out: Codelet
    stride: int = 1
    dilation: int = 1


@dataclass(frozen=True)
class Transform:
    """A two-dimensional transform.

    ``down`` and ``across`` are its sides: ``across.into`` runs along each of the ``down.n``
    rows of a tile, ``down.into`` down each of its results; the inverses in the opposite order.
    ``tap`` is how many taps a kernel piece has a side. ``weights`` are the matrices that make points of taps, down and
    across; without them, numbers have ``width`` 2 parts and it is the Fourier transform over tiles of ``down.n``.
    ``block_tiles`` is how many tiles a block aims at. ``steps``: whether one tile fills the scratch between its
    sides, else a row of tiles shares it and the order of sides is free. ``short`` makes, of a number of outputs
    and of whether it is across, the side of tiles of so many outputs over the first of the same points.
    """

    down: Side
    across: Side
    tap: tuple[int, int]
    width: int
    block_tiles: int
    weights: tuple[MatrixCodelet, MatrixCodelet] | None = None
    steps: bool = False
    short: Callable[[int, bool], Side] | None = None


class Code(NamedTuple):
    """What is compiled for a problem, beside its epilogue; short codelets are None where no tile is short."""

    shape: TileShape
    lanes: int
    width: int
    single: int  # 1 where every sum is of one point
    down_in: Codelet
    across_in: Codelet
    down_out: Codelet
    across_out: Codelet
    short_down_in: Codelet | None
    short_across_in: Codelet | None
    short_down_out: Codelet | None
    short_across_out: Codelet | None


@dataclass(frozen=True)
class _Shorts:
    """Sides of the last tiles where those are short."""

    down: Side | None
    across: Side | None


def _shorts(t: Transform, dense: tuple[int, int]) -> _Shorts:
    """Short sides, where they leave out enough of the points to be worth their code."""
    if t.short is None:
        return _Shorts(None, None)
    sides, left = [], 1.0
    for side, extent, is_across in ((t.down, dense[0], False), (t.across, dense[1], True)):
        rest, points = extent % side.m, side.into.outputs
        short = t.short(rest, is_across) if rest else None
        sides.append(short)
        if short is not None:
            left *= 1 - (points - short.into.outputs) / (-(-extent // side.m) * points)
    return _Shorts(*sides) if left <= _WORTH_SHORT else _Shorts(None, None)


def _images_a_block(mb: int, tiles: int, aim: int, image_bytes: int, weight_bytes: int) -> int:
    """Images of ``tiles`` tiles that share a block; of equal number, so that the last one is not nearly empty.

    Weights that are too many for the last cache are read for as many tiles as a block may have.
    Others are not worth a V that leaves L2.
    """
    most = max(1, round(aim / tiles))
    if weight_bytes <= _LAST_CACHE_BYTES:
        most = min(most, max(-(-_LEAST_TILES // tiles), _NEAR_BYTES // image_bytes))
    blocks = -(-mb // min(mb, most))
    return -(-mb // blocks)


def _longest(TH: int, blocks: int, repeats: int, threads: int) -> float:
    """The longest of the shares that threads take of blocks of TH rows, so often; relative to equal ones."""

    def rows_before(item: int) -> int:
        return item // blocks * TH + item % blocks * TH // blocks

    cuts = [rows_before(blocks * repeats * thread // threads) for thread in range(threads + 1)]
    longest = max(end - begin for begin, end in itertools.pairwise(cuts))
    return longest * threads / max(1, TH * repeats)


def _share_out(
    TH: int, TW: int, BLOCKS: int, repeats: int, OCB: int, weight_bytes: int, threads: int
) -> tuple[int, int]:
    """How many blocks an image is cut into, ``BLOCKS`` or more, and `Sizes.PHASES`.

    Smaller blocks read the weights more often, which does not matter as long as the last cache
    holds them and there are tiles enough to multiply them with meanwhile.
    """
    finest = TH * TW // _TILES_WORTH_WEIGHTS if weight_bytes <= _LAST_CACHE_BYTES else 0
    most = max(BLOCKS, min(TH, 2 * BLOCKS + threads, finest))
    for blocks in range(BLOCKS, most + 1):
        if _longest(TH, blocks, repeats, threads) <= _EVEN:
            return blocks, 1
    return BLOCKS, 2 if _longest(OCB, OCB, 1, threads) <= _EVEN else 3


@functools.lru_cache(maxsize=1024)
def sizes_of(p: Conv2dProblem, t: Transform, threads: int) -> tuple[Sizes, Code]:
    """Extents for the loops, and what is compiled."""
    lanes = lanes_of(p.dtype)
    down, across = t.down, t.across
    # Outputs between those that a stride keeps are computed and not stored, where the transform leaves it to us.
    SH, SW = p.sh // down.stride, p.sw // across.stride
    grids = min(down.dilation, p.oh), min(across.dilation, p.ow)
    # Of one sub-grid.
    dense = -(-((p.oh - 1) * SH + 1) // down.dilation), -(-((p.ow - 1) * SW + 1) // across.dilation)
    TH, TW = -(-dense[0] // down.m) * grids[0], -(-dense[1] // across.m) * grids[1]
    # Blocks of equal size, so that the last one is not nearly empty.
    BLOCKS = -(-TH // max(1, min(TH, round(t.block_tiles / TW))))
    R = -(-TH // BLOCKS)
    C, SUMS_C = across.into.outputs, across.out.inputs
    F, SUMS = down.into.outputs * C, down.out.inputs * SUMS_C
    pieces = [-(-extent // tap) for extent, tap in zip(spread_extent(p, t), t.tap, strict=True)]
    ICP = -(-(p.ic // p.g) // lanes) * lanes
    depth_bytes = F * pieces[0] * pieces[1] * ICP * t.width * p.itemsize
    IMAGES = 1
    if BLOCKS == 1 and p.mb > 0:
        IMAGES = _images_a_block(p.mb, TH * TW, t.block_tiles, TH * TW * depth_bytes, p.oc * depth_bytes)
    shorts = _shorts(t, dense)
    short_down, short_across = shorts.down or down, shorts.across or across
    FULL_TH, FULL_TW = TH - grids[0] * (shorts.down is not None), TW - grids[1] * (shorts.across is not None)
    OCG = p.oc // p.g
    short_points = short_down.into.outputs, short_across.into.outputs
    counts = _tile_counts(IMAGES, R, FULL_TH if BLOCKS == 1 else R, TW, FULL_TW, F, C, *short_points)
    shape = pick_product_tile(counts, OCG * t.width, lanes, p.oc * depth_bytes, complex_numbers=t.width == 2)
    channels = shape.NR // t.width
    # Only now, since the tile, by which weights are packed, must not depend on the number of threads.
    repeats, OCB = -(-p.mb // IMAGES) * p.g, -(-OCG // channels)
    BLOCKS, PHASES = _share_out(TH, TW, BLOCKS, repeats, OCB, p.oc * depth_bytes, threads)
    R = -(-TH // BLOCKS)
    tiles = -(-IMAGES * R * TW // shape.MR) * shape.MR
    STEP_H, STEP_W = down.m * down.stride * down.dilation, across.m * across.stride * across.dilation
    # Tiles of a sub-grid of which a block has some: one that begins among the sub-grids ends among others.
    runs = min(TH // grids[0], 1 + (R + grids[0] - 2) // grids[0]), TW // grids[1]
    under = [
        (run - 1) * step + (side.n - 1) * side.dilation + grid + (piece - 1) * tap
        for run, step, side, grid, piece, tap in zip(
            runs, (STEP_H, STEP_W), (down, across), grids, pieces, t.tap, strict=True
        )
    ]
    WP = -(-under[1] // lanes) * lanes
    WR = max(TW // grids[1] * across.m * across.dilation + across.n, -(-p.ow // lanes) * lanes * SW)
    CHUNK, MID_W, MID = _middle(t, TW, grids[1], STEP_W, lanes, p.itemsize)
    sizes = Sizes(
        STEPS=t.steps, PHASES=PHASES, MB=p.mb, IMAGES=IMAGES, ITEMS=repeats * BLOCKS, G=p.g, ICG=p.ic // p.g, OCG=OCG,
        ICP=ICP, OCB=OCB,
        TH=TH, TW=TW, FULL_TH=FULL_TH, FULL_TW=FULL_TW, R=R, BLOCKS=BLOCKS, NH=down.n, NW=across.n,
        SHORT_NH=short_down.n, MH=down.m, MW=across.m,
        SHORT_MH=short_down.m, GRIDS_H=grids[0], GRIDS_W=grids[1], DH=down.dilation, DW=across.dilation,
        STEP_H=STEP_H, STEP_W=STEP_W, C=C, SHORT_C=short_points[1], F=F, SHORT_R=short_points[0],
        SUMS=SUMS, SUMS_C=SUMS_C, TWICE_H=down.into.outputs - down.out.inputs,
        TWICE_W=C - SUMS_C, SHORT_SUMS_H=short_down.out.inputs, SHORT_SUMS_W=short_across.out.inputs, W=t.width,
        PIECES_H=pieces[0], PIECES_W=pieces[1], TAP_H=t.tap[0], TAP_W=t.tap[1],
        IH=p.ih, IW=p.iw, PH=p.ph, PW=p.pw, WP=WP, WR=WR,
        # One vector more, so that the points of a tile do not all fall into one set of the L1 cache.
        VSTEP=tiles * pieces[0] * pieces[1] * ICP * t.width + lanes, MSTEP=tiles * shape.NR + lanes,
        LANES=lanes, MR=shape.MR, NR=shape.NR, CHANNELS=channels, OH=p.oh, OW=p.ow, SH=SH, SW=SW,
        PIXELS=under[0] * WP * lanes,
        CHUNK=CHUNK, MID_W=MID_W, MID=MID,
    )  # fmt: skip
    codelets = [side.into if into else side.out for into in (True, False) for side in (down, across)]
    short = [
        None if side is None else side.into if into else side.out
        for into in (True, False) for side in (shorts.down, shorts.across)
    ]  # fmt: skip
    return sizes, Code(shape, lanes, t.width, int(SUMS == F), *codelets, *short)


def _middle(t: Transform, TW: int, grids: int, step: int, lanes: int, itemsize: int) -> tuple[int, int, int]:
    """`Sizes.CHUNK`, `Sizes.MID_W` and `Sizes.MID`."""
    down, across = t.down, t.across
    if t.steps:
        return TW, 0, max(down.n, down.out.outputs) * across.into.outputs * t.width * lanes
    sets = TW // grids
    most = int(_MIDDLE * cache_bytes(1)) // (down.into.outputs * step * lanes * itemsize)
    sets = -(-sets // -(-sets // max(1, most)))
    # One column more, so that rows do not all fall into one set of the cache.
    columns = (sets - 1) * step + grids + (across.n - 1) * across.dilation + 1
    between = max(
        down.into.outputs * columns,
        down.n * sets * grids * across.into.outputs,
        down.out.outputs * sets * grids * across.out.inputs,
    )
    return sets * grids, columns, between * lanes


def spread_extent(p: Conv2dProblem, t: Transform) -> tuple[int, int]:
    """Rows and columns of the kernel between whose taps zeros stand, but for what the transform takes care of."""
    return (p.kh - 1) * (p.dh // t.down.dilation) + 1, (p.kw - 1) * (p.dw // t.across.dilation) + 1


def _tile_counts(
    images: int, rows: int, full_rows: int, TW: int, FULL_TW: int, F: int, C: int, short_r: int, short_c: int
) -> tuple[int, ...]:
    """How many tiles of a block have each point."""
    counts = []
    for f in range(F):
        down = rows if f // C < short_r else full_rows
        counts.append(images * down * (TW if f % C < short_c else FULL_TW))
    return tuple(counts)
