"""Backward data at a stride as one dense convolution, whose channels are the remainders of rows and columns.

Rows of the input with the same remainder by the stride meet the same taps of the gradient of the output, and so do
columns. Taken as channels, sh x sw of them per input channel, they are what one convolution at stride 1 computes: its
kernel is the window of the gradient that any of them meets, with zeros where one meets less. Its results are stored in
turn along rows (depth to space): row ``sh * t + a`` is row t of remainder a.

Source: Shi et al., "Is the deconvolution layer the same as a convolutional layer?" (2016).
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from kernels.problem import Conv2dProblem

__all__ = ["SubpixelAxis", "dense_weights", "reason_against", "subpixel"]


class SubpixelAxis(NamedTuple):
    """Rows, or columns, of a gradient of the input.

    Attributes
    ----------
    extent : int
        Rows of the dense result.
    before, after : int
        Zeros around the gradient of the output, which a window reads; less than 0 for rows that none reads.
    taps : tuple of tuple of int
        Of each remainder, and each place in the window, which tap of the forward kernel it is; -1 for none.
    """

    extent: int
    before: int
    after: int
    taps: tuple[tuple[int, ...], ...]

    @property
    def window(self) -> int:
        """Rows of the gradient that any remainder meets."""
        return len(self.taps[0])

    @property
    def used(self) -> tuple[tuple[int, int], ...]:
        """Of each remainder, the first place in the window that has a tap, and the end of those, all neighbours."""
        found = []
        for taps in self.taps:
            places = [i for i, tap in enumerate(taps) if tap >= 0]
            found.append((places[0], places[-1] + 1) if places else (0, 0))
        return tuple(found)


def _axis(extent: int, out: int, kernel: int, stride: int, before: int) -> SubpixelAxis:
    """Row ``stride * t + a`` meets row ``t + d`` of the gradient by tap ``a + before - stride * d``."""
    last, first = (stride - 1 + before) // stride, -((kernel - 1 - before) // stride)
    steps, rows = range(first, last + 1), -(-extent // stride)
    numbers = [[a + before - stride * d for d in steps] for a in range(stride)]
    taps = tuple(tuple(tap if 0 <= tap < kernel else -1 for tap in each) for each in numbers)
    return SubpixelAxis(rows, -first, rows + last - out, taps)


@functools.lru_cache(maxsize=256)
def subpixel(p: Conv2dProblem) -> tuple[Conv2dProblem, SubpixelAxis, SubpixelAxis]:
    """The dense convolution, and its rows and columns; asked of problems that nothing is against.

    Parameters
    ----------
    p : Conv2dProblem
        Backward data.
    """
    down, across = _axes(p)
    return Conv2dProblem(
        mb=p.mb, ic=p.oc, ih=p.oh, iw=p.ow, oc=p.ic * p.sh * p.sw, g=p.g, kh=down.window, kw=across.window,
        ph=down.before, pb=down.after, pw=across.before, pr=across.after, bias=p.bias, dtype=p.dtype,
    ), down, across  # fmt: skip


def _axes(p: Conv2dProblem) -> tuple[SubpixelAxis, SubpixelAxis]:
    return _axis(p.ih, p.oh, p.kh, p.sh, p.ph), _axis(p.iw, p.ow, p.kw, p.sw, p.pw)


def reason_against(p: Conv2dProblem, most: int) -> str | None:
    """Why backward data is not computed so, if strides may make ``most`` remainders."""
    if p.sh * p.sw == 1:
        return "the stride is 1, expected more"
    if p.sh * p.sw > most:
        return f"strides make {p.sh * p.sw} remainders, expected at most {most}"
    if max(p.dh, p.dw) > 1:
        return f"the dilation is {p.dh} x {p.dw}, expected 1"
    if any(min(each.before, each.after) < 0 for each in _axes(p)):
        return "some of the gradient counts nowhere, expected all of it to"
    return None


def dense_weights(p: Conv2dProblem, wei: np.ndarray) -> np.ndarray:
    """Weights of the dense convolution: of each group's input channels, all remainders by rows and by columns."""
    q, down, across = subpixel(p)
    ICG, OCG = p.ic // p.g, p.oc // p.g
    found = np.zeros((p.g, ICG, p.sh, p.sw, OCG, q.kh, q.kw), p.dtype)
    given = wei.reshape(p.g, OCG, ICG, p.kh, p.kw).transpose(0, 2, 1, 3, 4)
    for a, m, b, n in np.ndindex(p.sh, q.kh, p.sw, q.kw):
        kh, kw = down.taps[a][m], across.taps[b][n]
        if min(kh, kw) >= 0:
            found[:, :, a, b, :, m, n] = given[..., kh, kw]
    return found.reshape(q.weight_shape)
