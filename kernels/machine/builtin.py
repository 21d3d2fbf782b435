"""A function without arguments that Python calls as one of its own, not through ctypes: a tenth of a microsecond.

CPython knows such a function by a ``PyMethodDef`` and calls it with the object that it is bound to. That is a tuple
here: the object that a call returns, and an array of words that say what to call. Whoever calls it holds the GIL, and
so does the call to its end. That suits work of a few microseconds, and no other work.
"""

from __future__ import annotations

import ctypes
import functools
import sysconfig
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types

from kernels.machine.compile import compiled
from kernels.machine.microkernel import call, word
from kernels.machine.objects import FIRST_ADDRESS, FIRST_ITEM, is_address_known, is_item_known
from kernels.machine.static import StaticType, number

__all__ = ["IS_SUPPORTED", "builtin"]

#: Whether there is a GIL that a call can hold, and objects are laid out as is known here.
IS_SUPPORTED = is_address_known() and is_item_known() and not sysconfig.get_config_var("Py_GIL_DISABLED")

#: Flag of a method that takes no arguments.
_NO_ARGUMENTS = 0x0004
_WORD_BYTES = ctypes.sizeof(ctypes.c_ssize_t)


class _MethodDef(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p), ("address", ctypes.c_void_p), ("flags", ctypes.c_int), ("doc", ctypes.c_char_p)
    )  # fmt: skip


#: CPython's own maker of functions, of a definition, the object that it is bound to, and the name of a module or none.
_NEW = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.POINTER(_MethodDef), ctypes.py_object, ctypes.c_void_p)(
    ("PyCFunction_NewEx", ctypes.pythonapi)
)


def _enter(held, nothing, item, address):  # type: ignore[no-untyped-def]
    """As CPython calls a method: call what the words say, and return the object with a reference more."""
    returned, words = word(held, number(item)), word(word(held, number(item) + 1), number(address))
    call(word(words, 0), (word(words, 1),))
    call(word(words, 2), (returned,))
    return returned


@functools.cache
def _method() -> _MethodDef:
    """The definition that all such functions share; CPython keeps its address."""
    places = FIRST_ITEM // _WORD_BYTES, FIRST_ADDRESS // _WORD_BYTES
    constants = tuple(StaticType(each) for each in places)
    address = compiled(_enter, (types.intp, types.intp, *constants), *places, result=types.intp, unroll=False)
    return _MethodDef(b"run", address, _NO_ARGUMENTS, b"Run compiled code on arrays that stay where they are.")


def builtin(address: int, argument: int, returned: object, keep: tuple[object, ...]) -> Callable[[], Any]:
    """A function that calls the C function at ``address`` with ``argument``, and returns ``returned``.

    Parameters
    ----------
    address : int
        Of a C function without a result that takes one word and neither fails nor waits for another thread.
    argument : int
    returned : object
    keep : tuple of object
        What must live as long as the function does.
    """
    add_reference = ctypes.cast(ctypes.pythonapi.Py_IncRef, ctypes.c_void_p).value
    words = np.array([address, argument, add_reference], np.intp)
    function: Callable[[], Any] = _NEW(_method(), (returned, words, keep), None)
    return function
