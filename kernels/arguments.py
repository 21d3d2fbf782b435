"""What `conv2d` is called with, read as torch's argument parser reads it: numbers, strings and arrays."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any, NamedTuple, SupportsIndex

import numpy as np

from kernels.errors import ArgumentError, DtypeError, ShapeError

__all__ = [
    "NO_BUDGETS",
    "PADDING_MODES",
    "Asked",
    "Budgets",
    "Ints",
    "Padding",
    "as_array",
    "check_out",
    "check_real",
    "read_algorithm",
    "read_asked",
    "read_budgets",
    "read_count",
    "read_groups",
    "read_ints",
    "read_padding",
    "read_padding_mode",
]


#: As `conv2d` is called: a whole number, or a sequence of them.
Ints = SupportsIndex | Sequence[SupportsIndex]

#: As it is read: numbers, one or two if they are right, or a string that is not checked yet.
Padding = tuple[int, ...] | str


class Budgets(NamedTuple):
    """What an algorithm must keep to be chosen.

    Attributes
    ----------
    max_error : float or None
        Most relative L2 error against float64 that may be expected on normal values.
    max_workspace : float or None
        Most bytes of scratch memory.
    window_only : bool
        Whether each output must depend on its own window of the input alone.
    """

    max_error: float | None = None
    max_workspace: float | None = None
    window_only: bool = False


NO_BUDGETS = Budgets()


class Asked(NamedTuple):
    """All that a convolution is asked for beside its arrays, as it was read; `conv2d` explains it.

    Attributes
    ----------
    stride, dilation : tuple of int
        One number or two if they are right; lengths are checked with the shapes.
    padding : tuple of int or str
    groups : int
    padding_mode : str
    algorithm : str
    threads : int or None
    budgets : Budgets
    """

    stride: tuple[int, ...] = (1, 1)
    padding: Padding = (0, 0)
    dilation: tuple[int, ...] = (1, 1)
    groups: int = 1
    padding_mode: str = "zeros"
    algorithm: str = "auto"
    threads: int | None = None
    budgets: Budgets = NO_BUDGETS


PADDING_MODES = ("zeros", "reflect", "replicate", "circular")

#: torch keeps numbers in 64 bits.
_LEAST, _MOST = -(2**63), 2**63 - 1


def read_ints(name: str, value: Any, function: str = "conv2d") -> tuple[int, ...]:
    """A whole number for both axes, or a list or tuple as it is; its length is checked with the shapes.

    Python's bools are refused, except behind the first place of a sequence, where torch takes
    them for 0 and 1; NumPy's are refused everywhere.

    Raises
    ------
    ArgumentError
        Something else stands where a number should.
    ValueError
        A number has more than 64 bits.
    """
    # What it nearly always is: small convolutions take no longer than the questions below.
    if type(value) is int and _LEAST <= value <= _MOST:
        return value, value
    if type(value) is tuple and len(value) == 2:
        first, second = value
        if type(first) is int and type(second) is int and _LEAST <= first <= _MOST and _LEAST <= second <= _MOST:
            return value
    if isinstance(value, list | tuple):
        return tuple([_whole(name, value, item, function, bools=place > 0) for place, item in enumerate(value)])
    number = _whole(name, value, value, function, bools=False, arrays=False)
    return number, number


def read_padding(value: Any, function: str = "conv2d") -> Padding:
    """`read_ints`, or a string; bytes are one to torch.

    Raises
    ------
    ArgumentError, ValueError
        As `read_ints`.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return read_ints("padding", value, function)


def read_groups(value: Any, function: str = "conv2d") -> int:
    """One whole number.

    Raises
    ------
    ArgumentError, ValueError
        As `read_ints`.
    """
    return _whole("groups", value, value, function, bools=False)


def read_padding_mode(value: Any) -> str:
    """One of `PADDING_MODES`.

    Raises
    ------
    ShapeError
        It is none; torch.nn.Conv2d raises a ValueError of the same words and no order of the modes.
    """
    if not isinstance(value, str) or value not in PADDING_MODES:
        modes = ", ".join(repr(mode) for mode in PADDING_MODES)
        raise ShapeError(f"padding_mode must be one of {{{modes}}}, but got padding_mode='{value}'")
    return value


def read_algorithm(value: Any) -> str:
    """The name of an algorithm, or ``"auto"``; whether there is one of that name is not asked.

    Raises
    ------
    ArgumentError
        It is no string.
    """
    if not isinstance(value, str):
        raise ArgumentError(f"algorithm is {value!r}, expected a name, or 'auto'")
    return value


def read_budgets(max_error: Any, max_workspace: Any, window_only: Any) -> Budgets:
    """What an algorithm must keep.

    Raises
    ------
    ArgumentError
        A number is none, or ``window_only`` is no bool.
    ValueError
        A number is NaN.
    """
    if max_error is None and max_workspace is None and window_only is False:
        return NO_BUDGETS
    if not isinstance(window_only, bool | np.bool_):
        raise ArgumentError(f"window_only is {window_only!r}, expected True or False")
    return Budgets(_limit("max_error", max_error), _limit("max_workspace", max_workspace), bool(window_only))


def _limit(name: str, value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.number):
        raise ArgumentError(f"{name} is {value!r}, expected a number or None")
    try:
        number = float(value)
    except OverflowError:
        # A whole number that no float holds is no limit.
        number = math.inf if value > 0 else -math.inf
    if math.isnan(number):
        raise ValueError(f"{name} is nan, expected a number or None")
    return number


def read_asked(
    function: str,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
    algorithm: Any,
    threads: int | None,
    budgets: tuple[Any, Any, Any],
    *,
    padding_mode: Any = "zeros",
    strings: bool = True,
) -> Asked:
    """All that ``function`` is asked for, read in this order.

    Parameters
    ----------
    function : str
        Its name is in errors.
    stride, padding, dilation, groups, algorithm, threads, padding_mode
        As the user gave them.
    budgets : tuple
        What `read_budgets` takes.
    strings : bool
        Whether the padding may be a string.

    Raises
    ------
    ArgumentError, ShapeError, ValueError
        As the functions that read one of them.
    """
    return Asked(
        read_ints("stride", stride, function),
        read_padding(padding, function) if strings else read_ints("padding", padding, function),
        read_ints("dilation", dilation, function), read_groups(groups, function), read_padding_mode(padding_mode),
        read_algorithm(algorithm), threads, read_budgets(*budgets),
    )  # fmt: skip


def read_count(name: str, value: Any, least: int = 0) -> int:
    """A whole number of at least ``least``, NumPy's as well.

    Raises
    ------
    ArgumentError
        It is none.
    ShapeError
        It is less.
    """
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise ArgumentError(f"{name} is {value!r}, expected a whole number") from None
    if number < least:
        raise ShapeError(f"{name} is {number}, expected at least {least}")
    return number


def _whole(name: str, value: Any, item: Any, function: str, *, bools: bool, arrays: bool = True) -> int:
    """``item`` as an int; ``value`` is the argument that it stands in, for the sentence."""
    # What it nearly always is: small convolutions take no longer than the questions below.
    if type(item) is int and _LEAST <= item <= _MOST:
        return item
    refused = isinstance(item, np.bool_) or (isinstance(item, bool) and not bools)
    if isinstance(item, np.ndarray):
        # An array of one number is its number; where a sequence could stand torch takes none.
        refused = not arrays or item.ndim > 0
    try:
        if refused:
            raise TypeError
        number = operator.index(item)
    except TypeError:
        kind = "an int" if name == "groups" else "an int, a pair of ints" + (" or a str" if name == "padding" else "")
        raise ArgumentError(f"{function}(): {name} is {value!r}, expected {kind}") from None
    if not _LEAST <= number <= _MOST:
        raise ValueError("Overflow when unpacking long long")
    return number


def as_array(name: str, value: Any, function: str = "conv2d") -> np.ndarray:
    """A view of an array-like as a NumPy array; copied only where its bytes are in foreign order.

    Taken are NumPy's arrays, objects with ``__array__`` or ``__array_interface__``, with
    ``__dlpack__``, and those that export a buffer. Lists and numbers are refused, as torch does:
    their dtype would be a guess.

    Raises
    ------
    ArgumentError
        It is nothing of these, lies where NumPy cannot read, or has elements that are masked.
    """
    # Nearly always: a small convolution takes no longer than what is asked of others.
    if type(value) is np.ndarray and value.dtype.isnative:
        return value
    if isinstance(value, np.ndarray):
        if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
            count = int(np.ma.getmaskarray(value).sum())
            raise ArgumentError(
                f"{function}(): {name} has {count} masked elements, expected none: give numpy.ma.filled"
            )
        array = np.asarray(value)
    elif isinstance(value, list | tuple | str | bytes | np.generic):
        raise _no_array(name, value, function)
    elif hasattr(value, "__array__") or hasattr(value, "__array_interface__"):
        try:
            array = np.asarray(value)
        except TypeError as refused:
            # Such as a torch tensor of bfloat16, which NumPy has not.
            raise ArgumentError(f"{function}(): {name} cannot be read as a NumPy array: {refused}") from refused
    elif hasattr(value, "__dlpack__"):
        try:
            array = np.from_dlpack(value)
        except (BufferError, RuntimeError) as refused:
            raise ArgumentError(f"{function}(): {name} cannot be read through DLPack: {refused}") from refused
    else:
        try:
            array = np.asarray(memoryview(value))
        except TypeError:
            raise _no_array(name, value, function) from None
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _no_array(name: str, value: Any, function: str) -> ArgumentError:
    return ArgumentError(
        f"{function}(): {name} is of type {type(value).__name__}, expected an array "
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


def check_out(
    out: Any,
    shape: tuple[int, ...],
    dtype: np.dtype,
    inputs: dict[str, np.ndarray | None],
    function: str = "conv2d",
) -> None:
    """Refuse an ``out`` that the result cannot be written to.

    Parameters
    ----------
    out : ndarray
    shape, dtype
        Of the result.
    inputs : dict
        By name, what is read while ``out`` is written.
    function : str
        Who asks.

    Raises
    ------
    ArgumentError
        It is no NumPy array: others may give copies of themselves.
    ShapeError, DtypeError
        Shape, layout or dtype are not the result's, or it shares memory with an input.
    """
    if type(out) is not np.ndarray and (not isinstance(out, np.ndarray) or isinstance(out, np.ma.MaskedArray)):
        raise ArgumentError(f"{function}(): out is of type {type(out).__name__}, expected a NumPy array")
    if out.shape != shape:
        raise ShapeError(f"out has shape {out.shape}, expected {shape}")
    if out.dtype != dtype:
        raise DtypeError(f"out has dtype {out.dtype}, expected {dtype}")
    flags = out.flags
    if not flags.c_contiguous or not flags.writeable:
        raise ShapeError("out is not a writeable C-contiguous array, expected one")
    owns = flags.owndata
    for name, array in inputs.items():
        # Arrays that own their memory share none with another.
        if array is None or (owns and array is not out and array.flags.owndata):
            continue
        if np.may_share_memory(out, array):
            raise ShapeError(f"out overlaps {name}, expected separate memory")
