"""Copies that bring arrays into the form that the loops read."""

from __future__ import annotations

import functools

import numpy as np
from numba import prange

from kernels.machine.cpu import lanes_of
from kernels.machine.jit import inner, kernel, parallel_kernel
from kernels.machine.static import Static, static
from kernels.machine.tile_memory import tile_load, tile_load_strided, tile_store
from kernels.machine.tile_shape import TileShape
from kernels.problem import Conv2dProblem

__all__ = [
    "fill_bias",
    "fill_bias_blocks",
    "pack_columns",
    "pack_weight_blocks",
    "pad_plane",
    "pad_source",
]


@inner
def _zero(dst, begin, end):
    for i in range(end - begin):
        dst[begin + i] = 0


@inner
def pad_plane(vector, src, plane, dst, start, IH, IW, PH, PW, HP, WP, LANES):
    """Copy plane number ``plane`` of ``src`` to ``dst[start:]``, HP x WP elements with zeros around."""
    _zero(dst, start, start + PH * WP)
    for ih in range(IH):
        row = start + (PH + ih) * WP
        at = (plane * IH + ih) * IW
        _zero(dst, row, row + PW)
        # Whole vectors: what the last one writes past the row is overwritten by what follows,
        # as long as it stays within the plane, which is all that this thread owns.
        inside = at + IW + LANES <= src.size and row + PW + IW + LANES <= start + HP * WP
        whole = IW if inside else IW - IW % LANES
        for iw in range(0, whole, LANES):
            tile_store(tile_load(vector, src, at + iw, 0), dst, row + PW + iw, 0)
        for iw in range(whole, IW):
            dst[row + PW + iw] = src[at + iw]
        _zero(dst, row + PW + IW, row + WP)
    _zero(dst, start + (PH + IH) * WP, start + HP * WP)


@kernel
def _pad_serial(vector, src, dst, PLANES, IH, IW, PH, PW, HP, WP, LANES):
    for plane in range(PLANES):
        pad_plane(vector, src, plane, dst, plane * HP * WP, IH, IW, PH, PW, HP, WP, LANES)


@parallel_kernel
def _pad_parallel(vector, src, dst, PLANES, IH, IW, PH, PW, HP, WP, LANES):
    for part in prange(PLANES):
        plane = np.intp(part)
        pad_plane(vector, src, plane, dst, plane * HP * WP, IH, IW, PH, PW, HP, WP, LANES)


@functools.cache
def _vector(lanes: int) -> Static:
    return static(TileShape(1, 1, lanes))


def pad_source(p: Conv2dProblem, src: np.ndarray, dst: np.ndarray, threads: int) -> None:
    """Copy the source with zeros around it.

    Parameters
    ----------
    p : Conv2dProblem
    src : ndarray, shape (mb, ic, ih, iw)
    dst : ndarray, one-dimensional
        Written as (mb, ic, *p.padded_shape).
    threads : int
    """
    lanes = lanes_of(p.dtype)
    sizes = (p.mb * p.ic, p.ih, p.iw, p.ph, p.pw, *p.padded_shape, lanes)
    (_pad_serial if threads == 1 else _pad_parallel)(_vector(lanes), src.reshape(-1), dst, *sizes)


@inner
def pack_columns(codes, z, src, plane, C, first, count, columns):
    """Columns ``[kh][kw][C][NR + LANES]`` of pixels ``first`` to ``first + count``, of C planes from ``plane`` on.

    A run of pixels of one output row at a time, a vector of it at a time, and its place in
    all planes in one loop: what of the vector lies on padding is the same for all. A vector
    that ends past its run is overwritten by the next run, or ends between rows.
    """
    WIDE = z.NR + z.LANES
    done = 0
    while done < count:
        oh, ow = (first + done) // z.OW, (first + done) % z.OW
        run = min(count - done, z.OW - ow)
        for kh in range(z.KH):
            ih = oh * z.SH + kh * z.DH - z.PH
            for kw in range(z.KW):
                for v in range(0, run, z.LANES):
                    iw = (ow + v) * z.SW + kw * z.DW - z.PW
                    begin = max(0, -(iw // z.SW))
                    end = min(z.LANES, run - v, (z.IW - 1 - iw) // z.SW + 1)
                    if ih < 0 or ih >= z.IH:
                        end = 0
                    at = (plane * z.IH + ih) * z.IW + iw
                    out = (kh * z.KW + kw) * C * WIDE + done + v
                    for _ in range(C):
                        pixels = tile_load_strided(codes.vector, codes.step, src, at, begin, end)
                        tile_store(pixels, columns, out, 0)
                        at += z.IH * z.IW
                        out += WIDE
        done += run


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


@inner
def fill_bias(bia, blocks, G, OCG, WIDTH):
    """As `fill_bias_blocks`, from compiled code: WIDTH elements a group."""
    for g in range(G):
        for i in range(WIDTH):
            blocks[g * WIDTH + i] = bia[g * OCG + i] if i < OCG else 0


def fill_bias_blocks(bia: np.ndarray, blocks: np.ndarray) -> None:
    """Write ``bia`` (oc,) into ``blocks`` (g, channels in whole blocks), zeros behind each group's."""
    groups = blocks.shape[0]
    OCG = bia.size // groups
    blocks[:, :OCG] = bia.reshape(groups, OCG)
    blocks[:, OCG:] = 0
