"""The one parallel region: threads that call a macrokernel, each with a part of its own.

Threads are those of Numba's threading layer. It is asked as Numba's own ``target="parallel"`` asks it: for a C function
to be called with each row of a table. A row names a macrokernel and a part, so what is compiled knows neither
families nor numbers of threads. (A ``prange`` does the same, but the code around it takes half a second to compile,
and with that all that Numba knows of arrays.) One thread enters no region.
"""

from __future__ import annotations

import ctypes
import functools
import struct
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from numba import types
from numba.core import cgutils

from kernels.machine.builtin import IS_SUPPORTED, builtin
from kernels.machine.compile import compiled
from kernels.machine.microkernel import Macrokernel, call, word
from kernels.machine.objects import FIRST_ADDRESS, is_address_known
from kernels.machine.static import intrinsic
from kernels.machine.target import inner
from kernels.machine.threads import is_cut_off, region

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
    """Several parts one after the other, if there are no other threads."""
    place_arrays(bound)
    for step in range(bound[2]):
        for part in range(bound[3]):
            call(bound[0], (bound[1], step, part, bound[3]))


def _many_threads(bound):  # type: ignore[no-untyped-def]
    """Threads meet after each step."""
    place_arrays(bound)
    for step in range(bound[2]):
        # As gufuncs are called: no dimensions of their own, one array, whose rows are shared out to so many threads.
        call(bound[7], (bound[8], bound[9], bound[10], bound[11], step, 0, 1, bound[3]))


def _rows(tables, counts, strides, step):  # type: ignore[no-untyped-def]
    """Work off rows of a table, as the threading layer calls a gufunc: kernel, record, part, parts."""
    for i in range(counts[0]):
        row = tables[0] + i * strides[0]
        call(word(row, 0), (word(row, 1), step, word(row, 2), word(row, 3)))


#: Types of functions that release the GIL while they run, and of ones that hold it.
_RELEASING, _HOLDING = (make(None, ctypes.c_void_p) for make in (ctypes.CFUNCTYPE, ctypes.PYFUNCTYPE))


_WORDS = types.CPointer(types.intp)


def _entry_address(is_parallel: bool) -> int:
    """Of the function that calls the macrokernel which the integers at its argument describe; see `Launch`."""
    return compiled(_many_threads if is_parallel else _one_thread, (_WORDS,), unroll=False)


@functools.cache
def _entry(is_parallel: bool, is_held: bool = False) -> Callable[..., None]:
    """``entry(bound)``: that function, with or without the GIL."""
    return (_HOLDING if is_held else _RELEASING)(_entry_address(is_parallel))


def _threading(kernel: int, record: int, threads: int) -> tuple[list[int], tuple[np.ndarray, ...]]:
    """What `_many_threads` calls the threading layer with, and the arrays that it points into."""
    rows = np.array([(kernel, record, part, threads) for part in range(threads)], np.intp)
    table, counts, strides = (np.array([each], np.intp) for each in (rows.ctypes.data, threads, rows.strides[0]))
    function = compiled(_rows, (_WORDS, _WORDS, _WORDS, types.intp), unroll=False)
    layer: int = llvm.address_of_symbol("numba_parallel_for")
    return [layer, function, *(each.ctypes.data for each in (table, counts, strides))], (rows, table, counts, strides)


#: Whether the addresses of a call's arrays are read from the array objects themselves.
_IN_OBJECT = is_address_known()


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
        self._region = region() if threads > 1 else None
        more, tables = _threading(kernel.address, record.ctypes.data, threads) if threads > 1 else ([], ())
        self.record, self._keep = record, (keep, tables)
        self.is_held = False
        self._call = _entry(threads > 1)
        # What the entry reads: four integers, where the addresses of the three arrays stand, and what threads need.
        self._bound = np.array([kernel.address, record.ctypes.data, steps, threads, 0, 0, 0, *more], np.intp)
        self._argument = ctypes.c_void_p(self._bound.ctypes.data)
        self._places = self._bound[4:7].data.cast("B")

    def __call__(self, src: np.ndarray, dst: np.ndarray, residual: np.ndarray) -> None:
        """Run it over C-contiguous arrays."""
        if _IN_OBJECT:
            _PACK(self._places, 0, id(src) + FIRST_ADDRESS, id(dst) + FIRST_ADDRESS, id(residual) + FIRST_ADDRESS)
        else:
            addresses = np.array([address_of(each) for each in (src, dst, residual)], np.intp)
            first, width = addresses.ctypes.data, addresses.itemsize
            _PACK(self._places, 0, first, first + width, first + 2 * width)
        self._enter(self._argument)

    def bound(self, src: np.ndarray, dst: np.ndarray, residual: np.ndarray) -> Callable[[], None]:
        """``self(src, dst, residual)`` as a function of nothing, which finds no addresses anew."""
        own, keep = self._placed(src, dst, residual)
        # A function of one argument that is there already is called sooner than one that looks for it.
        call = functools.partial(self._call if self._region is None else self._enter, ctypes.c_void_p(own))
        call.keep = keep  # type: ignore[attr-defined]
        return call

    def hold(self) -> bool:
        """Let every call hold the GIL from now on, so that none waits for another; whether that can be.

        For work of a few microseconds on one thread: to let the GIL go and take a lock instead takes as long.
        """
        self.is_held = IS_SUPPORTED and self._region is None
        if self.is_held:
            self._call = _entry(False, is_held=True)
        return self.is_held

    def builtin(self, src: np.ndarray, dst: np.ndarray, residual: np.ndarray) -> Callable[[], np.ndarray]:
        """`bound` as CPython's own functions are called, returning ``dst``; only if calls hold the GIL."""
        assert self.is_held
        own, keep = self._placed(src, dst, residual)
        return builtin(_entry_address(False), own, dst, keep)

    def _placed(self, *arrays: np.ndarray) -> tuple[int, tuple[object, ...]]:
        """Address of what the entry reads for these arrays, and what must live as long."""
        words = np.array([address_of(each) for each in arrays], np.intp)
        own = self._bound.copy()
        own[4:7] = address_of(words) + words.itemsize * np.arange(3)
        return address_of(own), (self, arrays, words, own)

    def _enter(self, argument: ctypes.c_void_p) -> None:
        if self._region is None:
            self._call(argument)
        elif is_cut_off():
            _entry(False)(argument)
        else:
            with self._region:
                self._call(argument)


_PACK = struct.Struct("3n").pack_into
