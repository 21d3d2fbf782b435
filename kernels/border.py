"""Padding that is not of zeros: a border of the input's own elements, as ``torch.nn.functional.pad`` makes it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Literal

import numpy as np

from kernels.errors import ShapeError

__all__ = ["Border", "check_not_negative", "check_rank"]

#: torch's name: NumPy's.
_NUMPY_MODES: dict[str, Literal["reflect", "edge", "wrap"]] = {
    "reflect": "reflect",
    "replicate": "edge",
    "circular": "wrap",
}

_Places = list[tuple[slice, np.ndarray]]


def check_rank(shape: Sequence[int], function: str = "conv2d") -> None:
    """Refuse an input with other than 3 or 4 dimensions."""
    if len(shape) not in (3, 4):
        raise ShapeError(
            f"Expected 3D (unbatched) or 4D (batched) input to {function}, but got input of size: {list(shape)}"
        )


def check_not_negative(padding: Sequence[int]) -> None:
    """Refuse padding that would cut."""
    if min(padding) < 0:
        raise ShapeError("negative padding is not supported")


class Border:
    """A border around maps of one shape: ``border(src)`` is a copy with it.

    Parameters
    ----------
    shape : tuple of int
        Of the input, (N, C, H, W) or (C, H, W).
    mode : {"reflect", "replicate", "circular"}
    rows, columns : tuple of two int
        Above and below, to the left and to the right.

    Attributes
    ----------
    shape : tuple of int
        With the border.
    """

    def __init__(self, shape: tuple[int, ...], mode: str, rows: tuple[int, int], columns: tuple[int, int]) -> None:
        H, W = shape[-2:]
        self.shape = (*shape[:-2], H + sum(rows), W + sum(columns))
        self._inside = slice(rows[0], rows[0] + H), slice(columns[0], columns[0] + W)
        self._made_of = (H, rows, mode), (W, columns, mode)

    @functools.cached_property
    def _sources(self) -> tuple[_Places, _Places]:
        """Rows and columns of the border, and those of the input that stand there."""
        rows, columns = (_sources(*each) for each in self._made_of)
        return rows, columns

    @classmethod
    def around(
        cls, shape: tuple[int, ...], mode: str, rows: tuple[int, int], columns: tuple[int, int]
    ) -> Border | None:
        """The border that ``torch.nn.Conv2d(padding_mode=mode)`` puts around an input; None if it is of no extent.

        Raises
        ------
        ShapeError
            The input is too small for it, or has no elements to take it from: torch's words.
        """
        check_not_negative((*rows, *columns))
        _check(shape, mode, rows, columns)
        return cls(shape, mode, rows, columns) if any((*rows, *columns)) else None

    def __call__(self, src: np.ndarray) -> np.ndarray:
        """A copy of ``src`` with the border."""
        padded = np.empty(self.shape, src.dtype)
        rows, columns = self._inside
        across = padded[..., rows, :]
        across[..., columns] = src
        # Found once there is room for the result: as many numbers as rows and columns.
        of_rows, of_columns = self._sources
        for place, found in of_columns:
            across[..., place] = src[..., found]
        for place, found in of_rows:
            padded[..., place, :] = across[..., found, :]
        return padded

    def folded(self, grad: np.ndarray) -> np.ndarray:
        """The gradient of an input, from that of its copy with the border: elements sum what was copied of them."""
        rows, columns = self._inside
        of_rows, of_columns = self._sources
        across = grad[..., rows, :].copy()
        for place, found in of_rows:
            for row, source in zip(range(place.start, place.stop), found, strict=True):
                across[..., source, :] += grad[..., row, :]
        summed = across[..., columns].copy()
        for place, found in of_columns:
            for column, source in zip(range(place.start, place.stop), found, strict=True):
                summed[..., source] += across[..., column]
        return summed


def _sources(extent: int, sides: tuple[int, int], mode: str) -> _Places:
    before, after = sides
    found = np.pad(np.arange(extent), sides, mode=_NUMPY_MODES[mode]) if extent else np.arange(0)
    places = slice(0, before), slice(before + extent, before + extent + after)
    return [(place, found[place]) for place, count in zip(places, sides, strict=True) if count]


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
