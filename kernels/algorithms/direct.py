"""Direct convolution: the sum as it is, no transform of the input.

- ``direct_tiled``: a register tile of pixels x channels over the source as it is, nothing
  packed but the weights. Any stride or dilation is just an address step.

Layout: source as it is; weights [g][oc / NR][ic / KC][kw][kh][KC][NR].
Tile: MR neighbouring output pixels of a row (broadcast) x NR output channels (vectors). A
1x1 kernel without stride and padding sees a plane as one row.
Loops, outside in: image, group, share of the channel blocks, strip of tiles (these four
number the items that threads take); block of KC input channels, block of NR output
channels, tile, kw, then (kh, ic) as one loop over a table of offsets. With kw outside,
what is left out at the left and right edge is the same for all of that loop (`Clip`); rows
above and below are left out by where it begins and ends.
Caches: the source under a strip, KC channels deep, and the weights of one block stay in
L2, with the tile's own lines of both in L1 where they fit. The sums of a strip wait in
scratch between blocks of input channels.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from numba import prange

from kernels.costs.amounts import Amounts
from kernels.costs.direct import tiled_amounts
from kernels.epilogue import Epilogue
from kernels.machine.cpu import cache_bytes, lanes_of
from kernels.machine.jit import inner, kernel, parallel_kernel, share_of
from kernels.machine.launch import Launch
from kernels.machine.packing import fill_bias, pack_weight_blocks, pad_source
from kernels.machine.reduction import Clip, clip_table, tile_sum
from kernels.machine.register_tile import tile_rows
from kernels.machine.static import static
from kernels.machine.tile_memory import tile_load, tile_store, tile_store_transposed
from kernels.machine.tile_shape import TileShape, pixel_tile, strip_blocks
from kernels.problem import Conv2dProblem
from kernels.registry import Packed, Run, Scratch, Setup, algorithm

#: Items a thread that make shares even enough.
_ITEMS = 16
#: Clips worth a loop of their own each; a problem that needs more gets a padded copy.
_MOST_CLIPS = 24


class _Codes(NamedTuple):
    """What the kernels are specialised by."""

    shape: TileShape
    clips: tuple[Clip, ...]
    step: int  # from one pixel of the tile to the next
    NR: int
    epilogue: Epilogue


class _Sizes(NamedTuple):
    """Every extent that the kernels need."""

    G: int
    ICG: int
    OCG: int
    BLOCKS: int  # blocks of output channels a group
    SHARES: int  # parts that the blocks are shared out in
    KC: int  # input channels a block
    KH: int
    KW: int
    SH: int
    SW: int
    DH: int
    DW: int
    PH: int
    PW: int
    IH: int
    IW: int
    OH: int
    OW: int
    ACROSS: int  # tiles a row
    TILES: int  # tiles a strip
    STRIPS: int
    MR: int
    NR: int
    AHEAD: int  # from a tile to the last pixel of the next, which is asked for ahead; 0 where all of it stays in L2


@inner
def _strips(codes, z, begin, end, src, taps, clips, wei, bia, dst, residual, sums):
    """Items ``begin`` to ``end``, numbered over (image, group, share of the blocks, strip)."""
    OHW = z.OH * z.OW
    for item in range(begin, end):
        strip = item % z.STRIPS
        share = item // z.STRIPS % z.SHARES
        g = item // (z.SHARES * z.STRIPS) % z.G
        n = item // (z.SHARES * z.STRIPS * z.G)
        origin = (n * z.G + g) * z.ICG * z.IH * z.IW
        for c0 in range(0, z.ICG, z.KC):
            C = min(z.KC, z.ICG - c0)
            slot = 0
            for block in range(share * z.BLOCKS // z.SHARES, (share + 1) * z.BLOCKS // z.SHARES):
                live = min(z.NR, z.OCG - block * z.NR)
                out = (n * z.G * z.OCG + g * z.OCG + block * z.NR) * OHW
                panel = ((g * z.BLOCKS + block) * z.ICG + c0) * z.KH * z.KW
                first, last = strip * z.TILES, min((strip + 1) * z.TILES, z.OH * z.ACROSS)
                for oh in range(first // z.ACROSS, (last + z.ACROSS - 1) // z.ACROSS):
                    top = oh * z.SH - z.PH
                    low = max(0, (-top + z.DH - 1) // z.DH)
                    high = min(z.KH, (z.IH - 1 - top) // z.DH + 1)
                    for across in range(max(0, first - oh * z.ACROSS), min(z.ACROSS, last - oh * z.ACROSS)):
                        if c0 == 0:
                            tile = tile_rows(codes.shape, bia, (g * z.BLOCKS + block) * z.NR)
                        else:
                            tile = tile_load(codes.shape, sums, slot, z.NR)
                        ow = across * z.MR
                        corner = origin + top * z.IW + ow * z.SW - z.PW
                        # From this tile to the last pixel of the next one, which is in the next row at the end of one.
                        ahead = z.AHEAD
                        if ahead and across == z.ACROSS - 1:
                            ahead += z.SH * z.IW - z.ACROSS * z.MR * z.SW
                        chosen = ((block == z.BLOCKS - 1) * z.ACROSS + across) * z.KW
                        for kw in range(z.KW):
                            tile = tile_sum(
                                codes.clips, clips[chosen + kw], tile, src, corner + kw * z.DW, codes.step, taps,
                                c0 * z.KH + low * C, c0 * z.KH + high * C, wei, (panel + (kw * z.KH + low) * C) * z.NR,
                                codes.NR, ahead,
                            )  # fmt: skip
                        if c0 + C == z.ICG:
                            to = out + oh * z.OW + ow
                            rows = min(z.MR, z.OW - ow)
                            tile_store_transposed(tile, dst, to, OHW, rows, live, codes.epilogue, residual, None)
                        else:
                            tile_store(tile, sums, slot, z.NR)
                        slot += z.MR * z.NR


@kernel
def _strips_serial(codes, z, parts, items, src, taps, clips, wei, bia, dst, residual, bias, sums):
    fill_bias(bia, bias, z.G, z.OCG, z.BLOCKS * z.NR)
    _strips(codes, z, 0, items, src, taps, clips, wei, bias, dst, residual, sums[0])


@parallel_kernel
def _strips_parallel(codes, z, parts, items, src, taps, clips, wei, bia, dst, residual, bias, sums):
    fill_bias(bia, bias, z.G, z.OCG, z.BLOCKS * z.NR)
    for part in prange(parts):
        begin, end = share_of(items, part, parts)
        _strips(codes, z, begin, end, src, taps, clips, wei, bias, dst, residual, sums[part])


def _as_read(p: Conv2dProblem) -> Conv2dProblem:
    """The same sums over the source that the loops read: a plane as one row, or a padded copy."""
    if p.kh == p.kw == p.sh == p.sw == 1 and p.padded_shape == (p.ih, p.iw):
        return p.replace(ih=1, iw=p.ih * p.iw)
    shape = pixel_tile(p.ow, p.oc // p.g, lanes_of(p.dtype))
    if len(clip_table(p, shape)[0]) > _MOST_CLIPS:
        return p.replace(ih=p.padded_shape[0], iw=p.padded_shape[1], ph=0, pw=0, pb=0, pr=0)
    return p


@functools.lru_cache(maxsize=1024)
def _sizes(p: Conv2dProblem, threads: int) -> tuple[_Sizes, TileShape]:
    q = _as_read(p)
    ICG, OCG = q.ic // q.g, q.oc // q.g
    shape = pixel_tile(q.ow, OCG, lanes_of(q.dtype))
    BLOCKS, ACROSS = -(-OCG // shape.NR), -(-q.ow // shape.MR)
    KC, TILES = strip_blocks(q, shape)
    STRIPS, SHARES = -(-q.oh * ACROSS // TILES), 1
    # The sums depend on KC alone: strips and shares may follow the number of threads. Where
    # there are few strips, threads take channel blocks, and of the block in the middle a part.
    wanted = _ITEMS * threads if threads > 1 else 1
    if q.mb * q.g * STRIPS < wanted:
        SHARES = BLOCKS
        TILES = max(1, q.oh * ACROSS // max(STRIPS, -(-wanted // max(1, q.mb * q.g * SHARES))))
        STRIPS = -(-q.oh * ACROSS // TILES)
    sizes = _Sizes(
        G=q.g, ICG=ICG, OCG=OCG, BLOCKS=BLOCKS, SHARES=SHARES, KC=KC,
        KH=q.kh, KW=q.kw, SH=q.sh, SW=q.sw, DH=q.dh, DW=q.dw, PH=q.ph, PW=q.pw, IH=q.ih, IW=q.iw, OH=q.oh, OW=q.ow,
        ACROSS=ACROSS, TILES=TILES, STRIPS=STRIPS, MR=shape.MR, NR=shape.NR,
        AHEAD=(2 * shape.MR - 1) * q.sw if 2 * q.ic * q.ih * q.iw * q.itemsize > cache_bytes(2) else 0,
    )  # fmt: skip
    return sizes, shape


def _scratch(p: Conv2dProblem, threads: int) -> Scratch:
    z, _ = _sizes(p, threads)
    waiting = -(-z.BLOCKS // z.SHARES) * z.TILES * z.MR * z.NR
    return {
        "padded": (p.mb if p.ih * p.iw < z.IH * z.IW else 0, p.ic, z.IH, z.IW),
        "bias": (z.G * z.BLOCKS * z.NR,),
        "sums": (threads, waiting if z.KC < z.ICG else 0),
    }


def _prepare(p: Conv2dProblem, wei: np.ndarray) -> Packed:
    q = _as_read(p)
    z, shape = _sizes(p, 1)
    clips, table = clip_table(q, shape)
    kh, ic = np.meshgrid(np.arange(z.KH), np.arange(z.ICG), indexing="ij")
    offsets = kh * z.DH * z.IW + ic * z.IH * z.IW
    panels = pack_weight_blocks(wei, p.g, z.NR).reshape(z.G, z.BLOCKS, z.ICG, z.KH, z.KW, z.NR)
    panels = panels.transpose(0, 1, 4, 3, 2, 5)
    cuts = [slice(c, c + z.KC) for c in range(0, z.ICG, z.KC)]
    taps = np.concatenate([offsets[:, cut].reshape(-1) for cut in cuts]).astype(np.intp)
    packed = np.concatenate([panels[:, :, :, :, cut].reshape(z.G, z.BLOCKS, -1) for cut in cuts], axis=2)
    return clips, taps, table.reshape(-1), packed.reshape(-1)


def _amounts(p: Conv2dProblem, threads: int) -> Amounts:
    return tiled_amounts(p, _as_read(p), *_sizes(p, threads), threads)


@algorithm(
    "direct_tiled",
    family="direct",
    error_factor=8.0,
    exact_on_integers=True,
    prepare=_prepare,
    scratch=_scratch,
    amounts=_amounts,
)
def direct_tiled(setup: Setup) -> Run:
    """A register tile of pixels x channels over the source as it is; padding is left out."""
    p, threads, bia = setup.problem, setup.threads, setup.bia
    clips, taps, table, wei = setup.packed
    z, shape = _sizes(p, threads)
    codes = static(_Codes(shape, clips, p.sw, shape.NR, setup.epilogue))
    items = p.mb * z.G * z.STRIPS * z.SHARES
    padded, bias, sums = (setup.scratch[name] for name in ("padded", "bias", "sums"))
    launch = Launch(_strips_serial if threads == 1 else _strips_parallel)

    def run(src: np.ndarray, dst: np.ndarray, residual: np.ndarray) -> None:
        source = src.reshape(-1)
        if padded.size:
            source = padded.reshape(-1)
            pad_source(p, src, source, threads)
        result, added = dst.reshape(-1), residual.reshape(-1)
        launch(codes, z, threads, items, source, taps, table, wei, bia, result, added, bias, sums)

    return run
