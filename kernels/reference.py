"""The float64 oracle: slow, plain, and independent of everything that it judges."""

from __future__ import annotations

import numpy as np

from kernels.problem import Conv2dProblem

__all__ = ["conv2d_reference"]


def conv2d_reference(
    problem: Conv2dProblem, src: np.ndarray, wei: np.ndarray, bia: np.ndarray | None = None, dtype: str = "float64"
) -> np.ndarray:
    """Convolve by summing shifted views, one kernel tap at a time.

    Parameters
    ----------
    problem : Conv2dProblem
    src : ndarray, shape (mb, ic, ih, iw)
    wei : ndarray, shape (oc, ic // g, kh, kw)
    bia : ndarray, shape (oc,), optional
    dtype : str
        Precision of products and sums. ``"float64"`` is the oracle; ``"float32"``
        is the error of NumPy's own float32, the yardstick of `verify`.

    Returns
    -------
    ndarray, shape (mb, oc, oh, ow), of ``dtype``
    """
    p = problem
    top, left = p.ph, p.pw
    padded = np.zeros((p.mb, p.ic, *p.padded_shape), dtype)
    padded[:, :, top : top + p.ih, left : left + p.iw] = src
    grouped = padded.reshape(p.mb, p.g, p.ic // p.g, *p.padded_shape)
    taps = wei.astype(dtype).reshape(p.g, p.oc // p.g, p.ic // p.g, p.kh, p.kw)
    dst = np.zeros((p.mb, p.g, p.oc // p.g, p.oh * p.ow), dtype)
    for kh in range(p.kh):
        for kw in range(p.kw):
            row, column = kh * p.dh, kw * p.dw
            view = grouped[
                :, :, :,
                row : row + (p.oh - 1) * p.sh + 1 : p.sh,
                column : column + (p.ow - 1) * p.sw + 1 : p.sw,
            ]  # fmt: skip
            pixels = view.reshape(p.mb, p.g, p.ic // p.g, p.oh * p.ow)
            dst += np.matmul(taps[None, :, :, :, kh, kw], pixels)
    result = dst.reshape(p.output_shape)
    if bia is not None:
        result += bia.astype(dtype).reshape(1, p.oc, 1, 1)
    return result
