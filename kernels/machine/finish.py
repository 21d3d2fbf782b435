"""The last step of every kernel: a vector of sums through the epilogue, and into memory."""

from __future__ import annotations

from llvmlite import ir

from kernels.epilogue import Epilogue
from kernels.machine.emit import load_vector, masked_load, masked_store, store_vector

__all__ = ["store_finished"]


def store_finished(
    builder: ir.IRBuilder,
    epilogue: Epilogue,
    value: ir.Value,
    data: ir.Value,
    residual: ir.Value,
    offset: ir.Value,
    mask: ir.Value | None = None,
) -> None:
    """Write ``value``, finished, to ``data[offset]``; elements of ``residual`` stand at the same place.

    Lanes outside ``mask`` are neither read nor written.
    """
    if epilogue.residual:
        if mask is None:
            added = load_vector(builder, residual, offset, value.type)
        else:
            added = masked_load(builder, value.type, residual, offset, mask)
        value = builder.fadd(value, added)
    if epilogue.relu:
        zero = ir.Constant(value.type, [0.0] * value.type.count)
        # Ordered: not true of NaN, which is kept. It is one instruction, a maximum.
        value = builder.select(builder.fcmp_ordered("<", value, zero), zero, value)
    if mask is None:
        store_vector(builder, value, data, offset)
    else:
        masked_store(builder, value, data, offset, mask)
