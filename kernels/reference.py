"""The oracle: slow, plain, and independent of everything that it judges.

In float64 it judges results in float32. Results in float64 err as much as it does: they are judged by sums that are
exact to some 2**-64 of the largest product, on any machine, whatever its ``longdouble`` is. Numbers are cut into parts
of so few bits that sums of products of parts are exact in float64, in any order.

Source: Ozaki et al., "Error-free transformations of matrix multiplication by using fast routines of matrix
multiplication and its applications" (2012); Knuth's sum of two numbers and what it is rounded by.
"""

from __future__ import annotations

import numpy as np

from kernels.problem import Conv2dProblem

__all__ = ["conv2d_exact", "conv2d_reference", "error_unit"]

#: Bits of a float64, and bits below the largest number that parts hold together.
_BITS, _HELD = 53, 66
#: Roundings that a sum of n products errs by, in square roots of n.
_WALK = 0.3


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


def conv2d_exact(
    problem: Conv2dProblem, src: np.ndarray, wei: np.ndarray, bia: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Convolve in more than float64.

    Parameters
    ----------
    problem, src, wei, bia
        As for `conv2d_reference`; values are finite.

    Returns
    -------
    high, low : ndarray of float64, shape (mb, oc, oh, ow)
        The result is their sum: ``high`` is the nearest float64, ``low`` what it lacks.
    """
    products = _products(problem)
    # So that a sum of products of two parts has no more bits than a float64.
    bits = (_BITS - int(np.ceil(np.log2(products + 1)))) // 2
    count = -(-_HELD // bits)
    sources, weights = _parts(src, bits, count), _parts(wei, bits, count)
    high = np.zeros(problem.output_shape)
    low = np.zeros(problem.output_shape)
    # Products that are smaller than all that is held are left out; the smallest come first.
    for total in range(count - 1, -1, -1):
        for i in range(total + 1):
            high, rest = _sum(high, conv2d_reference(problem, sources[i], weights[total - i]))
            low += rest
    if bia is not None:
        high, rest = _sum(high, bia.astype(np.float64).reshape(1, -1, 1, 1))
        low += rest
    return _sum(high, low)


def error_unit(problem: Conv2dProblem) -> float:
    """Relative L2 error that rounding comes to if each output is summed one product at a time, on normal values.

    Roundings add up as a random walk: the error of a sum of n products grows as the square root of n. Measured are
    0.41 roundings times that root at most (a sum in order, n from 1 to 20,000), and 0.3 on average; it is at least one.
    Promises of algorithms are multiples of this, relative to what a result of independent values is expected to be
    without padding: of few outputs all may be small by chance, and errors are not smaller for that.
    """
    rounding = float(np.finfo(problem.dtype).eps) / 2
    return rounding * max(1.0, _WALK * _products(problem) ** 0.5)


def _products(problem: Conv2dProblem) -> int:
    """Products that an output sums."""
    return problem.ic // problem.g * problem.kh * problem.kw


def _parts(values: np.ndarray, bits: int, count: int) -> list[np.ndarray]:
    """Arrays whose sum is ``values``, but for what is below all parts; each a multiple of few bits' last one."""
    rest = values.astype(np.float64)
    _, exponent = np.frexp(np.abs(rest).max(initial=0.0))
    parts = []
    for i in range(count):
        unit = np.ldexp(1.0, int(exponent) - bits * (i + 1))
        parts.append(np.rint(rest / unit) * unit)
        rest -= parts[-1]
    return parts


def _sum(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rounded sum, and what it lacks of the exact one."""
    total = a + b
    of_b = total - a
    return total, (a - (total - of_b)) + (b - of_b)
