"""Microkernels and macrokernels: what compiled code is cut into, after BLIS.

A *microkernel* is a small unrolled piece of code that is specialised by a *spec*: a hashable value with what takes
few values, such as the element type, the register tile and the epilogue, and never an extent that a user can vary.
It has one signature whatever its spec, is compiled on its own, cached on its own and called by its address.

A *macrokernel* is a family's loop nest: plain loops over extents, compiled once for all problems, element types and
numbers of threads. Its extents, the addresses of its microkernels and of its arrays come as one record of integers.

Source: Van Zee and van de Geijn, "BLIS: A Framework for Rapidly Instantiating BLAS Functionality" (2015).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel.models import PrimitiveModel
from numba.core.typing.templates import AttributeTemplate
from numba.extending import infer_getattr, lower_getattr_generic, register_model

from kernels.machine.compile import assembly, compiled
from kernels.machine.static import intrinsic, static

__all__ = [
    "Doubles",
    "Elements",
    "Macrokernel",
    "Microkernel",
    "Offsets",
    "Record",
    "call",
    "macrokernel",
    "memory_microkernel",
    "microkernel",
]

#: Annotations of a microkernel's parameters: addresses of elements of ``spec.dtype``, of float64 whatever the spec,
#: and of integers.
Elements = Any
Doubles = Any
Offsets = Any


class Microkernel:
    """A function of a spec and of integers and addresses; made by `microkernel`."""

    def __init__(self, function: Callable[..., None], unroll: bool) -> None:
        self.function, self._unroll = function, unroll
        self.__name__, self.__doc__ = function.__name__, function.__doc__
        parameters = list(inspect.signature(function).parameters.values())
        self._kinds = [str(each.annotation) for each in parameters[1:]]
        self._address = functools.lru_cache(maxsize=None)(self._compiled)

    def _arguments(self, spec: Any) -> tuple[types.Type, ...]:
        element = types.float32 if spec.dtype == "float32" else types.float64
        of = {"Elements": element, "Doubles": types.float64, "Offsets": types.intp}
        kinds = {name: types.CPointer(typ) for name, typ in of.items()}
        return (static(spec).numba_type, *(kinds.get(kind, types.intp) for kind in self._kinds))

    def _compiled(self, spec: Hashable) -> int:
        return compiled(self.function, self._arguments(spec), spec, unroll=self._unroll)

    def address(self, spec: Hashable) -> int:
        """Address of the code for ``spec``; compiled or loaded by the first call."""
        return self._address(spec)

    def assembly(self, spec: Hashable) -> str:
        """The assembly of the code for ``spec``."""
        return assembly(self.function, self._arguments(spec), self._unroll)


def microkernel(function: Callable[..., None]) -> Microkernel:
    """Make a microkernel of a function ``(spec, ...)``, whose others are `Elements`, `Doubles`, `Offsets` or ``int``.

    ``spec`` is a compile-time constant with an attribute ``dtype``; its ``repr`` has to tell it from every other.
    """
    return Microkernel(function, unroll=True)


def memory_microkernel(function: Callable[..., None]) -> Microkernel:
    """`microkernel` for a function that waits for memory: its loops are left as they are, and it compiles sooner."""
    return Microkernel(function, unroll=False)


class Record(types.Type):
    """Numba type of the record of a macrokernel: the address of integers, whose names are in the type."""

    def __init__(self, fields: tuple[str, ...]) -> None:
        self.fields = fields
        super().__init__(name=f"Record({','.join(fields)})")

    @property
    def mangling_args(self) -> tuple[str, tuple[Any, ...]]:
        """What names of symbols are made of."""
        # Not the fields, which would make names of symbols that are thousands of characters long.
        return "Record", (len(self.fields),)


@register_model(Record)
class _RecordModel(PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Record) -> None:
        super().__init__(dmm, fe_type, ir.IntType(8 * np.dtype(np.intp).itemsize).as_pointer())


@infer_getattr
class _RecordAttributes(AttributeTemplate):
    key = Record

    def generic_resolve(self, value: Any, attr: str) -> Any:  # type: ignore[override]
        return types.intp if attr in value.fields else None


@lower_getattr_generic(Record)
def _record_attribute(context: Any, builder: Any, typ: Record, value: Any, attribute: str) -> Any:
    loaded = builder.load(cgutils.gep_inbounds(builder, value, typ.fields.index(attribute)))
    # Nobody writes to a record while a macrokernel runs: what is loaded once need not be loaded after a call.
    loaded.set_metadata("invariant.load", builder.module.add_metadata([]))
    return loaded


@intrinsic
def call(typingctx: Any, address: Any, arguments: Any) -> Any:
    """``call(address, (a, b, ...))``: call the microkernel at ``address``."""
    if not isinstance(address, types.Integer) or not isinstance(arguments, types.BaseTuple):
        return None

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        word = context.get_value_type(types.intp)
        passed = [
            context.cast(builder, builder.extract_value(values[1], i), typ, types.intp)
            for i, typ in enumerate(arguments.types)  # type: ignore[attr-defined]
        ]
        target = ir.FunctionType(ir.VoidType(), [word] * len(passed)).as_pointer()
        builder.call(builder.inttoptr(values[0], target), passed)
        return context.get_dummy_value()

    return types.void(address, arguments), codegen


@intrinsic
def word(typingctx: Any, address: Any, index: Any) -> Any:
    """``word(address, index)``: an integer of a table at ``address`` that nobody writes to meanwhile."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        at = builder.inttoptr(values[0], context.get_value_type(types.intp).as_pointer())
        loaded = builder.load(builder.gep(at, [values[1]]))
        loaded.set_metadata("invariant.load", builder.module.add_metadata([]))
        return loaded

    return types.intp(types.intp, types.intp), codegen


class Macrokernel:
    """A loop nest ``(record, step, part, parts)``; made by `macrokernel`."""

    def __init__(self, function: Callable[..., None], fields: tuple[str, ...]) -> None:
        self.function, self.fields = function, fields
        self.__name__, self.__doc__ = function.__name__, function.__doc__

    @functools.cached_property
    def address(self) -> int:
        """Address of the code; compiled or loaded by the first call."""
        arguments = Record(self.fields), types.intp, types.intp, types.intp
        return compiled(self.function, arguments, self.fields, unroll=False)

    def record(self, **values: int) -> np.ndarray:
        """The record of integers that the loops read; a field that is not given is 0.

        Raises
        ------
        ValueError
            A value is given that is not a field.
        """
        unknown = values.keys() - set(self.fields)
        if unknown:
            raise ValueError(f"the record of {self.__name__} has no {', '.join(sorted(unknown))}")
        return np.array([values.get(field, 0) for field in self.fields], np.intp)


def macrokernel(fields: tuple[str, ...]) -> Callable[[Callable[..., None]], Macrokernel]:
    """Make a macrokernel of a function ``(z, step, part, parts)`` that reads ``fields`` as attributes of ``z``.

    ``src``, ``dst`` and ``residual``, the addresses of the arrays of a call, are fields of every record.

    ``part`` of ``parts`` is the share of a thread; threads meet between steps.
    """
    return lambda function: Macrokernel(function, ("src", "dst", "residual", *fields))
