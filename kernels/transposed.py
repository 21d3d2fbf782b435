"""`conv_transpose2d`: torch's arguments -> backward data of a convolution -> array.

What torch calls a transposed convolution is the gradient of the input of a convolution with the same weights: its
input is the gradient of that one's output. Rows and columns beyond the last window (``output_padding``) get the bias
alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kernels.arguments import Asked, Ints, as_array, read_asked, read_ints
from kernels.border import check_not_negative, check_rank
from kernels.errors import ShapeError
from kernels.geometry import Described, check_dimensions, check_dtypes, check_groups, no_kernel, other_rank, per_axis
from kernels.one_call import compute_once, shape_of
from kernels.problem import Conv2dProblem

__all__ = ["Transposed", "conv_transpose2d"]


@dataclass(frozen=True)
class Extended:
    """Rows and columns of zeros behind maps of one shape: ``extended(src)`` is a copy with them.

    Attributes
    ----------
    shape : tuple of int
        Of the copy.
    """

    shape: tuple[int, ...]

    def __call__(self, src: np.ndarray) -> np.ndarray:
        """The copy."""
        found = np.zeros(self.shape, src.dtype)
        found[..., : src.shape[-2], : src.shape[-1]] = src
        return found


@dataclass(frozen=True)
class Transposed:
    """How arrays and arguments of a transposed convolution are read.

    Attributes
    ----------
    output_padding : tuple of int
        As it was read.
    """

    output_padding: tuple[int, ...]

    def __call__(self, src: np.ndarray, wei: np.ndarray, bia: np.ndarray | None, asked: Asked) -> Described:
        """The problem that they make, or the shape of a result that has no elements.

        Raises
        ------
        ShapeError, DtypeError
            The first thing that torch would find, in its words.
        """
        check_rank(src.shape, "conv_transpose2d")
        assert not isinstance(asked.padding, str)
        shape, groups = (src.shape if src.ndim == 4 else (1, *src.shape)), asked.groups
        check_dimensions(wei.shape, groups)
        rank = wei.ndim - 2
        stride, padding, dilation, more = (
            per_axis(name, value, rank)
            for name, value in (
                ("stride", asked.stride), ("padding", asked.padding), ("dilation", asked.dilation),
                ("output_padding", self.output_padding),
            )
        )  # fmt: skip
        check_not_negative(padding)
        if min(more) < 0:
            raise ShapeError("negative output_padding is not supported")
        if min(stride) <= 0:
            raise ShapeError("non-positive stride is not supported")
        if min(dilation) < 0:
            raise ShapeError("dilation should be greater than zero")
        if wei.ndim != len(shape):
            raise other_rank(shape, wei.shape, " ")
        check_groups(wei.shape, groups)
        ic, ocg, kh, kw = wei.shape
        said = f"Given transposed=1, weight of size {list(wei.shape)}, expected"
        if shape[1] != ic:
            raise ShapeError(f"{said} input{list(shape)} to have {ic} channels, but got {shape[1]} channels instead")
        if bia is not None and bia.shape != (ocg * groups,):
            raise ShapeError(
                f"{said} bias to be 1-dimensional with {ocg * groups} elements, "
                f"but got bias of size {list(bia.shape)} instead"
            )
        _check_extents(shape, wei.shape, stride, dilation, more)
        for each in (wei.dtype, *(() if bia is None else (bia.dtype,))):
            check_dtypes(src.dtype, each, "conv_transpose2d")
        # Of inputs that no window of the convolution reaches, those that one more would begin at.
        extra = tuple(max(0, each // step) for each, step in zip(more, stride, strict=True))
        made = [
            (extent - 1) * s - 2 * p + d * (k - 1) + m + 1
            for extent, s, p, d, k, m in zip(shape[2:], stride, padding, dilation, (kh, kw), more, strict=True)
        ]
        if min(made) <= 0:
            raise ShapeError(
                f"Given input size per channel: ({shape[2]} x {shape[3]}). "
                f"Calculated output size per channel: ({made[0]} x {made[1]}). Output size is too small"
            )
        output = (shape[0], ocg * groups, *made)
        problem, border = None, None
        if shape[0]:
            (sh, sw), (ph, pw), (dh, dw) = stride, padding, dilation
            problem = Conv2dProblem(
                mb=shape[0], ic=ocg * groups, ih=made[0], iw=made[1], oc=ic, kh=kh, kw=kw, g=groups, sh=sh, sw=sw,
                ph=ph, pw=pw, dh=dh, dw=dw, bias=bia is not None, dtype=src.dtype.name, direction="bwd_d",
            )  # fmt: skip
            if any(extra):
                border = Extended((*src.shape[:-2], problem.oh, problem.ow))
        return Described(problem, output if src.ndim == 4 else output[1:], border)


def _check_extents(
    shape: tuple[int, ...],
    weight: tuple[int, ...],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    more: tuple[int, int],
) -> None:
    """What torch asks of extents, in its order."""
    if not min(weight[2:]):
        raise no_kernel(weight[2:], (1, 1))
    if not min(dilation):
        raise ShapeError(
            "dilation should be greater than zero, "
            f"but got dilation_height: {dilation[0]}, dilation_width: {dilation[1]}"
        )
    if any(m >= max(s, d) for m, s, d in zip(more, stride, dilation, strict=True)):
        names = ("output_padding", more), ("stride", stride), ("dilation", dilation)
        got = " ".join(f"{name}_height: {value[0]} {name}_width: {value[1]}" for name, value in names)
        raise ShapeError(f"output padding must be smaller than either stride or dilation, but got {got}")
    if not weight[1]:
        raise ShapeError(f"non-empty 2D or 4D weight tensor expected, but got: {list(weight)}")
    if not min(shape[1:]):
        raise ShapeError(f"Only zero batch or zero channel inputs are supported, but got input shape: {list(shape)}")


def conv_transpose2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Ints = 1,
    padding: Ints = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
    *,
    algorithm: str = "auto",
    threads: int | None = None,
    max_error: float | None = None,
    max_workspace: float | None = None,
    window_only: bool = False,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Transposed two-dimensional convolution with the arguments and errors of ``torch.nn.functional.conv_transpose2d``.

    It is computed by dense convolutions with parts of the kernel; no zeros are inserted.

    Parameters
    ----------
    input : array, shape (N, C_in, H, W) or (C_in, H, W)
        float32 or float64. N may be 0.
    weight : array, shape (C_in, C_out // groups, kH, kW)
        Of the same dtype.
    bias : array, shape (C_out,), optional
        Of the same dtype.
    stride, padding, dilation : int, or sequence of one or two int
        Of the convolution of which this is the gradient: padding cuts rows and columns off the result.
    output_padding : int, or sequence of one or two int
        Rows added below and columns added to the right; less than stride or dilation.
    groups : int
    algorithm, threads, max_error, max_workspace, window_only
        As for `conv2d`.
    out : ndarray, shape of the result, optional
        Written and returned; C-contiguous, and sharing no memory with the other arrays.

    Returns
    -------
    ndarray, shape (N, C_out, oH, oW) or (C_out, oH, oW)
        ``oH = (H - 1) * stride - 2 * padding + dilation * (kH - 1) + output_padding + 1``.

    Raises
    ------
    ShapeError, DtypeError, ArgumentError, UnknownAlgorithm, UnsupportedProblem, ValueError
        As `conv2d`.

    References
    ----------
    Dumoulin and Visin, "A guide to convolution arithmetic for deep learning" (2016), section 4.
    """
    name = "conv_transpose2d"
    src, wei = as_array("input", input, name), as_array("weight", weight, name)
    bia = None if bias is None else as_array("bias", bias, name)
    budgets = max_error, max_workspace, window_only
    asked = read_asked(name, stride, padding, dilation, groups, algorithm, threads, budgets, strings=False)
    how = Transposed(read_ints("output_padding", output_padding, name))
    known = shape_of(src, wei, bia, asked, packing=True, how=how)
    return compute_once(known, src, wei, bia, out, ("input", "weight"), name)
