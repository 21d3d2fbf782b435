"""Rows of vectors, finished, into rows of a map that may be narrower than they are.

A store of a part of a vector is microcode on CPUs without mask registers, and takes as long as six whole ones.
So a row is stored whole while what it overhangs into is written afterwards, by rows below; the last ones go in halves,
quarters and so on.
"""

from __future__ import annotations

from collections.abc import Sequence

from llvmlite import ir

from kernels.epilogue import Epilogue
from kernels.machine.cpu import vector_bytes
from kernels.machine.finish import finished, store_finished
from kernels.machine.ir import first_lanes, hidden, masked_store, store_vector

__all__ = ["store_first", "store_rows"]


def store_rows(
    builder: ir.IRBuilder,
    epilogue: Epilogue,
    rows: Sequence[Sequence[ir.Value]],
    data: ir.Value,
    residual: ir.Value,
    slope: ir.Value,
    offset: ir.Value,
    width: ir.Value,
    lines: ir.Value,
    below: ir.Value | None,
    narrow: bool,
    exist: ir.Value | None = None,
) -> None:
    """Write row m, finished, to ``data[offset + m * width :]`` for ``m < lines``.

    Parameters
    ----------
    builder, epilogue, data, residual, slope
        As for `kernels.machine.finish.store_finished`.
    rows : sequence of sequences of vectors
    offset, width, lines : ir.Value
    below : ir.Value, optional
        How many rows from the first on the caller writes in all, none of them before these; by default these alone.
    narrow : bool
        Whether rows are wider than the map, all but their last vectors not: then ``width`` elements of each are
        written.
    exist : ir.Value, optional
        How many elements of each are written instead, if rows of the map begin before them.
    """
    lanes, left = rows[0][0].type.count, None
    if narrow and exist is None:
        # Elements from the row's first to the end of what the caller writes; hidden, or LLVM would find those of every
        # row before the loops and keep them in memory.
        left = hidden(builder, builder.mul(_least(builder, lines, len(rows)) if below is None else below, width))
    for m, vectors in enumerate(rows):
        with builder.if_then(builder.icmp_signed("<", lines.type(m), lines), likely=True):
            places = [builder.add(offset, offset.type(v * lanes)) for v in range(len(vectors))]
            whole = vectors[:-1] if narrow else vectors
            for value, place in zip(whole, places, strict=False):
                store_finished(builder, epilogue, value, data, residual, place, slope)
            if narrow:
                room = left if exist is None else exist
                fits = builder.icmp_signed(">=", room, width.type(lanes * len(vectors)))
                with builder.if_else(fits, likely=True) as (then, otherwise):
                    with then:
                        store_finished(builder, epilogue, vectors[-1], data, residual, places[-1], slope)
                    with otherwise:
                        count = builder.sub(width if exist is None else exist, width.type(lanes * (len(vectors) - 1)))
                        mask = first_lanes(builder, count, lanes)
                        value = finished(builder, epilogue, vectors[-1], residual, places[-1], slope, mask)
                        if vector_bytes() == 64:
                            masked_store(builder, value, data, places[-1], mask)
                        else:
                            store_first(builder, value, data, places[-1], count)
        offset = builder.add(offset, width)
        if left is not None:
            left = builder.sub(left, width)


def _least(builder: ir.IRBuilder, value: ir.Value, most: int) -> ir.Value:
    return builder.select(builder.icmp_signed("<", value, value.type(most)), value, value.type(most))


def store_first(builder: ir.IRBuilder, value: ir.Value, data: ir.Value, offset: ir.Value, count: ir.Value) -> None:
    """The first ``count`` elements, less than a vector: in parts whose sizes are powers of two."""
    place = builder.gep(data, [offset])
    lanes = value.type.count // 2
    while lanes:
        low, high = (
            builder.shuffle_vector(value, value, ir.Constant(ir.VectorType(ir.IntType(32), lanes), list(picks)))
            for picks in (range(lanes), range(lanes, 2 * lanes))
        )
        taken = builder.icmp_unsigned("!=", builder.and_(count, count.type(lanes)), count.type(0))
        with builder.if_then(taken):
            store_vector(builder, low, place, offset.type(0))
        place = builder.select(taken, builder.gep(place, [offset.type(lanes)]), place)
        value = builder.select(taken, high, low)
        lanes //= 2
