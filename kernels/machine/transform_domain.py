"""What Winograd and FFT are made of: weights packed for a transform, scratch, and the run.

The loops, with layout and caches, are in `kernels.machine.transform_kernels`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kernels.machine.launch import Launch
from kernels.machine.packing import fill_bias_blocks
from kernels.machine.static import static
from kernels.machine.transform_blocks import Sizes, points_of
from kernels.machine.transform_kernels import share, shares
from kernels.machine.transform_sizes import Side, Transform, sizes_of, spread_extent
from kernels.problem import Conv2dProblem
from kernels.registry import Packed, Scratch, Setup

__all__ = ["Side", "Transform", "TransformRun", "prepare", "scratch", "weight_bytes"]


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
    z, _ = sizes_of(p, t, 1)
    ICG, pieces = p.ic // p.g, z.PIECES_H * z.PIECES_W
    order, extent = _points_in_order(z), spread_extent(p, t)
    U = np.zeros((z.G, z.OCB, z.F, pieces, z.ICP, z.W, z.CHANNELS), p.dtype)
    grouped = wei.reshape(z.G, z.OCG, ICG, p.kh, p.kw)
    for block in range(z.OCB):
        taken = grouped[:, block * z.CHANNELS : (block + 1) * z.CHANNELS]
        spread = np.zeros((*taken.shape[:3], z.PIECES_H * z.TAP_H, z.PIECES_W * z.TAP_W), np.float64)
        spread[..., : extent[0] : p.dh // t.down.dilation, : extent[1] : p.dw // t.across.dilation] = taken
        cut = spread.reshape(*taken.shape[:3], z.PIECES_H, z.TAP_H, z.PIECES_W, z.TAP_W).swapaxes(4, 5)
        points = t.weights(cut).reshape(*taken.shape[:3], pieces, z.F)[..., order]
        ordered = points.transpose(0, 4, 3, 2, 1)  # g, f, piece, ic, oc
        U[:, block, :, :, :ICG, 0, : taken.shape[1]] = ordered.real
        if z.W == 2:
            U[:, block, :, :, :ICG, 1, : taken.shape[1]] = ordered.imag
    return (U.reshape(-1),)


def scratch(p: Conv2dProblem, threads: int, t: Transform) -> Scratch:
    """What a run writes to beside its result."""
    z, _ = sizes_of(p, t, threads)
    return {
        "bias": (z.G, z.OCB * z.CHANNELS),
        "local": (threads, z.PIXELS + z.ONE + z.MH * z.WR * z.LANES),
        "V": (threads if z.PHASES == 1 else 1, z.F * z.VSTEP),
        "M": (z.OCB if z.PHASES == 3 else threads, z.SUMS * z.MSTEP),
    }


class TransformRun:
    """A convolution by transform, bound: see `Algorithm.bind`."""

    def __init__(self, setup: Setup, t: Transform) -> None:
        p, threads = setup.problem, setup.threads
        self.sizes, codes = sizes_of(p, t, threads)
        self.codes = static(codes._replace(epilogue=setup.epilogue))
        self._bia, (self._U,) = setup.bia, setup.packed
        self._bias = setup.scratch["bias"]
        self._ones, self._zeros = np.ones(1, p.dtype), np.zeros(self.sizes.NR, p.dtype)
        self._scratch = tuple(setup.scratch[name] for name in ("local", "V", "M"))
        steps = 1 if self.sizes.PHASES == 1 else self.sizes.ITEMS * self.sizes.PHASES
        self._launch = Launch(share if threads == 1 else shares)
        self._part: tuple[int, ...] = (0, 0, 1) if threads == 1 else (steps, threads)

    def arguments(self, src: np.ndarray, dst: np.ndarray, residual: np.ndarray) -> tuple[Any, ...]:
        """What kernels are called with behind codes and sizes and what a thread's part is."""
        fill_bias_blocks(self._bia, self._bias)
        weights = (self._U, self._bias.reshape(-1), self._ones, self._zeros)
        return src.reshape(-1), *weights, dst.reshape(-1), residual.reshape(-1), *self._scratch

    def __call__(self, src: np.ndarray, dst: np.ndarray, residual: np.ndarray) -> None:
        self._launch(self.codes, self.sizes, *self._part, *self.arguments(src, dst, residual))
