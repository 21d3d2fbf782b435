"""One buffer of scratch, cut into the arrays that a run needs."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

__all__ = ["carve", "workspace_bytes"]

_LINE = 64


def _bytes(shape: tuple[int, ...], dtype: str) -> int:
    """Bytes of one array in whole cache lines."""
    return -(-math.prod(shape) * np.dtype(dtype).itemsize // _LINE) * _LINE


def workspace_bytes(shapes: Mapping[str, tuple[int, ...]], dtype: str) -> int:
    """Bytes that `carve` takes for arrays of these shapes."""
    return sum(_bytes(shape, dtype) for shape in shapes.values())


def carve(workspace: np.ndarray, shapes: Mapping[str, tuple[int, ...]], dtype: str) -> dict[str, np.ndarray]:
    """Views of ``workspace`` by name, each on a cache line of its own; nothing is copied or cleared.

    Parameters
    ----------
    workspace : ndarray of uint8
        At least `workspace_bytes` long.
    shapes : mapping of name to shape
    dtype : str
    """
    views, at = {}, 0
    for name, shape in shapes.items():
        used = math.prod(shape) * np.dtype(dtype).itemsize
        views[name] = workspace[at : at + used].view(dtype).reshape(shape)
        at += _bytes(shape, dtype)
    return views
