"""Small one-dimensional transforms over vectors, unrolled while their IR is emitted.

A codelet reads a few vectors, combines them and writes a few vectors; every lane is a
channel of its own. What it computes is in the *type* of its first argument (a `Static`
holding a `Codelet`), so that one microkernel serves every transform.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from llvmlite import ir
from numba import types

from kernels.algorithms.transform.codelets.fourier import FftCodelet
from kernels.algorithms.transform.codelets.phased import PhasedCodelet
from kernels.machine.ir import data_pointer, index_value, load_vector, scalar_type, store_vector
from kernels.machine.matrix_codelet import MatrixCodelet
from kernels.machine.static import StaticType, intrinsic

__all__ = ["Codelet", "apply_codelet"]

Value = Any  # an llvmlite value of vector type
Codelet = MatrixCodelet | PhasedCodelet | FftCodelet


@intrinsic
def apply_codelet(
    typingctx: Any,
    codelet: Any,
    lanes: Any,
    a: Any,
    ai: Any,
    a_step: Any,
    a_part: Any,
    c: Any,
    ci: Any,
    c_step: Any,
    c_part: Any,
) -> Any:
    """``apply_codelet(codelet, lanes, a, ai, a_step, a_part, c, ci, c_step, c_part)``.

    Part q of bundle j is the vector at ``a[ai + j * a_step + q * a_part]``; the output is
    laid out likewise in ``c``. All inputs are read before anything is written.
    """
    if not isinstance(codelet, StaticType) or not isinstance(lanes, StaticType):
        return None

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(scalar_type(a.dtype), lanes.value)
        source, target = (
            data_pointer(context, builder, a, arguments[2]),
            data_pointer(context, builder, c, arguments[6]),
        )
        places = [
            index_value(context, builder, kind, arguments[i])
            for i, kind in _places(ai, a_step, a_part, ci, c_step, c_part)
        ]
        width_in, width_out = codelet.value.widths
        inputs = [
            load_vector(builder, source, _offset(builder, places[:3], slot, width_in), vector)
            for slot in range(codelet.value.inputs * width_in)
        ]
        for slot, value in enumerate(codelet.value.emit(builder, inputs)):
            store_vector(builder, value, target, _offset(builder, places[3:], slot, width_out))
        return context.get_dummy_value()

    return types.void(codelet, lanes, a, ai, a_step, a_part, c, ci, c_step, c_part), codegen


def _places(*kinds: Any) -> Iterator[tuple[int, Any]]:
    """Positions of the index arguments, with their types."""
    return zip((3, 4, 5, 7, 8, 9), kinds, strict=True)


def _offset(builder: Any, places: Sequence[Value], slot: int, width: int) -> Value:
    start, step, part = places
    bundle = builder.add(start, builder.mul(step, step.type(slot // width)))
    return builder.add(bundle, builder.mul(part, part.type(slot % width)))
