"""Copies that bring arrays into the form that the loops read."""

from __future__ import annotations

import numpy as np
from numba import prange

from kernels.machine.jit import kernel, parallel_kernel

__all__ = ["pack_weight_blocks", "pad_planes", "pad_planes_parallel"]


@kernel
def _pad_plane(src, dst, plane, CHANNELS, FILLED, IH, IW, PH, PW, HP, WP):
    """One plane of ``dst``; the source may reach past it, and is then cut."""
    start = plane * HP * WP
    channel = plane % FILLED
    if channel >= CHANNELS:
        dst[start : start + HP * WP] = 0
        return
    rows, columns = min(IH, HP - PH), min(IW, WP - PW)
    dst[start : start + PH * WP] = 0
    for ih in range(rows):
        row = start + (PH + ih) * WP
        at = ((plane // FILLED * CHANNELS + channel) * IH + ih) * IW
        dst[row : row + PW] = 0
        dst[row + PW : row + PW + columns] = src[at : at + columns]
        dst[row + PW + columns : row + WP] = 0
    dst[start + (PH + rows) * WP : start + HP * WP] = 0


@kernel
def pad_planes(src, dst, GROUPS, CHANNELS, FILLED, IH, IW, PH, PW, HP, WP):
    """Copy flat [GROUPS][CHANNELS][IH][IW] into flat [GROUPS][FILLED][HP][WP], zeros around."""
    for plane in range(GROUPS * FILLED):
        _pad_plane(src, dst, plane, CHANNELS, FILLED, IH, IW, PH, PW, HP, WP)


@parallel_kernel
def pad_planes_parallel(src, dst, GROUPS, CHANNELS, FILLED, IH, IW, PH, PW, HP, WP):
    """`pad_planes` on all threads."""
    for plane in prange(GROUPS * FILLED):
        _pad_plane(src, dst, plane, CHANNELS, FILLED, IH, IW, PH, PW, HP, WP)


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
