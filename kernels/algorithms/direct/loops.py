"""The loops of a direct convolution over register tiles.

- ``direct_tiled``: a register tile of pixels x channels over the source as it is, nothing packed but the weights. Any
  stride or dilation is just an address step.

Layout: source as it is; weights [g][oc / NR][ic / KC][kw][kh][KC][NR].
Tile: MR neighbouring output pixels of a row (broadcast) x NR output channels (vectors). A 1x1 kernel without stride and
padding sees a plane as one row.
Loops, outside in: image, group, share of the channel blocks, strip of tiles (these four number the items that threads
take); block of KC input channels, block of NR output channels, output row, the tiles of one width in it
(`kernels.algorithms.direct.microkernel`).
Caches: the source under a strip, KC channels deep, and the weights of one block stay in L2, with the tile's own lines
of both in L1 where they fit. The sums of a strip wait in scratch between blocks of input channels.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from kernels.algorithms.direct.blocking import (
    RowTiles,
    Split,
    as_read,
    clip_numbers,
    row_tiles,
    split_of,
    strip_blocks,
)
from kernels.algorithms.direct.costs import tiled_amounts
from kernels.algorithms.direct.microkernel import RowSpec, tile_row
from kernels.contract import weight_elements
from kernels.costs.amounts import Amounts
from kernels.machine.cpu import cache_bytes
from kernels.machine.microkernel import call, macrokernel
from kernels.machine.packing import Biases, Panels, in_channel_blocks
from kernels.machine.padding import behind_padding
from kernels.machine.parallel import Launch, address_of, share_of
from kernels.machine.tile_shape import TileShape
from kernels.problem import Conv2dProblem
from kernels.registry import Packing, Run, Scratch, Setup, algorithm

#: Time of packing an element if taps of a channel stand apart, in that of copying one. Measured: 0.55 to 4.
_TAPS_APART = 1.2
#: Bytes of an offset in a table, and of all tables at most.
_WORD, _MOST_TABLE_BYTES = 8, 2**30
#: Bytes ahead that weights are asked for: a page, which is where the hardware's own streams end.
_FURTHER = 4096
#: Widest stride between columns that a microkernel is compiled for; wider ones share one.
_MOST_PITCH = 4
#: In a strip of so many tiles, the weights of the next block of channels are asked for by the last tile: a page ahead,
#: and a stream that begins anew, come late for a sixteenth of its tiles.
_FEW_TILES = 16


class _Sizes(NamedTuple):
    """Every extent that the loops need."""

    G: int
    ICG: int
    OCG: int
    BLOCKS: int  # blocks of output channels per group
    SHARES: int  # parts that the blocks are shared out in
    KC: int  # input channels per block
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
    ACROSS: int  # tiles per row
    WIDE: int  # those of MR pixels; the others, which follow, have one less
    TILES: int  # tiles per strip
    STRIPS: int
    MR: int
    NR: int
    AHEAD: int  # from a tile to the last pixel of the next, which is asked for ahead; 0 where all of it stays in L2


#: What else is in the record: of the sums that a thread puts by, and addresses. Of the microkernels there are four:
#: for tiles of MR pixels and of one less, in all blocks of channels but the last, then in the last.
_ELSE = (
    "ITEMS", "ITEM", "WAITING", "tile", "tile_less", "last", "last_less", "taps", "clips", "wei", "bias", "sums",
    "slope",
    "FURTHER",  # elements ahead that weights are asked for, and from a strip's last tiles on
    "NEXT",
)  # fmt: skip


@macrokernel((*_Sizes._fields, *_ELSE))
def _strips(z, step, part, parts):
    """Items are numbered over (image, group, share of the blocks, strip)."""
    OHW = z.OH * z.OW
    waiting = z.sums + part * z.WAITING * z.ITEM
    begin, end = share_of(z.ITEMS, part, parts)
    for item in range(begin, end):
        strip = item % z.STRIPS
        share = item // z.STRIPS % z.SHARES
        g = item // (z.SHARES * z.STRIPS) % z.G
        n = item // (z.SHARES * z.STRIPS * z.G)
        origin = (n * z.G + g) * z.ICG * z.IH * z.IW
        first, last = strip * z.TILES, min((strip + 1) * z.TILES, z.OH * z.ACROSS)
        block0, block1 = share * z.BLOCKS // z.SHARES, (share + 1) * z.BLOCKS // z.SHARES
        for c0 in range(0, z.ICG, z.KC):
            C = min(z.KC, z.ICG - c0)
            ends = c0 + C == z.ICG
            for block in range(block0, block1):
                at_edge = block == z.BLOCKS - 1
                channel = g * z.BLOCKS + block
                out = (n * z.G * z.OCG + g * z.OCG + block * z.NR) * OHW
                panel = (channel * z.ICG + c0) * z.KH * z.KW
                for oh in range(first // z.ACROSS, (last + z.ACROSS - 1) // z.ACROSS):
                    top = oh * z.SH - z.PH
                    low = max(0, (-top + z.DH - 1) // z.DH)
                    high = max(low, min(z.KH, (z.IH - 1 - top) // z.DH + 1))
                    for less in range(2):
                        # Tiles of this width.
                        MR = z.MR - less
                        tile0 = max(less * z.WIDE, first - oh * z.ACROSS)
                        tile1 = min(z.ACROSS if less else z.WIDE, last - oh * z.ACROSS)
                        if tile0 >= tile1:
                            continue
                        ow = tile0 * z.MR - less * (tile0 - z.WIDE)
                        number = (block - block0) * z.TILES + oh * z.ACROSS + tile0 - first
                        slot = waiting + number * z.MR * z.NR * z.ITEM
                        start, start_step, row_step = z.bias + channel * z.NR * z.ITEM, 0, 0
                        if c0 > 0:
                            start, start_step, row_step = slot, z.MR * z.NR, z.NR
                        to, to_step = slot, z.MR * z.NR
                        if ends:
                            to, to_step = z.dst + (out + oh * z.OW + ow) * z.ITEM, MR
                        tile = z.last if at_edge else z.tile
                        if less:
                            tile = z.last_less if at_edge else z.tile_less
                        further = z.FURTHER
                        if (oh + 1) * z.ACROSS >= last and block + 1 < block1:
                            # The weights of the next block of channels.
                            further = z.NEXT
                        ahead = z.AHEAD
                        if ahead and tile1 == z.ACROSS:
                            # The next tile is in the next row.
                            ahead = z.SH * z.IW - (z.OW - MR) * z.SW + (z.MR - 1) * z.SW
                        call(
                            tile,
                            (
                                start, start_step, row_step, z.src + (origin + top * z.IW + ow * z.SW - z.PW) * z.ITEM,
                                MR * z.SW, z.SW, z.taps + (c0 * z.KH + low * C) * _WORD, (high - low) * C,
                                z.clips + tile0 * z.KW * _WORD, z.KW, z.DW, z.wei + (panel + low * C) * z.NR * z.ITEM,
                                z.KH * C * z.NR, tile1 - tile0, 1 if ends else 0, to, to_step, OHW,
                                z.OCG - block * z.NR, z.residual + (out + oh * z.OW + ow) * z.ITEM, z.slope,
                                z.AHEAD, ahead, z.FURTHER, further,
                            ),
                        )  # fmt: skip


@functools.lru_cache(maxsize=1024)
def _sizes(p: Conv2dProblem, threads: int) -> tuple[_Sizes, RowTiles, Split]:
    q, _ = as_read(p)
    ICG, OCG = q.ic // q.g, q.oc // q.g
    tiles = row_tiles(q)
    shape, ACROSS = tiles.shape, tiles.ACROSS
    BLOCKS = -(-OCG // shape.NR)
    KC, strip = strip_blocks(q, shape)
    # The sums depend on KC alone: strips and shares may follow the number of threads.
    split = split_of(q, tiles, strip, threads)
    STRIPS = -(-q.oh * ACROSS // split.tiles)
    sizes = _Sizes(
        G=q.g, ICG=ICG, OCG=OCG, BLOCKS=BLOCKS, SHARES=split.shares, KC=KC,
        KH=q.kh, KW=q.kw, SH=q.sh, SW=q.sw, DH=q.dh, DW=q.dw, PH=q.ph, PW=q.pw, IH=q.ih, IW=q.iw, OH=q.oh, OW=q.ow,
        ACROSS=ACROSS, WIDE=tiles.WIDE, TILES=split.tiles, STRIPS=STRIPS, MR=shape.MR, NR=shape.NR,
        AHEAD=(2 * shape.MR - 1) * q.sw if 2 * q.ic * q.ih * q.iw * q.itemsize > cache_bytes(2) else 0,
    )  # fmt: skip
    return sizes, tiles, split


def _waiting(z: _Sizes) -> int:
    """Sums that each thread puts by."""
    return -(-z.BLOCKS // z.SHARES) * z.TILES * z.MR * z.NR if z.KC < z.ICG else 0


def _scratch(p: Conv2dProblem, threads: int) -> Scratch:
    z, _, _ = _sizes(p, threads)
    return {
        "padded": (p.mb if p.ih * p.iw < z.IH * z.IW else 0, p.ic, z.IH, z.IW),
        "sums": (threads, _waiting(z)),
    }


def _packing_elements(p: Conv2dProblem) -> float:
    return weight_elements(p) * (_TAPS_APART if p.kh * p.kw > 1 else 1.0)


def _packing(p: Conv2dProblem, threads: int) -> Packing:
    z, _, _ = _sizes(p, 1)
    columns_first = [kw * z.KH + kh for kh in range(z.KH) for kw in range(z.KW)]
    panels = Panels(p.weight_shape, p.dtype, p.g, z.NR, threads, in_channel_blocks(z.ICG, columns_first, z.KC))
    biases = Biases(p.oc, p.dtype, p.g, z.NR)
    return Packing((*_tables(p), panels.packed, biases.packed), panels, biases)


@functools.lru_cache(maxsize=256)
def _tables(p: Conv2dProblem) -> tuple[np.ndarray, np.ndarray]:
    """Offsets of taps, and which of them are left out at edges."""
    q, reach = as_read(p)
    z, _, _ = _sizes(p, 1)
    kh, ic = np.meshgrid(np.arange(z.KH), np.arange(z.ICG), indexing="ij")
    offsets = kh * z.DH * z.IW + ic * z.IH * z.IW
    taps = np.concatenate([offsets[:, c : c + z.KC].reshape(-1) for c in range(0, z.ICG, z.KC)]).astype(np.intp)
    return taps, clip_numbers(q, reach)


def _unsupported(p: Conv2dProblem) -> str | None:
    tiles = row_tiles(p)
    size = _WORD * (tiles.ACROSS * p.kw + p.kh * (p.ic // p.g))
    if size > _MOST_TABLE_BYTES:
        return f"tables of taps take {size / 2**30:.1f} GiB, expected at most {_MOST_TABLE_BYTES / 2**30:.0f} GiB"
    return None


def _amounts(p: Conv2dProblem, threads: int) -> Amounts:
    return tiled_amounts(p, *_sizes(p, threads))


def row_specs(setup: Setup) -> dict[str, RowSpec]:
    """The microkernels that a problem needs, by their names in the record."""
    p = setup.problem
    z, (shape, _, _), _ = _sizes(p, 1)
    live = z.OCG - (z.BLOCKS - 1) * z.NR
    pitch, kind = p.sw if p.sw <= _MOST_PITCH else 0, setup.epilogue.kind
    specs = {}
    for name, NV, is_partial in (("tile", shape.NV, False), ("last", -(-live // shape.lanes), live % shape.lanes > 0)):
        for less in range(2):
            MR = shape.MR - less
            needed = (z.BLOCKS > 1 or name == "last") and (z.WIDE < z.ACROSS if less else z.WIDE > 0)
            if needed:
                each = TileShape(MR, NV, shape.lanes)
                specs[name + "_less" * less] = RowSpec(p.dtype, each, z.NR, as_read(p)[1], pitch, is_partial, kind)
    return specs


@algorithm(
    "direct_tiled",
    family="direct",
    error_factor=8.0,
    exact_on_integers=True,
    window_only=True,
    unsupported=_unsupported,
    packing=_packing,
    scratch=_scratch,
    amounts=_amounts,
    packing_elements=_packing_elements,
)
def direct_tiled(setup: Setup) -> Run:
    """A register tile of pixels x channels over the source as it is; padding is left out."""
    p, threads = setup.problem, setup.threads
    taps, clips, wei, bias = setup.packed
    z, _, _ = _sizes(p, threads)
    slope = np.array([setup.epilogue.slope], p.dtype)
    padded, sums = setup.scratch["padded"], setup.scratch["sums"]
    further = _FURTHER // p.itemsize
    arrays = {"taps": taps, "clips": clips, "wei": wei, "bias": bias, "sums": sums, "slope": slope}
    record = _strips.record(
        **z._asdict(),
        **{name: tile_row.address(spec) for name, spec in row_specs(setup).items()},
        **{name: address_of(array) for name, array in arrays.items()},
        ITEMS=p.mb * z.G * z.STRIPS * z.SHARES, ITEM=p.itemsize, WAITING=_waiting(z),
        FURTHER=further, NEXT=z.ICG * z.KH * z.KW * z.NR if z.TILES <= _FEW_TILES else further,
    )  # fmt: skip
    launch = Launch(_strips, record, threads, keep=tuple(arrays.values()))
    if not padded.size:
        return launch
    return behind_padding(p, threads, padded, launch)
