"""Prefetching as an intrinsic: a hint that reads nothing and may point anywhere."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from kernels.machine.emit import data_pointer, index_value, named
from kernels.machine.static import StaticType

__all__ = ["prefetch"]

_LINE = 64


@intrinsic
def prefetch(typingctx: Any, a: Any, ai: Any, ahead: Any, count: Any) -> Any:
    """``prefetch(a, ai, ahead, count)``: fetch ``a[ai + ahead :][:count]`` into the caches; ``count`` is a `Static`."""
    if not isinstance(count, StaticType):
        return None

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = data_pointer(context, builder, a, arguments[0])
        start, further = (
            index_value(context, builder, kind, value) for kind, value in ((ai, arguments[1]), (ahead, arguments[2]))
        )
        start = builder.add(start, further)
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        hint = named(builder, "llvm.prefetch.p0", ir.VoidType(), [byte, number, number, number])
        step = _LINE * 8 // a.dtype.bitwidth
        for offset in range(0, count.value, step):
            place = builder.bitcast(builder.gep(data, [builder.add(start, start.type(offset))]), byte)
            # To read, of high locality, data.
            builder.call(hint, [place, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(a, ai, ahead, count), codegen
