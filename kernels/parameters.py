"""Arrays that a layer owns, and state dicts by torch's names: what is missing or does not fit, in torch's words."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

import numpy as np

from kernels.arguments import as_array, check_real
from kernels.errors import ArgumentError, DtypeError, ShapeError, StateDictError
from kernels.recent import Same

__all__ = ["IncompatibleKeys", "Owner", "Parameter", "Record", "own_array", "read_state"]


class IncompatibleKeys(NamedTuple):
    """Names that the layer has and the state has not, and the other way round."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


def own_array(name: str, value: Any, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """A read-only copy of an array-like, rounded to ``dtype``.

    Raises
    ------
    ShapeError, DtypeError, ArgumentError
        It is of another shape, no real numbers, or no array.
    """
    given = as_array(name, value)
    check_real(name, given)
    if given.shape != shape:
        raise ShapeError(f"{name} has shape {given.shape}, expected {shape}")
    return frozen(np.array(given, dtype, order="C"))


def frozen(array: np.ndarray) -> np.ndarray:
    """A view that nothing can be written through, of an array that is nowhere else."""
    array.flags.writeable = False
    # Of a view the flag cannot be set again.
    return array.view()


def read_state(
    state: Any, shapes: Mapping[str, tuple[int, ...]], strict: bool, layer: str
) -> tuple[dict[str, np.ndarray], IncompatibleKeys]:
    """Arrays by name, and the names that do not match.

    Raises
    ------
    StateDictError
        One message of all that does not fit, as torch's.
    DtypeError
        Elements are no real numbers.
    ArgumentError
        It is no mapping.
    """
    if not isinstance(state, Mapping):
        raise ArgumentError(f"Expected state_dict to be dict-like, got {type(state)}.")
    keys = IncompatibleKeys([name for name in shapes if name not in state], [n for n in state if n not in shapes])
    found = {name: as_array(name, state[name]) for name in shapes if name in state}
    faults = []
    if strict:
        for what, names in (("Missing", keys.missing_keys), ("Unexpected", keys.unexpected_keys)):
            if names:
                quoted = ", ".join(f'"{name}"' for name in names)
                faults.append(f"{what} key(s) in state_dict: {quoted}. ")
    faults += [
        f"size mismatch for {name}: copying a param with shape {_size(array.shape)} from checkpoint, "
        f"the shape in current model is {_size(shapes[name])}."
        for name, array in found.items()
        if array.shape != shapes[name]
    ]
    if faults:
        raise StateDictError("\n\t".join((f"Error(s) in loading state_dict for {layer}:", *faults)))
    for name, array in found.items():
        check_real(name, array)
    return found, keys


def _size(shape: tuple[int, ...]) -> str:
    return f"torch.Size({list(shape)})"


class Owner:
    """What owns arrays that are read-only, in copies and pickles of it too.

    Attributes
    ----------
    _arrays : dict of str to ndarray
        By torch's names. Another dict takes its place if one of them changes, so a copy does not change with it, and
        the dict itself stands for what it holds.
    """

    _arrays: Mapping[str, np.ndarray]

    def state_dict(self) -> dict[str, np.ndarray]:
        """The arrays by torch's names, read-only."""
        return dict(self._arrays)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        # What was copied or pickled may be written to; what a shallow copy shares may not, and stays as it is.
        self._arrays = {name: frozen(array) if array.flags.writeable else array for name, array in self._arrays.items()}


class Record(Owner):
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
        self._arrays = {}

    def made_of(self) -> Hashable:
        """All that results depend on."""
        return Same(*self._arrays.values())


class Parameter:
    """An array of a `Record`, read-only; assign to change it."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, record: Record, owner: type) -> np.ndarray:
        return record._arrays[self._name]

    def __set__(self, record: Record, value: Any) -> None:
        array = own_array(self._name, value, record.shapes[self._name], record.dtype)
        record._arrays = {**record._arrays, self._name: array}
