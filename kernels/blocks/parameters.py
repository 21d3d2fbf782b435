"""Arrays that belong to a layer, by torch's names."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernels.errors import DtypeError
from kernels.state import own_array

__all__ = ["Parameter", "Record"]


class Record:
    """A layer that is nothing but `Parameter` attributes.

    Attributes
    ----------
    shapes : dict of str to tuple of int
        The shape of every parameter, in torch's order.
    dtype : numpy.dtype
    """

    def __init__(self, shapes: dict[str, tuple[int, ...]], dtype: Any) -> None:
        self.dtype = np.dtype(dtype)
        if self.dtype.name not in ("float32", "float64"):
            raise DtypeError(f"dtype is {self.dtype}, expected float32 or float64")
        self.shapes = shapes
        self._arrays: dict[str, np.ndarray] = {}

    def state_dict(self) -> dict[str, np.ndarray]:
        """The arrays by torch's names, read-only."""
        return dict(self._arrays)


class Parameter:
    """An array of a `Record`, read-only; assign to change it."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, record: Record, owner: type) -> np.ndarray:
        return record._arrays[self._name]

    def __set__(self, record: Record, value: Any) -> None:
        record._arrays[self._name] = own_array(self._name, value, record.shapes[self._name], record.dtype)
