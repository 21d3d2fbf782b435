"""Arrays of others in, and the caller's own array for the result."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernels.errors import ArgumentError, DtypeError, ShapeError

__all__ = ["as_array", "check_out", "check_real"]


def as_array(name: str, value: Any) -> np.ndarray:
    """A view of an array-like as a NumPy array; copied only where its bytes are in foreign order.

    Taken are NumPy's arrays, objects with ``__array__`` or ``__array_interface__``, with
    ``__dlpack__``, and those that export a buffer. Lists and numbers are refused, as torch does:
    their dtype would be a guess.

    Raises
    ------
    ArgumentError
        It is nothing of these, or lies where NumPy cannot read.
    """
    if isinstance(value, np.ndarray):
        array = np.asarray(value)
    elif isinstance(value, list | tuple | str | bytes | np.generic):
        raise _no_array(name, value)
    elif hasattr(value, "__array__") or hasattr(value, "__array_interface__"):
        try:
            array = np.asarray(value)
        except TypeError as refused:
            # Such as a torch tensor of bfloat16, which NumPy has not.
            raise ArgumentError(f"conv2d(): {name} cannot be read as a NumPy array: {refused}") from refused
    elif hasattr(value, "__dlpack__"):
        try:
            array = np.from_dlpack(value)
        except (BufferError, RuntimeError) as refused:
            raise ArgumentError(f"conv2d(): {name} cannot be read through DLPack: {refused}") from refused
    else:
        try:
            array = np.asarray(memoryview(value))
        except TypeError:
            raise _no_array(name, value) from None
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _no_array(name: str, value: Any) -> ArgumentError:
    return ArgumentError(
        f"conv2d(): {name} is of type {type(value).__name__}, expected an array "
        "(NumPy's, or one with __array__, __dlpack__ or a buffer)"
    )


def check_real(name: str, array: np.ndarray) -> None:
    """Refuse what is no real numbers: of complex ones a part would be lost, others' bytes mean something else.

    Raises
    ------
    DtypeError
        Elements do not become float32 by rounding alone.
    """
    if not np.can_cast(array.dtype, np.float32, "same_kind"):
        raise DtypeError(f"{name} has dtype {array.dtype}, expected real numbers, such as float16 or float32")


def check_out(out: Any, shape: tuple[int, ...], dtype: np.dtype, inputs: dict[str, np.ndarray | None]) -> None:
    """Refuse an ``out`` that the result cannot be written to.

    Parameters
    ----------
    out : ndarray
    shape, dtype
        Of the result.
    inputs : dict
        By name, what is read while ``out`` is written.

    Raises
    ------
    ArgumentError
        It is no NumPy array: others may give copies of themselves.
    ShapeError, DtypeError
        Shape, layout or dtype are not the result's, or it shares memory with an input.
    """
    if not isinstance(out, np.ndarray):
        raise ArgumentError(f"conv2d(): out is of type {type(out).__name__}, expected a NumPy array")
    if out.shape != shape:
        raise ShapeError(f"out has shape {out.shape}, expected {shape}")
    if out.dtype != dtype:
        raise DtypeError(f"out has dtype {out.dtype}, expected {dtype}")
    if not out.flags.c_contiguous or not out.flags.writeable:
        raise ShapeError("out is not a writeable C-contiguous array, expected one")
    for name, array in inputs.items():
        if array is not None and np.may_share_memory(out, array):
            raise ShapeError(f"out overlaps {name}, expected separate memory")
