"""Compile-time constants that travel in the type of an argument.

One source of a kernel is then specialised, and cached on disk, per constant: no closures,
which Numba's cache misses in every process, and no generated source. Attributes of a
constant are constants too, so one argument carries all that a kernel is specialised by
(Numba takes about four microseconds a call to find the type of each such argument).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from numba import extending, types
from numba.core.datamodel.models import OpaqueModel
from numba.core.typing.templates import AttributeTemplate
from numba.extending import (
    NativeValue,
    infer_getattr,
    lower_getattr_generic,
    register_model,
    typeof_impl,
    unbox,
)

__all__ = ["Static", "StaticType", "intrinsic", "number", "static"]

#: Longer representations are shortened to a digest: type names become names of symbols.
_LONGEST_NAME = 24


def intrinsic(function: Callable[..., Any]) -> Any:
    """Numba's ``intrinsic``, of a type that lets compiled code call it without its first parameter."""
    return extending.intrinsic(function)


class StaticType(types.Type):
    """The type of a `Static`: the value is in the type, no data at run time."""

    def __init__(self, value: Any) -> None:
        self.value = value
        text = repr(value)
        if len(text) > _LONGEST_NAME:
            text = hashlib.sha256(text.encode()).hexdigest()[:_LONGEST_NAME]
        super().__init__(name=f"Static({text})")


class Static:
    """A value that compiled code sees as a constant; make one with `static`."""

    def __init__(self, value: Any) -> None:
        self.value = value
        # Made once: its name is a digest, and Numba asks for the type at every call.
        self.numba_type = StaticType(value)


def static(value: Any) -> Static:
    """Wrap a compile-time constant, whose ``repr`` tells it from every other, to pass it to a kernel."""
    return Static(value)


@typeof_impl.register(Static)
def _typeof_static(value: Static, context: Any) -> StaticType:
    return value.numba_type


register_model(StaticType)(OpaqueModel)


@unbox(StaticType)
def _unbox_static(typ: StaticType, obj: Any, c: Any) -> NativeValue:
    return NativeValue(c.context.get_dummy_value())


@infer_getattr
class _StaticAttributes(AttributeTemplate):
    key = StaticType

    def generic_resolve(self, value: Any, attr: str) -> Any:  # type: ignore[override]
        return StaticType(getattr(value.value, attr)) if hasattr(value.value, attr) else None


@lower_getattr_generic(StaticType)
def _static_attribute(context: Any, builder: Any, typ: StaticType, value: Any, attribute: str) -> Any:
    return context.get_dummy_value()


@intrinsic
def number(typingctx: Any, value: Any) -> Any:
    """``number(value)``: a compile-time constant as an integer to calculate with."""
    if not isinstance(value, StaticType) or not isinstance(value.value, int):
        return None

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.get_constant(types.intp, int(value.value))

    return types.intp(value), codegen
