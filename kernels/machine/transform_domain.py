"""What Winograd and FFT are made of: weights packed for a transform, scratch, and the run.

The loops, with layout and caches, are in `kernels.machine.transform_kernels`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kernels.machine.packing import fill_bias_blocks
from kernels.machine.static import static
from kernels.machine.transform_blocks import Sizes, points_of
from kernels.machine.transform_kernels import PHASES, share, shares
from kernels.machine.transform_sizes import Side, Transform, sizes_of, spread_extent
from kernels.machine.workspace import carve
from kernels.machine.workspace import workspace_bytes as total_bytes
from kernels.problem import Conv2dProblem
from kernels.registry import Packed

__all__ = ["Side", "Transform", "arguments", "prepare", "run", "weight_bytes", "workspace_bytes"]


def weight_bytes(p: Conv2dProblem, t: Transform) -> int:
    """Bytes of the transformed weights U."""
    z, _ = sizes_of(p, t, 1)
    return z.G * z.F * z.OCB * z.PIECES_H * z.PIECES_W * z.ICP * z.NR * p.itemsize


def _points_in_order(z: Sizes) -> list[int]:
    """Points as the products take them: those of the first sum, then those of the next."""
    order = []
    for f in range(z.SUMS):
        row, rows, column, columns = points_of.py_func(z, f)
        order += [(row + i) * z.C + column + j for i in range(rows) for j in range(columns)]
    return order


def prepare(p: Conv2dProblem, wei: np.ndarray, t: Transform) -> Packed:
    """Transform and pack weights; see the layout of U above.

    Parameters
    ----------
    p : Conv2dProblem
    wei : ndarray, shape (oc, ic // g, kh, kw)
    t : Transform

    Returns
    -------
    Packed
    """
    z, codes = sizes_of(p, t, 1)
    ICG, pieces = p.ic // p.g, z.PIECES_H * z.PIECES_W
    order = _points_in_order(z)
    U = np.zeros((z.G, z.OCB, z.F, pieces, z.ICP, z.W, z.CHANNELS), p.dtype)
    grouped = wei.reshape(z.G, z.OCG, ICG, p.kh, p.kw)
    for block in range(z.OCB):
        taken = grouped[:, block * z.CHANNELS : (block + 1) * z.CHANNELS]
        spread = np.zeros((*taken.shape[:3], z.PIECES_H * z.TAP_H, z.PIECES_W * z.TAP_W), np.float64)
        extent = spread_extent(p, t)
        spread[..., : extent[0] : p.dh // t.down.dilation, : extent[1] : p.dw // t.across.dilation] = taken
        cut = spread.reshape(*taken.shape[:3], z.PIECES_H, z.TAP_H, z.PIECES_W, z.TAP_W).swapaxes(4, 5)
        points = t.weights(cut).reshape(*taken.shape[:3], pieces, z.F)[..., order]
        ordered = points.transpose(0, 4, 3, 2, 1)  # g, f, piece, ic, oc
        U[:, block, :, :, :ICG, 0, : taken.shape[1]] = ordered.real
        if z.W == 2:
            U[:, block, :, :, :ICG, 1, : taken.shape[1]] = ordered.imag
    return (
        static(codes),
        U.reshape(-1),
        np.ones(1, p.dtype),
        np.zeros(z.NR, p.dtype),
        t,
    )


def _scratch_shapes(p: Conv2dProblem, t: Transform, threads: int) -> dict[str, tuple[int, ...]]:
    z, _ = sizes_of(p, t, threads)
    local = z.PIXELS + z.ONE + z.MH * z.WR * z.LANES
    return {
        "bias": (z.G, z.OCB * z.CHANNELS),
        "local": (threads, local),
        "V": (threads if z.OWN else 1, z.F * z.VSTEP),
        "M": (threads if z.OWN else z.OCB, z.F * z.MSTEP),
    }


def workspace_bytes(p: Conv2dProblem, threads: int, t: Transform) -> int:
    """Bytes of scratch that `run` needs."""
    return total_bytes(_scratch_shapes(p, t, threads), p.dtype)


def arguments(
    p: Conv2dProblem, packed: Packed, src: np.ndarray, dst: np.ndarray, workspace: np.ndarray, threads: int
) -> tuple[Any, ...]:
    """What kernels are called with, but for the share of a thread; the bias is what scratch holds."""
    codes, U, ones, zeros, t = packed
    z, _ = sizes_of(p, t, threads)
    arrays = carve(workspace, _scratch_shapes(p, t, threads), p.dtype)
    shared = (src.reshape(-1), U, arrays["bias"].reshape(-1), ones, zeros, dst.reshape(-1))
    return codes, z, *shared, arrays["local"], arrays["V"], arrays["M"]


def run(
    p: Conv2dProblem,
    packed: Packed,
    src: np.ndarray,
    bia: np.ndarray,
    dst: np.ndarray,
    workspace: np.ndarray,
    threads: int,
) -> None:
    """Convolve; the arguments are those of `Algorithm.run`."""
    codes, z, *arrays = arguments(p, packed, src, dst, workspace, threads)
    fill_bias_blocks(bia, arrays[2].reshape(z.G, -1))
    if threads == 1:
        share(codes, z, 0, 0, 1, *arrays)
    else:
        steps = 1 if z.OWN else z.ITEMS * PHASES
        shares(codes, z, steps, threads, *arrays)
