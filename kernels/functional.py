"""`conv2d`: torch's arguments -> problem -> plan -> array."""

from __future__ import annotations

import numpy as np

from kernels.plan import plan
from kernels.problem import Conv2dProblem, ProblemError

__all__ = ["conv2d"]

Pair = int | tuple[int, int]


def conv2d(
    input: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    stride: Pair = 1,
    padding: Pair | str = 0,
    dilation: Pair = 1,
    groups: int = 1,
    *,
    algorithm: str = "auto",
    threads: int | None = None,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Two-dimensional convolution with the arguments of ``torch.nn.functional.conv2d``.

    Parameters
    ----------
    input : ndarray, shape (N, C_in, H, W) or (C_in, H, W)
        float32 or float64.
    weight : ndarray, shape (C_out, C_in // groups, kH, kW)
        Of the same dtype.
    bias : ndarray, shape (C_out,), optional
    stride, dilation : int or pair of int
    padding : int, pair of int, "valid" or "same"
        Zeros on every side; ``"same"`` keeps height and width and needs stride 1.
    groups : int
    algorithm : str
        A name from `algorithms`, or ``"auto"``.
    threads : int, optional
    out : ndarray, optional
        Written and returned.

    Returns
    -------
    ndarray, shape (N, C_out, oH, oW) or (C_out, oH, oW)

    Raises
    ------
    ValueError
        Shapes, dtypes or arguments do not fit each other.
    """
    src, wei = np.asarray(input), np.asarray(weight)
    if src.ndim not in (3, 4):
        raise ProblemError(f"input has {src.ndim} dimensions, expected 4 (N, C, H, W) or 3 (C, H, W)")
    if wei.ndim != 4:
        raise ProblemError(f"weight has {wei.ndim} dimensions, expected 4 (C_out, C_in / groups, kH, kW)")
    batched = src if src.ndim == 4 else src[None]
    mb, ic, ih, iw = batched.shape
    oc, icg, kh, kw = wei.shape
    if icg * groups != ic:
        raise ProblemError(
            f"given groups={groups} and weight of shape {wei.shape}, input has {ic} channels, expected {icg * groups}"
        )
    sh, sw = _pair("stride", stride)
    dh, dw = _pair("dilation", dilation)
    ph, pw, pb, pr = _padding(padding, (kh, kw), (dh, dw), (sh, sw))
    problem = Conv2dProblem(
        mb=mb, ic=ic, ih=ih, iw=iw, oc=oc, kh=kh, kw=kw, g=groups, sh=sh, sw=sw,
        ph=ph, pw=pw, pb=pb, pr=pr, dh=dh, dw=dw, bias=bias is not None, dtype=str(src.dtype),
    )  # fmt: skip
    into = out[None] if out is not None and src.ndim == 3 else out
    result = plan(problem, wei, bias, algorithm=algorithm, threads=threads)(batched, into)
    if out is not None:
        return out
    return result if src.ndim == 4 else result[0]


def _pair(name: str, value: Pair) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    if len(value) != 2:
        raise ProblemError(f"{name} is {value!r}, expected an int or a pair of ints")
    return int(value[0]), int(value[1])


def _padding(
    padding: Pair | str, kernel: tuple[int, int], dilation: tuple[int, int], stride: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Top, left, bottom, right."""
    if padding == "valid":
        return 0, 0, 0, 0
    if padding == "same":
        if stride != (1, 1):
            raise ProblemError(f"padding is 'same' with stride {stride}, expected stride 1")
        rows, columns = dilation[0] * (kernel[0] - 1), dilation[1] * (kernel[1] - 1)
        # torch puts the odd zero below and to the right.
        return rows // 2, columns // 2, rows - rows // 2, columns - columns // 2
    if isinstance(padding, str):
        raise ProblemError(f"padding is {padding!r}, expected an int, a pair, 'valid' or 'same'")
    ph, pw = _pair("padding", padding)
    return ph, pw, ph, pw
