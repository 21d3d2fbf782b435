"""Weights by torch's names: what is missing, unknown or of another shape, in torch's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from kernels.arrays import as_array, check_real
from kernels.errors import ArgumentError, StateDictError

__all__ = ["IncompatibleKeys", "read_state"]


class IncompatibleKeys(NamedTuple):
    """Names that the layer has and the state has not, and the other way round."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


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
