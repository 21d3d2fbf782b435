"""The last step of every kernel: a vector of sums through the epilogue, and into memory."""

from __future__ import annotations

from llvmlite import ir

from kernels.epilogue import Epilogue
from kernels.machine.ir import load_vector, masked_load, masked_store, splat, store_vector

__all__ = ["finished", "store_finished"]


def store_finished(
    builder: ir.IRBuilder,
    epilogue: Epilogue,
    value: ir.Value,
    data: ir.Value,
    residual: ir.Value,
    offset: ir.Value,
    slope: ir.Value,
    mask: ir.Value | None = None,
) -> None:
    """Write ``value``, finished, to ``data[offset]``; elements of ``residual`` stand at the same place.

    ``slope`` is the address of what a leaky ReLU multiplies by: a user's number, and no constant of the code.
    Lanes outside ``mask`` are neither read nor written.
    """
    value = finished(builder, epilogue, value, residual, offset, slope, mask)
    if mask is None:
        store_vector(builder, value, data, offset)
    else:
        masked_store(builder, value, data, offset, mask)


def finished(
    builder: ir.IRBuilder,
    epilogue: Epilogue,
    value: ir.Value,
    residual: ir.Value,
    offset: ir.Value,
    slope: ir.Value,
    mask: ir.Value | None = None,
) -> ir.Value:
    """``value`` as `store_finished` writes it."""
    if epilogue.residual and not epilogue.residual_last:
        value = _added(builder, value, residual, offset, mask)
    if epilogue.relu:
        least = ir.Constant(value.type, [0.0] * value.type.count)
        if epilogue.slope:
            least = builder.fmul(value, splat(builder, builder.load(slope), value.type.count))
        # Ordered: not true of NaN, which is kept. It is one instruction, a maximum.
        value = builder.select(builder.fcmp_ordered("<", value, least), least, value)
    if epilogue.residual and epilogue.residual_last:
        value = _added(builder, value, residual, offset, mask)
    return value


def _added(
    builder: ir.IRBuilder, value: ir.Value, residual: ir.Value, offset: ir.Value, mask: ir.Value | None
) -> ir.Value:
    if mask is None:
        return builder.fadd(value, load_vector(builder, residual, offset, value.type))
    return builder.fadd(value, masked_load(builder, value.type, residual, offset, mask))
