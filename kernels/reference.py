"""The oracle: slow, plain, and independent of everything that it judges.

In float64 it judges results in float32. Results in float64 err as much as it does: they are judged by sums that are
exact to some 2**-64 of the largest product, on any machine, whatever its ``longdouble`` is. Numbers are cut into parts
of so few bits that sums of products of parts are exact in float64, in any order.

Source: Ozaki et al., "Error-free transformations of matrix multiplication by using fast routines of matrix
multiplication and its applications" (2012); Knuth's sum of two numbers and what it is rounded by.
"""

from __future__ import annotations

import math

import numpy as np

from kernels.problem import Conv2dProblem

__all__ = ["conv2d_exact", "conv2d_reference", "error_unit", "products_of"]

#: Bits of a float64, and bits below the largest number that parts hold together.
_BITS, _HELD = 53, 66
#: Roundings that a sum of n products errs by, in square roots of n.
_WALK = 0.3


def conv2d_reference(
    problem: Conv2dProblem,
    first: np.ndarray,
    second: np.ndarray,
    bia: np.ndarray | None = None,
    dtype: str = "float64",
) -> np.ndarray:
    """Compute a problem by products of shifted views, one kernel tap at a time.

    Parameters
    ----------
    problem : Conv2dProblem
        Of any direction.
    first, second : ndarray, shapes ``problem.operand_shapes``
        Forward: input and weights. Backward data: gradient of the output and weights. Backward weights: input and
        gradient of the output.
    bia : ndarray, shape ``problem.bias_shape``, optional
        What is added; backward weights, nothing is.
    dtype : str
        Precision of products and sums. ``"float64"`` is the oracle; ``"float32"``
        is the error of NumPy's own float32, the yardstick of `verify`.

    Returns
    -------
    ndarray, shape ``problem.result_shape``, of ``dtype``
    """
    if problem.direction == "bwd_w":
        return _weight_gradient(problem, first, second, dtype)
    compute = _forward if problem.direction == "fwd" else _input_gradient
    result = compute(problem, first, second, dtype)
    if bia is not None:
        result += bia.astype(dtype).reshape(1, -1, 1, 1)
    return result


def _forward(p: Conv2dProblem, src: np.ndarray, wei: np.ndarray, dtype: str) -> np.ndarray:
    padded = _padded(p, dtype)
    _inside(p, padded)[...] = src
    taps = wei.astype(dtype).reshape(p.g, p.oc // p.g, p.ic // p.g, p.kh, p.kw)
    rows = p.mb, p.g, p.ic // p.g, p.oh * p.ow
    dst = np.zeros((p.mb, p.g, p.oc // p.g, p.oh * p.ow), dtype)
    for kh, kw in np.ndindex(p.kh, p.kw):
        dst += np.matmul(taps[None, :, :, :, kh, kw], _pixels(p, padded, kh, kw).reshape(rows))
    return dst.reshape(p.output_shape)


def _input_gradient(p: Conv2dProblem, grad: np.ndarray, wei: np.ndarray, dtype: str) -> np.ndarray:
    padded = _padded(p, dtype)
    taps = wei.astype(dtype).reshape(p.g, p.oc // p.g, p.ic // p.g, p.kh, p.kw).transpose(0, 2, 1, 3, 4)
    outputs = grad.astype(dtype).reshape(p.mb, p.g, p.oc // p.g, p.oh * p.ow)
    for kh, kw in np.ndindex(p.kh, p.kw):
        view = _pixels(p, padded, kh, kw)
        view += np.matmul(taps[None, :, :, :, kh, kw], outputs).reshape(view.shape)
    return np.ascontiguousarray(_inside(p, padded))


def _weight_gradient(p: Conv2dProblem, src: np.ndarray, grad: np.ndarray, dtype: str) -> np.ndarray:
    padded = _padded(p, dtype)
    _inside(p, padded)[...] = src
    outputs = grad.astype(dtype).reshape(p.mb, p.g, p.oc // p.g, p.oh * p.ow)
    wei = np.zeros((p.g, p.oc // p.g, p.ic // p.g, p.kh, p.kw), dtype)
    for kh, kw in np.ndindex(p.kh, p.kw):
        pixels = _pixels(p, padded, kh, kw).reshape(p.mb, p.g, p.ic // p.g, p.oh * p.ow)
        wei[..., kh, kw] = np.matmul(outputs, pixels.transpose(0, 1, 3, 2)).sum(axis=0)
    if not p.bias:
        return wei.reshape(p.weight_shape)
    return np.concatenate([wei.ravel(), outputs.sum(axis=(0, 3)).ravel()])


def _padded(p: Conv2dProblem, dtype: str) -> np.ndarray:
    return np.zeros((p.mb, p.ic, *p.padded_shape), dtype)


def _inside(p: Conv2dProblem, padded: np.ndarray) -> np.ndarray:
    """What of a padded array is no padding."""
    return padded[:, :, p.ph : p.ph + p.ih, p.pw : p.pw + p.iw]


def _pixels(p: Conv2dProblem, padded: np.ndarray, kh: int, kw: int) -> np.ndarray:
    """What all outputs meet by one tap, shape (mb, g, ic // g, oh, ow); a view."""
    row, column = kh * p.dh, kw * p.dw
    grouped = padded.reshape(p.mb, p.g, p.ic // p.g, *p.padded_shape)
    return grouped[
        ..., row : row + (p.oh - 1) * p.sh + 1 : p.sh, column : column + (p.ow - 1) * p.sw + 1 : p.sw
    ]  # fmt: skip


def conv2d_exact(
    problem: Conv2dProblem, first: np.ndarray, second: np.ndarray, bia: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Compute a problem in more than float64.

    Parameters
    ----------
    problem, first, second, bia
        As for `conv2d_reference`; values are finite.

    Returns
    -------
    high, low : ndarray of float64, shape ``problem.result_shape``
        The result is their sum: ``high`` is the nearest float64, ``low`` what it lacks.
    """
    products = products_of(problem)
    # So that a sum of products of two parts has no more bits than a float64.
    bits = (_BITS - int(np.ceil(np.log2(products + 1)))) // 2
    count = -(-_HELD // bits)
    firsts, seconds = _parts(first, bits, count), _parts(second, bits, count)
    # The gradient of a bias is no sum of products: its own sums follow.
    plain = problem.replace(bias=False)
    high = np.zeros(plain.result_shape)
    low = np.zeros(plain.result_shape)
    # Products that are smaller than all that is held are left out; the smallest come first.
    for total in range(count - 1, -1, -1):
        for i in range(total + 1):
            high, rest = _sum(high, conv2d_reference(plain, firsts[i], seconds[total - i]))
            low += rest
    if bia is not None:
        high, rest = _sum(high, bia.astype(np.float64).reshape(1, -1, 1, 1))
        low += rest
    high, low = _sum(high, low)
    if problem.direction == "bwd_w" and problem.bias:
        sums = np.array([math.fsum(each.ravel()) for each in second.transpose(1, 0, 2, 3)])
        high, low = np.concatenate([high.ravel(), sums]), np.concatenate([low.ravel(), np.zeros(problem.oc)])
    return high, low


def error_unit(problem: Conv2dProblem) -> float:
    """Relative L2 error that rounding comes to if each output is summed one product at a time, on normal values.

    Roundings add up as a random walk: the error of a sum of n products grows as the square root of n. Measured are
    0.41 roundings times that root at most (a sum in order, n from 1 to 20,000), and 0.3 on average; it is at least one.
    Promises of algorithms are multiples of this, relative to what a result of independent values is expected to be
    without padding: of few outputs all may be small by chance, and errors are not smaller for that.
    """
    rounding = float(np.finfo(problem.dtype).eps) / 2
    return rounding * max(1.0, _WALK * math.sqrt(products_of(problem)))


def products_of(problem: Conv2dProblem) -> int:
    """Products that an element of the result sums at most."""
    p = problem
    if p.direction == "bwd_w":
        return max(1, p.mb * p.oh * p.ow)
    if p.direction == "bwd_d":
        # Of the taps, those that meet outputs: every s / gcd(s, d)-th.
        taps = [-(-k * math.gcd(s, d) // s) for k, s, d in ((p.kh, p.sh, p.dh), (p.kw, p.sw, p.dw))]
        return p.oc // p.g * taps[0] * taps[1]
    return p.ic // p.g * p.kh * p.kw


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
