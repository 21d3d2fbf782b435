"""Padding that is not of zeros: a copy with a border of the input's own elements, as ``torch.nn.functional.pad``."""

from __future__ import annotations

from typing import Literal

import numpy as np

from kernels.arguments import Padding
from kernels.checks import check_not_negative, check_rank, other_length, unknown_padding
from kernels.errors import ShapeError
from kernels.semantics import same_padding

__all__ = ["pad"]

#: torch's name: NumPy's.
_NUMPY_MODES: dict[str, Literal["reflect", "edge", "wrap"]] = {
    "reflect": "reflect",
    "replicate": "edge",
    "circular": "wrap",
}

_Sides = tuple[tuple[int, int], tuple[int, int]]


def pad(
    src: np.ndarray,
    mode: str,
    padding: Padding,
    weight: tuple[int, ...],
    stride: list[int],
    dilation: list[int],
    groups: int,
) -> np.ndarray:
    """``src`` with the border that ``torch.nn.Conv2d(padding_mode=mode)`` puts around it.

    Parameters
    ----------
    src : ndarray, shape (N, C, H, W) or (C, H, W)
    mode : {"reflect", "replicate", "circular"}
    padding : list of int or str
    weight : tuple of int
        Shape of the weights, which ``"same"`` asks for.
    stride, dilation : list of int
    groups : int

    Returns
    -------
    ndarray
        ``src`` itself where there is nothing to add.

    Raises
    ------
    ShapeError
        The input is too small for the border, or has no elements to take it from.
    """
    check_rank(src.shape)
    rows, columns = _sides(src, padding, weight, stride, dilation, groups)
    check_not_negative((*rows, *columns))
    _check(src.shape, mode, rows, columns)
    if not any((*rows, *columns)):
        return src
    return np.pad(src, [(0, 0)] * (src.ndim - 2) + [rows, columns], mode=_NUMPY_MODES[mode])


def _sides(
    src: np.ndarray, padding: Padding, weight: tuple[int, ...], stride: list[int], dilation: list[int], groups: int
) -> _Sides:
    """Rows above and below, columns to the left and to the right."""
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding == "same":
        shape = src.shape if src.ndim == 4 else (1, *src.shape)
        before, after = same_padding(shape, weight, stride, dilation, groups)
        return (before[0], after[0]), (before[1], after[1])
    if isinstance(padding, str):
        raise unknown_padding(padding)
    if len(padding) != 2:
        raise other_length("padding", padding, 2)
    return (padding[0], padding[0]), (padding[1], padding[1])


def _check(shape: tuple[int, ...], mode: str, rows: tuple[int, int], columns: tuple[int, int]) -> None:
    if mode == "circular":
        if max(rows) > shape[-2] or max(columns) > shape[-1]:
            raise ShapeError("Padding value causes wrapping around more than once.")
        return
    if 0 in (shape if len(shape) == 3 else shape[1:]):
        raise ShapeError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions "
            f"for input, but got: {list(shape)}"
        )
    if mode == "reflect":
        # The numbers are places in the argument list of torch's own function.
        for place, axis, amount in ((4, -1, columns), (6, -2, rows)):
            if max(amount) >= shape[axis]:
                raise ShapeError(
                    f"Argument #{place}: Padding size should be less than the corresponding input dimension, "
                    f"but got: padding {amount} at dimension {len(shape) + axis} of input {list(shape)}"
                )
