"""Copies that bring arrays into the form that the loops read."""

from __future__ import annotations

import numpy as np
from numba import prange

from kernels.machine.jit import kernel, parallel_kernel

__all__ = ["pack_weight_blocks", "pad_planes", "pad_planes_parallel"]


@kernel
def _pad_plane(src, dst, plane, IH, IW, PH, PW, HP, WP):  # type: ignore[no-untyped-def]
    start = plane * HP * WP
    dst[start : start + PH * WP] = 0
    for ih in range(IH):
        row = start + (PH + ih) * WP
        dst[row : row + PW] = 0
        at = (plane * IH + ih) * IW
        dst[row + PW : row + PW + IW] = src[at : at + IW]
        dst[row + PW + IW : row + WP] = 0
    dst[start + (PH + IH) * WP : start + HP * WP] = 0


@kernel
def pad_planes(src, dst, PLANES, IH, IW, PH, PW, HP, WP):  # type: ignore[no-untyped-def]
    """Copy flat planes of IH x IW into flat planes of HP x WP, zeros around."""
    for plane in range(PLANES):
        _pad_plane(src, dst, plane, IH, IW, PH, PW, HP, WP)


@parallel_kernel
def pad_planes_parallel(src, dst, PLANES, IH, IW, PH, PW, HP, WP):  # type: ignore[no-untyped-def]
    """`pad_planes` on all threads."""
    for plane in prange(PLANES):
        _pad_plane(src, dst, plane, IH, IW, PH, PW, HP, WP)


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
