"""Reads `conv2d`'s numbers as torch's argument parser does: what is a number, a pair, a string, and what is refused."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, SupportsIndex

import numpy as np

from kernels.errors import ArgumentError, ShapeError

__all__ = ["PADDING_MODES", "Ints", "Padding", "read_groups", "read_ints", "read_padding", "read_padding_mode"]

#: As `conv2d` is called: a whole number, or a sequence of them.
Ints = SupportsIndex | Sequence[SupportsIndex]

#: As it is read: numbers, one or two where they are right, or a string that nobody has looked at yet.
Padding = list[int] | str

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")

#: torch keeps numbers in 64 bits.
_LEAST, _MOST = -(2**63), 2**63 - 1


def read_ints(name: str, value: Any) -> list[int]:
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
    if isinstance(value, list | tuple):
        return [_whole(name, value, item, bools=place > 0) for place, item in enumerate(value)]
    number = _whole(name, value, value, bools=False, arrays=False)
    return [number, number]


def read_padding(value: Any) -> Padding:
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
    return read_ints("padding", value)


def read_groups(value: Any) -> int:
    """One whole number.

    Raises
    ------
    ArgumentError, ValueError
        As `read_ints`.
    """
    return _whole("groups", value, value, bools=False)


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


def _whole(name: str, value: Any, item: Any, *, bools: bool, arrays: bool = True) -> int:
    """``item`` as an int; ``value`` is the argument that it stands in, for the sentence."""
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
        raise ArgumentError(f"conv2d(): {name} is {value!r}, expected {kind}") from None
    if not _LEAST <= number <= _MOST:
        raise ValueError("Overflow when unpacking long long")
    return number
