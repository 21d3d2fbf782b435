"""`conv2d`: torch's arguments -> what is known of such calls -> plan -> array."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernels.arguments import Ints, as_array, read_asked
from kernels.one_call import CALLS, compute_once, shape_of

__all__ = ["clear_caches", "conv2d"]


def clear_caches() -> None:
    """Forget what calls of `conv2d` and of layers share: choices, packed weights and scratch of recent shapes."""
    CALLS.clear()


def conv2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Ints = 1,
    padding: Ints | str = 0,
    dilation: Ints = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    algorithm: str = "auto",
    threads: int | None = None,
    max_error: float | None = None,
    max_workspace: float | None = None,
    window_only: bool = False,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Two-dimensional convolution with the arguments and errors of ``torch.nn.functional.conv2d``.

    Arrays are NumPy's, or whatever has ``__array__``, ``__dlpack__`` or a buffer: a torch CPU
    tensor is read where it lies. Arrays that are not C-contiguous are copied once.

    Parameters
    ----------
    input : array, shape (N, C_in, H, W) or (C_in, H, W)
        float32 or float64. N may be 0, and so may C_in.
    weight : array, shape (C_out, C_in // groups, kH, kW)
        Of the same dtype.
    bias : array, shape (C_out,), optional
        Of the same dtype.
    stride, dilation : int, or sequence of one or two int
    padding : int, sequence of one or two int, "valid" or "same"
        On both sides of each axis; ``"same"`` keeps height and width and needs stride 1, and puts
        the odd row below and the odd column to the right.
    groups : int
    padding_mode : {"zeros", "reflect", "replicate", "circular"}
        What the padding is of, as in ``torch.nn.Conv2d``. Others than zeros copy the input.
    algorithm : str
        A name from `algorithms`, or ``"auto"``.
    threads : int, optional
        Defaults to every core that Numba may use, or to one where little is to be done.
    max_error : float, optional
        Most relative L2 error against float64 that may be expected on normal values.
    max_workspace : int, optional
        Most bytes of scratch memory.
    window_only : bool
        Whether each output must depend on its own window of the input alone, as PyTorch's do. By default ``"auto"``
        may take Winograd's algorithms and transforms, which compute outputs in tiles: with -9999 for a missing
        cell of a raster, or infinity or NaN, outputs some cells away are wrong as well.
    out : ndarray, shape of the result, optional
        Written and returned; C-contiguous, and sharing no memory with the other arrays.

    Returns
    -------
    ndarray, shape (N, C_out, oH, oW) or (C_out, oH, oW)

    Raises
    ------
    ShapeError
        Shapes or numbers do not fit each other. A ValueError, and a RuntimeError as torch's.
    DtypeError
        Dtypes differ or are not computed in. A ValueError, a TypeError, and a RuntimeError.
    ArgumentError
        An argument is of a kind that is not taken, or an array has masked elements. A TypeError.
    UnknownAlgorithm, UnsupportedProblem
        ``algorithm`` is no name, or refuses the problem, or none keeps the budgets. ValueErrors.
    ValueError
        ``threads`` is out of range, a number has more than 64 bits, or a budget is NaN.

    Notes
    -----
    The order of checks and the words of errors are torch 2.13's, except that

    - ``ArgumentError`` has one sentence of its own instead of the list of signatures of torch's parser;
    - float16, complex and integer arrays, which torch computes in, are refused;
    - of faults that torch words by the backend it chooses (weights of another dtype, kernels of no
      extent, dilation 0) the words are those that it has without oneDNN; an empty batch with a kernel
      of no extent is refused in the same words, not as an index that is out of range; a bias of another
      dtype is refused beside a padding string too, where some backends take it;
    - with a ``padding_mode`` other than zeros a negative padding, which torch cuts away, and a
      sequence of one are refused; an input of other than 3 or 4 dimensions is refused in the words for
      zeros, an unknown padding string and an unfit ``"same"`` in those of the function, not of the layer.
    """
    src, wei = as_array("input", input), as_array("weight", weight)
    bia = None if bias is None else as_array("bias", bias)
    budgets = max_error, max_workspace, window_only
    asked = read_asked(
        "conv2d", stride, padding, dilation, groups, algorithm, threads, budgets, padding_mode=padding_mode
    )
    known = shape_of(src, wei, bia, asked, packing=True)
    return compute_once(known, src, wei, bia, out, ("input", "weight"), "conv2d")
