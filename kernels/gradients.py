"""`conv2d_input` and `conv2d_weight`: gradients of a convolution, with the arguments of ``torch.nn.grad``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, SupportsIndex

import numpy as np

from kernels.arguments import Asked, Ints, as_array, read_asked, read_ints
from kernels.geometry import Described, check_gradient, describe, shaped
from kernels.one_call import compute_once, shape_of

__all__ = ["OfInput", "OfWeight", "conv2d_input", "conv2d_weight"]


def _described(src: np.ndarray, wei: np.ndarray, grad: np.ndarray, asked: Asked, direction: str) -> Described:
    """The gradient of a convolution's input or weights, whose output is of the shape of ``grad``."""
    forward = describe(src, wei, None, asked)
    check_gradient(grad, forward)
    result = src.shape if direction == "bwd_d" else wei.shape
    problem = None if forward.problem is None else forward.problem.replace(direction=direction)
    return Described(problem, result, forward.border)


@dataclass(frozen=True)
class OfInput:
    """How arrays and arguments of `conv2d_input` are read.

    Attributes
    ----------
    input_size : tuple of int
    """

    input_size: tuple[int, ...]

    def __call__(self, grad: np.ndarray, wei: np.ndarray, bia: np.ndarray | None, asked: Asked) -> Described:
        """The problem that they make, or the shape of a result that has no elements."""
        return _described(shaped(self.input_size, grad.dtype), wei, grad, asked, "bwd_d")


@dataclass(frozen=True)
class OfWeight:
    """How arrays and arguments of `conv2d_weight` are read.

    Attributes
    ----------
    weight_size : tuple of int
    """

    weight_size: tuple[int, ...]

    def __call__(self, src: np.ndarray, grad: np.ndarray, bia: np.ndarray | None, asked: Asked) -> Described:
        """The problem that they make, or the shape of a result that has no elements."""
        return _described(src, shaped(self.weight_size, grad.dtype), grad, asked, "bwd_w")


def conv2d_input(
    input_size: Sequence[SupportsIndex],
    weight: Any,
    grad_output: Any,
    stride: Ints = 1,
    padding: Ints | str = 0,
    dilation: Ints = 1,
    groups: int = 1,
    *,
    algorithm: str = "auto",
    threads: int | None = None,
    max_error: float | None = None,
    max_workspace: float | None = None,
    window_only: bool = False,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """The gradient of `conv2d` with respect to its input, as ``torch.nn.grad.conv2d_input``.

    Parameters
    ----------
    input_size : sequence of int
        Shape of the input: (N, C_in, H, W) or (C_in, H, W).
    weight : array, shape (C_out, C_in // groups, kH, kW)
        float32 or float64.
    grad_output : array, shape of the output of that convolution
        Of the same dtype.
    stride, padding, dilation, groups, algorithm, threads, max_error, max_workspace, window_only
        As for `conv2d`, ``padding="same"`` and ``"valid"`` as well.
    out : ndarray, shape ``input_size``, optional
        Written and returned; C-contiguous, and sharing no memory with the other arrays.

    Returns
    -------
    ndarray, shape ``input_size``

    Raises
    ------
    ShapeError, DtypeError, ArgumentError, UnknownAlgorithm, UnsupportedProblem, ValueError
        As `conv2d`; ShapeError as well if ``grad_output`` is of another shape than the output.
    """
    wei, grad = as_array("weight", weight, "conv2d_input"), as_array("grad_output", grad_output, "conv2d_input")
    budgets = max_error, max_workspace, window_only
    asked = read_asked("conv2d_input", stride, padding, dilation, groups, algorithm, threads, budgets)
    how = OfInput(read_ints("input_size", tuple(input_size), "conv2d_input"))
    known = shape_of(grad, wei, None, asked, packing=True, how=how)
    return compute_once(known, grad, wei, None, out, ("grad_output", "weight"), "conv2d_input")


def conv2d_weight(
    input: Any,
    weight_size: Sequence[SupportsIndex],
    grad_output: Any,
    stride: Ints = 1,
    padding: Ints | str = 0,
    dilation: Ints = 1,
    groups: int = 1,
    *,
    algorithm: str = "auto",
    threads: int | None = None,
    max_error: float | None = None,
    max_workspace: float | None = None,
    window_only: bool = False,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """The gradient of `conv2d` with respect to its weights, as ``torch.nn.grad.conv2d_weight``.

    Parameters
    ----------
    input : array, shape (N, C_in, H, W) or (C_in, H, W)
        float32 or float64.
    weight_size : sequence of int
        Shape of the weights: (C_out, C_in // groups, kH, kW).
    grad_output : array, shape of the output of that convolution
        Of the same dtype.
    stride, padding, dilation, groups, algorithm, threads, max_error, max_workspace, window_only
        As for `conv2d`, ``padding="same"`` and ``"valid"`` as well; algorithms are those of backward weights.
    out : ndarray, shape ``weight_size``, optional
        Written and returned; C-contiguous, and sharing no memory with the other arrays.

    Returns
    -------
    ndarray, shape ``weight_size``

    Raises
    ------
    ShapeError, DtypeError, ArgumentError, UnknownAlgorithm, UnsupportedProblem, ValueError
        As `conv2d`; ShapeError as well if ``grad_output`` is of another shape than the output.
    """
    src, grad = as_array("input", input, "conv2d_weight"), as_array("grad_output", grad_output, "conv2d_weight")
    budgets = max_error, max_workspace, window_only
    asked = read_asked("conv2d_weight", stride, padding, dilation, groups, algorithm, threads, budgets)
    how = OfWeight(read_ints("weight_size", tuple(weight_size), "conv2d_weight"))
    known = shape_of(src, grad, None, asked, packing=True, how=how)
    return compute_once(known, src, grad, None, out, ("input", "grad_output"), "conv2d_weight")
