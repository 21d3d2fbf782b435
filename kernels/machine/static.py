"""Compile-time constants that travel in the type of an argument.

One source of a kernel is then specialised, and cached on disk, per constant: no closures,
which Numba's cache misses in every process, and no generated source.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numba import types
from numba.core.datamodel.models import OpaqueModel
from numba.extending import NativeValue, register_model, typeof_impl, unbox

__all__ = ["Static", "StaticType", "static"]


@dataclass(frozen=True)
class Static:
    """A hashable value that compiled code sees as a constant; make one with `static`."""

    value: Any


def static(value: Any) -> Static:
    """Wrap a compile-time constant to pass it to a kernel."""
    return Static(value)


class StaticType(types.Type):
    """The type of a `Static`: the value is in the type, no data at run time."""

    def __init__(self, value: Any) -> None:
        self.value = value
        super().__init__(name=f"Static({value!r})")


@typeof_impl.register(Static)
def _typeof_static(value: Static, context: Any) -> StaticType:
    return StaticType(value.value)


register_model(StaticType)(OpaqueModel)


@unbox(StaticType)
def _unbox_static(typ: StaticType, obj: Any, c: Any) -> NativeValue:
    return NativeValue(c.context.get_dummy_value())
