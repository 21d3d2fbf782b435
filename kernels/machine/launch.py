"""Calling compiled code without what a call of Numba's costs: 0.5 microseconds instead of 5 to 10.

A dispatcher finds the types of all arguments anew at every call, and a plan's never change.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

__all__ = ["Launch"]


class Launch:
    """What all calls of one plan have in common, found at the first: see `bound` and `call`.

    It is among what an algorithm's ``prepare`` returns, so that it lives as long as the plan.
    """

    def __init__(self) -> None:
        self._workspace: np.ndarray | None = None
        self._threads = 0
        self._common: Any = None
        self._entry: Callable[..., Any] | None = None

    def bound(self, workspace: np.ndarray, threads: int, make: Callable[..., Any], *arguments: Any) -> Any:
        """``make(*arguments)``, called once for a workspace and a number of threads."""
        if workspace is not self._workspace or threads != self._threads:
            self._common = make(*arguments)
            self._workspace, self._threads, self._entry = workspace, threads, None
        return self._common

    def call(self, dispatcher: Any, *arguments: Any) -> None:
        """Call a compiled function: between calls of `bound` that make, the same one with the same types."""
        if self._entry is None:
            dispatcher(*arguments)
            types = tuple(numba.typeof(each) for each in arguments)
            self._entry = dispatcher.overloads[types].entry_point
        else:
            self._entry(*arguments)
