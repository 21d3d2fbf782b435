"""The one parallel region: threads that call a macrokernel, each with a part of its own.

The region is given the macrokernel's address and the number of parts at run time, so it is compiled once for all
families and numbers of threads. One thread enters no region.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable

import numba
import numpy as np
from numba import prange, types
from numba.core import cpu

from kernels.machine.compile import compiled, inner
from kernels.machine.microkernel import Macrokernel, call

__all__ = ["Launch", "address_of", "share_of"]

_Entry = Callable[[int, int, int, int], None]


@inner
def share_of(work, part, parts):  # type: ignore[no-untyped-def]
    """First item of ``work`` that thread ``part`` of ``parts`` takes, and the first of the next."""
    return part * work // parts, (part + 1) * work // parts


def _region(address, record, steps, parts):  # type: ignore[no-untyped-def]
    for step in range(steps):
        for part in prange(parts):
            call(address, (record, step, np.intp(part), parts))


@functools.cache
def _parallel() -> _Entry:
    # Loads the threading layer, which the compiled region calls.
    numba.get_num_threads()
    numba.np.ufunc.parallel._launch_threads()
    address = compiled(_region, (types.intp,) * 4, "parallel", auto_parallel=cpu.ParallelOptions(True))
    return _as_function(address)


def _as_function(address: int) -> _Entry:
    return ctypes.CFUNCTYPE(None, *(ctypes.c_ssize_t,) * 4)(address)


def _address_by_attribute(array: np.ndarray) -> int:
    return array.ctypes.data


def _address_in_object(array: np.ndarray) -> int:
    # Where NumPy's C structure has it, behind the head of every Python object: a fifth of the time of the attribute.
    address: int = ctypes.c_ssize_t.from_address(id(array) + object.__basicsize__).value
    return address


def _is_in_object() -> bool:
    return all(_address_in_object(each) == each.ctypes.data for each in (np.empty(3), np.empty((4, 5))[2:, 1:]))


#: ``address_of(array)``: the address of an array's first element.
address_of: Callable[[np.ndarray], int] = _address_in_object if _is_in_object() else _address_by_attribute


class Launch:
    """A macrokernel bound to its record: ``launch(src, dst, residual)``.

    Parameters
    ----------
    kernel : Macrokernel
        With the fields ``src``, ``dst`` and ``residual``, which each call sets to addresses of its arrays.
    record : ndarray of intp
        What `Macrokernel.record` made.
    threads : int
    steps : int
        Threads meet after each step.
    keep : tuple
        Arrays whose addresses are in the record.
    """

    def __init__(
        self, kernel: Macrokernel, record: np.ndarray, threads: int, steps: int = 1, keep: tuple[object, ...] = ()
    ) -> None:
        self.record, self._steps, self._threads, self._keep = record, steps, threads, keep
        self._places = tuple(kernel.fields.index(name) for name in ("src", "dst", "residual"))
        self._kernel, self._at = kernel.address, record.ctypes.data
        self._entry = _as_function(self._kernel) if threads == 1 else _parallel()

    def __call__(self, src: np.ndarray, dst: np.ndarray, residual: np.ndarray) -> None:
        """Run it over C-contiguous arrays."""
        record, (source, target, added) = self.record, self._places
        record[source], record[target], record[added] = address_of(src), address_of(dst), address_of(residual)
        if self._threads == 1:
            for step in range(self._steps):
                self._entry(self._at, step, 0, 1)
        else:
            self._entry(self._kernel, self._at, self._steps, self._threads)
