"""What torch checks of a convolution, in its order and words, and the problem that passes.

Sentences are those of torch 2.13. If its backends word one fault differently (weights of another
dtype, a kernel of no extent, a dilation of zero), the words are those that it has without oneDNN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from kernels.arguments import Asked, Padding
from kernels.border import Border, check_not_negative, check_rank
from kernels.errors import DtypeError, ShapeError
from kernels.problem import Conv2dProblem

__all__ = [
    "Described",
    "check_channels",
    "check_dimensions",
    "check_dtypes",
    "check_gradient",
    "check_groups",
    "check_same_strides",
    "describe",
    "no_kernel",
    "other_rank",
    "per_axis",
    "same_padding",
    "shaped",
]


class Described(NamedTuple):
    """What arrays and arguments come to.

    Attributes
    ----------
    problem : Conv2dProblem or None
        None if the result has no elements.
    output_shape : tuple of int
        Without a batch if the input has none.
    border : callable or None
        Copies the input with what is put around it before; None if the padding is of zeros, or none at all.
    """

    problem: Conv2dProblem | None
    output_shape: tuple[int, ...]
    border: Callable[[np.ndarray], np.ndarray] | None


def check_channels(name: str, channels: int, groups: int) -> None:
    """Refuse channels of a layer that its groups do not share evenly."""
    if channels % groups:
        raise ShapeError(f"{name} must be divisible by groups")


def check_same_strides(stride: Sequence[int]) -> None:
    """Refuse strides with ``"same"``."""
    if any(step != 1 for step in stride):
        raise ShapeError("padding='same' is not supported for strided convolutions")


def unknown_padding(padding: str) -> ShapeError:
    """For a string that is no padding."""
    return ShapeError(f"Invalid padding string: '{padding}'")


def other_length(name: str, value: Sequence[int], rank: int) -> ShapeError:
    """For a sequence with other than a number an axis."""
    return ShapeError(
        f"expected {name} to be a single integer value or a list of {rank} values "
        f"to match the convolution dimensions, but got {name}={list(value)}"
    )


_COMPUTED = ("float32", "float64")

#: NumPy's name of a dtype: torch's in C++, and torch's as an enumeration.
_TORCH_NAMES = {
    "float32": ("float", "Float"), "float64": ("double", "Double"), "float16": ("c10::Half", "Half"),
    "int8": ("signed char", "Char"), "uint8": ("unsigned char", "Byte"), "int16": ("short int", "Short"),
    "int32": ("int", "Int"), "int64": ("long int", "Long"), "bool": ("bool", "Bool"),
    "uint16": ("short unsigned int", "UInt16"), "uint32": ("unsigned int", "UInt32"),
    "uint64": ("long unsigned int", "UInt64"), "complex64": ("c10::complex<float>", "ComplexFloat"),
    "complex128": ("c10::complex<double>", "ComplexDouble"),
}  # fmt: skip


def shaped(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An array of a shape, of which no element is to be read: it takes no memory."""
    return np.broadcast_to(np.zeros((), dtype), shape)


def check_gradient(grad: np.ndarray, described: Described) -> None:
    """Refuse a gradient of another shape than the output."""
    if grad.shape != described.output_shape:
        raise ShapeError(f"grad_output has shape {grad.shape}, expected {described.output_shape}")


def describe(src: np.ndarray, wei: np.ndarray, bia: np.ndarray | None, asked: Asked) -> Described:
    """The problem that arrays and arguments make, or the shape of a result that has no elements.

    Parameters
    ----------
    src : ndarray
        Without a batch it is taken as a batch of one. Elements of no array are read.
    wei, bia : ndarray
    asked : Asked

    Raises
    ------
    ShapeError, DtypeError
        The first thing that torch would find, in its words.
    """
    shape, padding = src.shape, asked.padding
    border: Border | None = None
    if asked.padding_mode != "zeros":
        check_rank(shape)
        rows, columns = _sides(shape, wei.shape, asked)
        border = Border.around(shape, asked.padding_mode, rows, columns)
        shape, padding = (shape if border is None else border.shape), (0, 0)
    found = _described(src.dtype, shape, wei, bia, asked, padding)
    problem, made = (found, found.output_shape) if isinstance(found, Conv2dProblem) else (None, found)
    return Described(problem, made if len(shape) == 4 else made[1:], border)


_Sides = tuple[tuple[int, int], tuple[int, int]]


def _sides(shape: tuple[int, ...], weight: tuple[int, ...], asked: Asked) -> _Sides:
    """Rows above and below, columns to the left and to the right, of a padding that is not of zeros."""
    padding = asked.padding
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding == "same":
        batched = shape if len(shape) == 4 else (1, *shape)
        before, after = same_padding(batched, weight, asked.stride, asked.dilation, asked.groups)
        return (before[0], after[0]), (before[1], after[1])
    if isinstance(padding, str):
        raise unknown_padding(padding)
    if len(padding) != 2:
        raise other_length("padding", padding, 2)
    return (padding[0], padding[0]), (padding[1], padding[1])


def _described(
    dtype: np.dtype,
    given: tuple[int, ...],
    wei: np.ndarray,
    bia: np.ndarray | None,
    asked: Asked,
    padding: Padding,
) -> Conv2dProblem | tuple[int, int, int, int]:
    """The problem of an input of shape ``given`` with zeros around it, or the shape of a result without elements."""
    stride, dilation, groups = asked.stride, asked.dilation, asked.groups
    if bia is not None and bia.dtype != dtype:
        ours, theirs = (_TORCH_NAMES.get(each.name, (str(each),))[0] for each in (dtype, bia.dtype))
        raise DtypeError(f"Input type ({ours}) and bias type ({theirs}) should be the same")
    check_rank(given)
    shape = given if len(given) == 4 else (1, *given)
    before, after = (0, 0), (0, 0)
    # There is no argument of that name, but if it does not fit torch says so.
    output_padding: tuple[int, ...] = (0, 0)
    if isinstance(padding, str):
        if padding == "same":
            before, after = same_padding(shape, wei.shape, stride, dilation, groups)
            # torch pads what one side has more than the other in advance, and speaks of what that gives.
            shape = (*shape[:2], shape[2] + after[0] - before[0], shape[3] + after[1] - before[1])
            if min(shape) < 0:
                # A kernel of no extent is padded by -1, and nothing can be cut off a map of no extent.
                raise ShapeError("narrow(): length must be non-negative.")
            padding = before
        elif padding == "valid":
            padding, output_padding = (0,), (0,)
        else:
            raise unknown_padding(padding)
    check_dimensions(wei.shape, groups)
    rank = wei.ndim - 2
    sh, sw = per_axis("stride", stride, rank)
    ph, pw = per_axis("padding", padding, rank)
    dh, dw = per_axis("dilation", dilation, rank)
    per_axis("output_padding", output_padding, rank)
    _check_shapes(shape, wei.shape, bia, (sh, sw), (ph, pw), (dh, dw), groups)
    oc, _, kh, kw = wei.shape
    mb, ic, ih, iw = shape
    if mb == 0 or ic == 0:
        _check_empty(dtype, wei, ic)
        rows, columns = (ih + 2 * ph - (kh - 1) * dh - 1) // sh + 1, (iw + 2 * pw - (kw - 1) * dw - 1) // sw + 1
        # Without channels torch's result has none either, whatever the weights say.
        return mb, oc if ic else 0, rows, columns
    _check_extents(shape, (kh, kw), (dh, dw))
    check_dtypes(dtype, wei.dtype)
    pb, pr = (ph, pw) if after == (0, 0) else after
    ih, iw = given[-2:]
    return Conv2dProblem(
        mb=mb, ic=ic, ih=ih, iw=iw, oc=oc, kh=kh, kw=kw, g=groups, sh=sh, sw=sw,
        ph=ph, pw=pw, pb=pb, pr=pr, dh=dh, dw=dw, bias=bia is not None, dtype=dtype.name,
    )  # fmt: skip


def same_padding(
    shape: Sequence[int], weight: Sequence[int], stride: tuple[int, ...], dilation: tuple[int, ...], groups: int
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Rows and columns before (above, left) and after (below, right) that keep height and width.

    The odd one is below and to the right.

    Raises
    ------
    ShapeError
        Strides are not 1, or dimensions or lengths do not fit.
    """
    check_dimensions(weight, groups)
    rank = len(weight) - 2
    if len(weight) != len(shape):
        raise other_rank(shape, weight, "")
    for name, value in (("stride", stride), ("dilation", dilation)):
        if len(value) not in (1, rank):
            raise ShapeError(f"{name} cannot broadcast to {rank} dimensions")
    check_same_strides(stride)
    rows, columns = (d * (k - 1) for d, k in zip(_both(dilation), weight[2:], strict=True))
    # Towards zero, as in C++: a negative dilation is refused further on, in words that depend on it.
    before = int(rows / 2), int(columns / 2)
    return before, (rows - before[0], columns - before[1])


def check_dimensions(weight: Sequence[int], groups: int) -> None:
    """Refuse weights without a kernel, and no groups."""
    if len(weight) < 3:
        raise ShapeError("weight should have at least three dimensions")
    if groups <= 0:
        raise ShapeError("non-positive groups is not supported")


def per_axis(name: str, value: tuple[int, ...], rank: int) -> tuple[int, int]:
    """A number per axis, of one or two."""
    if len(value) not in (1, rank):
        raise other_length(name, value, rank)
    # More than two only where the weights' dimensions are refused next: the least stands for all.
    return _both(value) if len(value) < 3 else (min(value), min(value))


def _both(value: tuple[int, ...]) -> tuple[int, int]:
    return value[0], value[-1]


def other_rank(shape: Sequence[int], weight: Sequence[int], gap: str) -> ShapeError:
    """For an input of another number of dimensions than the weights."""
    return ShapeError(
        f"Expected {len(weight)}-dimensional input for {len(weight)}-dimensional weight{gap}{_size(weight)}, "
        f"but got {len(shape)}-dimensional input of size {_size(shape)} instead"
    )


def _check_shapes(
    shape: Sequence[int],
    weight: Sequence[int],
    bia: np.ndarray | None,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
) -> None:
    check_not_negative(padding)
    if min(stride) <= 0:
        raise ShapeError("non-positive stride is not supported")
    if min(dilation) < 0:
        raise ShapeError("dilation should be greater than zero")
    if len(weight) != len(shape):
        raise other_rank(shape, weight, " ")
    oc, icg, *kernel = weight
    check_groups(weight, groups)
    if shape[1] != icg * groups:
        raise ShapeError(
            f"Given groups={groups}, weight of size {_size(weight)}, expected input{_size(shape)} "
            f"to have {icg * groups} channels, but got {shape[1]} channels instead"
        )
    if bia is not None and bia.shape != (oc,):
        raise ShapeError(
            f"Given weight of size {_size(weight)}, expected bias to be 1-dimensional with {oc} elements, "
            f"but got bias of size {_size(bia.shape)} instead"
        )
    padded = [extent + 2 * pad for extent, pad in zip(shape[2:], padding, strict=True)]
    spanned = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    if padded[0] < spanned[0] or padded[1] < spanned[1]:
        raise ShapeError(
            f"Calculated padded input size per channel: ({padded[0]} x {padded[1]}). "
            f"Kernel size: ({spanned[0]} x {spanned[1]}). Kernel size can't be greater than actual input size"
        )


def check_groups(weight: Sequence[int], groups: int) -> None:
    """Refuse weights whose first dimension the groups do not share evenly."""
    if weight[0] < groups:
        raise ShapeError(
            f"Given groups={groups}, expected weight to be at least {groups} at dimension 0, "
            f"but got weight of size {_size(weight)} instead"
        )
    if weight[0] % groups:
        raise ShapeError(
            f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, "
            f"but got weight of size [{_size(weight)}] instead"
        )


def _check_empty(dtype: np.dtype, wei: np.ndarray, ic: int) -> None:
    """Of a result without elements torch asks little: dtypes need not even be the same."""
    if ic and not wei.size:
        raise no_kernel(wei.shape[2:], (1, 1))
    if dtype.name not in _COMPUTED or wei.dtype.kind not in "fiub":
        raise _not_computed(dtype if dtype.name not in _COMPUTED else wei.dtype)


def _check_extents(shape: Sequence[int], kernel: tuple[int, int], dilation: tuple[int, int]) -> None:
    if not min(shape):
        raise ShapeError(f"Only zero batch or zero channel inputs are supported, but got input shape: {_size(shape)}")
    if not min(kernel):
        raise no_kernel(kernel, dilation)
    if not min(dilation):
        raise ShapeError(f"dilation should be greater than zero, but got {_size(dilation)}")


def no_kernel(kernel: Sequence[int], dilation: tuple[int, int]) -> ShapeError:
    """For a kernel without an extent."""
    said = f"kernel_height: {kernel[0]} kernel_width: {kernel[1]}" if dilation == (1, 1) else _size(kernel)
    return ShapeError(f"kernel size should be greater than zero, but got {said}")


def check_dtypes(src: np.dtype, wei: np.dtype, function: str = "conv2d") -> None:
    """Refuse elements that differ or are not computed in."""
    if src != wei:
        ours, theirs = (_TORCH_NAMES.get(each.name, ("", str(each)))[1] for each in (src, wei))
        raise DtypeError(f"expected scalar type {ours} but found {theirs}")
    if src.name not in _COMPUTED:
        raise _not_computed(src, function)


def _not_computed(dtype: np.dtype, function: str = "conv2d") -> DtypeError:
    return DtypeError(f"{function}(): dtype is {dtype}, expected {' or '.join(_COMPUTED)}")


def _size(shape: Sequence[int]) -> str:
    return str(list(shape))
