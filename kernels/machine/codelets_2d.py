"""A small two-dimensional transform in one piece: both dimensions of a tile while it is in registers.

Emitted from two codelets of real numbers; what does not fit the registers LLVM keeps on the stack, which is
less than all of it. For transforms of long rows the steps of `kernels.machine.codelets` are better.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from kernels.machine.ir import data_pointer, index_value, load_vector, scalar_type, store_vector
from kernels.machine.static import StaticType

__all__ = ["apply_codelets"]


@intrinsic
def apply_codelets(
    typingctx: Any,
    down: Any,
    across: Any,
    lanes: Any,
    split: Any,
    a: Any,
    ai: Any,
    a_down: Any,
    a_across: Any,
    a_behind: Any,
    c: Any,
    ci: Any,
    c_down: Any,
    c_across: Any,
    c_behind: Any,
) -> Any:
    """Apply ``down`` to columns of vectors, then ``across`` to rows; nothing where one is None.

    Vector (i, j) of the input is at ``a[ai + i * a_down + j * a_across]``, and ``a_behind`` further
    for j from ``split`` on; the output is laid out likewise in ``c``. The codelets, ``lanes`` and
    ``split`` are `Static`. Inputs are read before anything is written.
    """
    if not all(isinstance(each, StaticType) for each in (down, across, lanes, split)):
        return None
    kinds = (ai, a_down, a_across, a_behind, ci, c_down, c_across, c_behind)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if down.value is None or across.value is None:
            return context.get_dummy_value()
        vector = ir.VectorType(scalar_type(a.dtype), lanes.value)
        source = data_pointer(context, builder, a, arguments[4])
        target = data_pointer(context, builder, c, arguments[9])
        numbers = [
            index_value(context, builder, kind, arguments[i])
            for i, kind in zip((5, 6, 7, 8, 10, 11, 12, 13), kinds, strict=True)
        ]

        def offset(places: list[Any], i: int, j: int) -> Any:
            start, step_down, step_across, behind = places
            start = builder.add(start, builder.mul(step_down, step_down.type(i)))
            start = builder.add(start, builder.mul(step_across, step_across.type(j)))
            return start if j < split.value else builder.add(start, behind)

        columns = []
        for j in range(across.value.inputs):
            pixels = [load_vector(builder, source, offset(numbers[:4], i, j), vector) for i in range(down.value.inputs)]
            columns.append(down.value.emit(builder, pixels))
        for i in range(down.value.outputs):
            for j, value in enumerate(across.value.emit(builder, [column[i] for column in columns])):
                store_vector(builder, value, target, offset(numbers[4:], i, j))
        return context.get_dummy_value()

    return types.void(down, across, lanes, split, a, *kinds[:4], c, *kinds[4:]), codegen
