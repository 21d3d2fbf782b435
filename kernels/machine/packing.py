"""Copies that bring arrays into the form that the loops read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kernels.machine.cpu import lanes_of
from kernels.machine.microkernel import Elements, call, macrokernel, microkernel
from kernels.machine.parallel import Launch, share_of
from kernels.machine.register_tile import tile_zeros
from kernels.machine.static import number
from kernels.machine.target import inner
from kernels.machine.tile_memory import tile_load, tile_store
from kernels.machine.tile_shape import TileShape
from kernels.problem import Conv2dProblem

__all__ = [
    "fill_bias_blocks",
    "in_channel_blocks",
    "pack_weight_blocks",
    "source_padding",
]


class RowSpec(NamedTuple):
    """What padding is specialised by."""

    dtype: str
    vector: TileShape


@inner
def _zero(spec, dst, at, end, stop):
    """Zeros to ``dst[at:end]``, and whatever to as much behind it as makes whole vectors, but not to ``stop``."""
    LANES = number(spec.vector.lanes)
    if at + (end - at + LANES - 1) // LANES * LANES <= stop:
        for i in range(at, end, LANES):
            tile_store(tile_zeros(spec.vector, dst), dst, i, 0)
    else:
        for i in range(end - at):
            dst[at + i] = 0


@microkernel
def pad_rows(
    spec, src: Elements, dst: Elements, size: int, begin: int, end: int,
    IH: int, IW: int, PH: int, PW: int, HP: int, WP: int,
):  # fmt: skip
    """Rows ``begin`` to ``end`` of all padded planes; ``src`` has ``size`` elements.

    A row is an element of padding, pixels, padding and the next row's: copied and cleared by whole vectors, which
    overrun what they are for; what comes next overwrites that.
    """
    LANES = number(spec.vector.lanes)
    # What follows belongs to another thread, or to nobody.
    stop = end * WP
    whole = (IW + LANES - 1) // LANES * LANES
    plane, hp = begin // HP, begin % HP
    _zero(spec, dst, begin * WP, begin * WP + PW, stop)
    for row in range(begin, end):
        to, ih = row * WP + PW, hp - PH
        filled = 0
        if 0 <= ih < IH:
            at = (plane * IH + ih) * IW
            last = whole if at + whole <= size and to + whole <= stop else IW - IW % LANES
            for iw in range(0, last, LANES):
                tile_store(tile_load(spec.vector, src, at + iw, 0), dst, to + iw, 0)
            for iw in range(last, IW):
                dst[to + iw] = src[at + iw]
            filled = IW
        _zero(spec, dst, to + filled, min(to + WP, stop), stop)
        # Counted rather than divided.
        hp += 1
        if hp == HP:
            plane, hp = plane + 1, 0


@macrokernel(("ROWS", "SIZE", "IH", "IW", "PH", "PW", "HP", "WP", "pad"))
def _pad(z, step, part, parts):
    begin, end = share_of(z.ROWS, part, parts)
    if begin < end:
        call(z.pad, (z.src, z.dst, z.SIZE, begin, end, z.IH, z.IW, z.PH, z.PW, z.HP, z.WP))


def source_padding(p: Conv2dProblem, threads: int) -> Launch:
    """What copies a source with zeros around it: ``padding(src, dst, dst)``, each thread some rows.

    Parameters
    ----------
    p : Conv2dProblem
        ``src`` is (mb, ic, ih, iw), ``dst`` is written as (mb, ic, *p.padded_shape).
    threads : int
    """
    HP, WP = p.padded_shape
    planes = p.mb * p.ic
    spec = RowSpec(p.dtype, TileShape(1, 1, lanes_of(p.dtype)))
    sizes = {"ROWS": planes * HP, "SIZE": planes * p.ih * p.iw, "IH": p.ih, "IW": p.iw, "PH": p.ph, "PW": p.pw}
    return Launch(_pad, _pad.record(**sizes, HP=HP, WP=WP, pad=pad_rows.address(spec)), threads)


def pack_weight_blocks(wei: np.ndarray, groups: int, NR: int) -> np.ndarray:
    """Pack weights to ``[g][oc / NR][ic][kh][kw][NR]``, the last block filled with zeros.

    Parameters
    ----------
    wei : ndarray, shape (oc, ic // g, kh, kw)
    groups : int
    NR : int
        Output channels a block.

    Returns
    -------
    ndarray, one-dimensional
    """
    oc, icg, kh, kw = wei.shape
    ocg = oc // groups
    blocks = -(-ocg // NR)
    filled = np.zeros((groups, blocks * NR, icg, kh, kw), wei.dtype)
    filled[:, :ocg] = wei.reshape(groups, ocg, icg, kh, kw)
    panels = filled.reshape(groups, blocks, NR, icg, kh, kw).transpose(0, 1, 3, 4, 5, 2)
    return np.ascontiguousarray(panels).reshape(-1)


def in_channel_blocks(panels: np.ndarray, KC: int) -> np.ndarray:
    """Weights of KC input channels behind those of the KC before, for each group and block of output channels.

    Parameters
    ----------
    panels : ndarray, shape (g, blocks, a, b, ic, NR)
        With the axes of the kernel in any order.
    KC : int

    Returns
    -------
    ndarray, one-dimensional
        ``[g][block][ic / KC][a][b][KC][NR]``, the last KC of what channels are left.
    """
    G, BLOCKS, _, _, ICG, _ = panels.shape
    cuts = [panels[:, :, :, :, c : c + KC].reshape(G, BLOCKS, -1) for c in range(0, ICG, KC)]
    return np.concatenate(cuts, axis=2).reshape(-1)


def fill_bias_blocks(bia: np.ndarray, blocks: np.ndarray) -> None:
    """Write ``bia`` (oc,) into ``blocks`` (g, channels in whole blocks), zeros behind each group's."""
    groups = blocks.shape[0]
    OCG = bia.size // groups
    blocks[:, :OCG] = bia.reshape(groups, OCG)
    blocks[:, OCG:] = 0
