"""Greatest elements of vectors, as intrinsics; NaN is the greatest, as in torch's max-pool."""

from __future__ import annotations

from typing import Any, NamedTuple

from llvmlite import ir
from numba.extending import intrinsic

from kernels.machine.ir import data_pointer, every, index_value, load_vector
from kernels.machine.register_tile import TileType
from kernels.machine.static import StaticType
from kernels.machine.tile_shape import TileShape

__all__ = ["Window", "tile_maximum", "tile_window"]


class Window(NamedTuple):
    """Neighbours along a row: ``KW`` elements, from one window to the next ``SW``, a vector of ``lanes`` windows."""

    KW: int
    SW: int
    lanes: int


def _greater(builder: ir.IRBuilder, one: ir.Value, other: ir.Value) -> ir.Value:
    # A comparison with NaN is false, which takes the second: the first alone needs a look.
    greater = builder.select(builder.fcmp_ordered(">", one, other), one, other)
    return builder.select(builder.fcmp_unordered("uno", one, one), one, greater)


@intrinsic
def tile_maximum(typingctx: Any, one: Any, other: Any) -> Any:
    """``tile_maximum(one, other)``: element by element the greater of two tiles."""
    if not isinstance(one, TileType) or one != other:
        return None

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        result = ir.Constant(context.get_value_type(one), ir.Undefined)
        for slot in range(one.shape.MR * one.shape.NV):
            pair = (builder.extract_value(each, slot) for each in arguments)
            result = builder.insert_value(result, _greater(builder, *pair), slot)
        return result

    return one(one, other), codegen


@intrinsic
def tile_window(typingctx: Any, window: Any, a: Any, ai: Any) -> Any:
    """``tile_window(window, a, ai)``: one vector, element n the greatest of ``a[ai + n * SW :][:KW]``.

    Read are whole vectors: ``a[ai:][: lanes * SW + KW]`` at most.
    """
    if not isinstance(window, StaticType) or not isinstance(window.value, Window):
        return None
    w: Window = window.value
    tile = TileType(TileShape(1, 1, w.lanes), a.dtype)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        model = context.get_value_type(tile)
        data = data_pointer(context, builder, a, arguments[1])
        start = index_value(context, builder, ai, arguments[2])
        greatest = None
        for first in range(0, w.KW, w.SW):
            # The same vectors serve all columns of a stride.
            loaded = [
                load_vector(builder, data, builder.add(start, start.type(first + v * w.lanes)), model.elements[0])
                for v in range(w.SW)
            ]
            for column in range(min(w.SW, w.KW - first)):
                value = every(builder, loaded, w.SW, column)
                greatest = value if greatest is None else _greater(builder, greatest, value)
        return builder.insert_value(ir.Constant(model, ir.Undefined), greatest, 0)

    return tile(window, a, ai), codegen
