"""The one parallel region: threads that call a macrokernel, each with a part of its own.

The region is given the macrokernel's address and the number of parts at run time, so it is compiled once for all
families and numbers of threads. One thread enters no region.
"""

from __future__ import annotations

import ctypes
import functools
import struct
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import prange, types
from numba.core import cgutils, cpu

from kernels.machine.compile import compiled
from kernels.machine.microkernel import Macrokernel, call
from kernels.machine.static import intrinsic
from kernels.machine.target import inner

__all__ = ["Launch", "address_of", "share_of"]


@inner
def share_of(work, part, parts):  # type: ignore[no-untyped-def]
    """First item of ``work`` that thread ``part`` of ``parts`` takes, and the first of the next thread."""
    return part * work // parts, (part + 1) * work // parts


@intrinsic
def place_arrays(typingctx: Any, bound: Any) -> Any:
    """``place_arrays(bound)``: write the addresses of a call's arrays into the record, whose first fields they are."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        word = context.get_value_type(types.intp).as_pointer()

        def at(first: Any, place: int) -> Any:
            return cgutils.gep_inbounds(builder, first, place)

        record = builder.inttoptr(builder.load(at(values[0], 1)), word)
        for i in range(3):
            array = builder.inttoptr(builder.load(at(values[0], 4 + i)), word)
            builder.store(builder.load(array), at(record, i))
        return context.get_dummy_value()

    return types.void(bound), codegen


def _one_thread(bound):  # type: ignore[no-untyped-def]
    place_arrays(bound)
    kernel, record, steps = bound[0], bound[1], bound[2]
    for step in range(steps):
        call(kernel, (record, step, 0, 1))


def _many_threads(bound):  # type: ignore[no-untyped-def]
    place_arrays(bound)
    kernel, record, steps, parts = bound[0], bound[1], bound[2], bound[3]
    for step in range(steps):
        for part in prange(parts):
            call(kernel, (record, step, np.intp(part), parts))


_ENTRY = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


@functools.cache
def _entry(is_parallel: bool) -> Callable[..., None]:
    """``entry(bound)``: calls the macrokernel that the integers at ``bound`` describe; see `Launch`."""
    arguments = (types.CPointer(types.intp),)
    if not is_parallel:
        return _ENTRY(compiled(_one_thread, arguments))
    # Loads the threading layer, whose functions the compiled region calls.
    numba.np.ufunc.parallel._launch_threads()
    return _ENTRY(compiled(_many_threads, arguments, auto_parallel=cpu.ParallelOptions(True)))


#: Where the address of its elements stands in an array object: first behind the head of every Python object.
_PLACE = object.__basicsize__


def _is_in_object() -> bool:
    arrays = np.empty(3), np.empty((4, 5))[2:, 1:]
    return all(ctypes.c_ssize_t.from_address(id(each) + _PLACE).value == each.ctypes.data for each in arrays)


#: Whether compiled code may read addresses from array objects, which takes a tenth of the time of asking for them.
_IN_OBJECT = _is_in_object()


def address_of(array: np.ndarray) -> int:
    """Address of the first element of ``array``."""
    return array.ctypes.data


class Launch:
    """A macrokernel bound to its record: ``launch(src, dst, residual)``. It serves one call at a time.

    Parameters
    ----------
    kernel : Macrokernel
    record : ndarray of intp
        What `Macrokernel.record` made. Each call writes the addresses of its arrays into it.
    threads : int
    steps : int
        Threads meet after each step.
    keep : tuple
        Arrays whose addresses are in the record.
    """

    def __init__(
        self, kernel: Macrokernel, record: np.ndarray, threads: int, steps: int = 1, keep: tuple[object, ...] = ()
    ) -> None:
        self.record, self._keep = record, keep
        self._call = _entry(threads > 1)
        # What the entry reads: four integers, and where the addresses of the three arrays stand.
        self._bound = np.array([kernel.address, record.ctypes.data, steps, threads, 0, 0, 0], np.intp)
        self._argument = ctypes.c_void_p(self._bound.ctypes.data)
        self._places = self._bound[4:].data.cast("B")

    def __call__(self, src: np.ndarray, dst: np.ndarray, residual: np.ndarray) -> None:
        """Run it over C-contiguous arrays."""
        if _IN_OBJECT:
            _PACK(self._places, 0, id(src) + _PLACE, id(dst) + _PLACE, id(residual) + _PLACE)
            self._call(self._argument)
            return
        addresses = np.array([address_of(each) for each in (src, dst, residual)], np.intp)
        first, width = addresses.ctypes.data, addresses.itemsize
        _PACK(self._places, 0, first, first + width, first + 2 * width)
        self._call(self._argument)


_PACK = struct.Struct("3n").pack_into
