"""A stencil over a register tile, as intrinsics.

Kernel columns are shifts of what was loaded, in registers, or loads of their own, whichever
is less. Zeros around the source are no memory: lanes beside a row are masked off, rows above
and below are skipped. The branches between source rows also keep LLVM from reordering the
whole tile, which it does until its sums no longer fit the registers.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from kernels.machine.finish import store_finished
from kernels.machine.ir import (
    data_pointer,
    first_lanes,
    fma,
    index_value,
    load_vector,
    masked_load,
    named,
    splat,
)
from kernels.machine.register_tile import TileType
from kernels.machine.static import StaticType
from kernels.machine.stencil import Stencil

__all__ = ["tile_of_channels", "tile_stencil", "tile_store_channels"]

_NUMBER = ir.IntType(32)


def _is_stencil(typ: Any) -> bool:
    return isinstance(typ, StaticType) and isinstance(typ.value, Stencil)


@intrinsic
def tile_of_channels(typingctx: Any, stencil: Any, row: Any, at: Any, live: Any) -> Any:
    """``tile_of_channels(stencil, row, at, live)``: channel oc filled with ``row[at + min(oc, live - 1)]``."""
    if not _is_stencil(stencil):
        return None
    s: Stencil = stencil.value
    tile = TileType(s.tile, row.dtype)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = data_pointer(context, builder, row, arguments[1])
        start, count = (
            index_value(context, builder, typ, value) for typ, value in ((at, arguments[2]), (live, arguments[3]))
        )
        result = ir.Constant(context.get_value_type(tile), ir.Undefined)
        for oc in range(s.OCB):
            offset = count.type(oc)
            inside = builder.icmp_signed("<", offset, count)
            offset = builder.select(inside, offset, builder.sub(count, count.type(1))) if oc else offset
            value = splat(builder, builder.load(builder.gep(data, [builder.add(start, offset)])), s.lanes)
            for m in range(s.R):
                for v in range(s.NV):
                    result = builder.insert_value(result, value, s.slot(oc, m, v))
        return result

    return tile(stencil, row, at, live), codegen


@intrinsic
def tile_stencil(
    typingctx: Any, stencil: Any, tile: Any, a: Any, plane: Any, oh: Any, ow: Any, IH: Any, IW: Any, PH: Any, PW: Any,
    w: Any, block: Any,
) -> Any:  # fmt: skip
    """``tile_stencil(stencil, tile, a, plane, oh, ow, IH, IW, PH, PW, w, block)``: add the stencil over a source plane.

    Element (oc, m, n) of the tile gets the sum over kh and kw of ``w[block, kh, kw, oc] *
    x[(oh + m) * SH - PH + kh * DH, (ow + n) * SW - PW + kw * DW]``, where ``x`` is plane
    number ``plane`` of IH x IW elements and zero outside of it, and ``w`` holds blocks of KH x KW x OCB.
    """
    if not _is_stencil(stencil):
        return None
    s: Stencil = stencil.value

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, taps = data_pointer(context, builder, a, arguments[2]), data_pointer(context, builder, w, arguments[10])
        number, row0, column0, height, width, above, before = (
            index_value(context, builder, typ, value)
            for typ, value in zip((plane, oh, ow, IH, IW, PH, PW), arguments[3:10], strict=True)
        )
        start = builder.mul(number, builder.mul(height, width))
        top = builder.sub(builder.mul(row0, row0.type(s.SH)), above)
        left = builder.sub(builder.mul(column0, column0.type(s.SW)), before)
        first = index_value(context, builder, block, arguments[11])
        first = builder.mul(first, first.type(s.KH * s.KW * s.OCB))
        vector = context.get_value_type(tile).elements[0]

        def weight(k: int) -> Any:
            return splat(builder, builder.load(builder.gep(taps, [builder.add(first, first.type(k))])), s.lanes)

        held = [weight(k) for k in range(s.KH * s.KW * s.OCB)] if s.held else []
        masks = [_inside(builder, left, at, width, s.lanes) if s.masked else None for at in s.loads]
        totals = [builder.extract_value(arguments[1], slot) for slot in range(s.OCB * s.R * s.NV)]
        for row in range(s.source_rows):
            uses = s.uses(row)
            if not uses:
                continue
            line = builder.add(top, top.type(row))
            old_totals = list(totals)
            entry = builder.block
            with builder.if_then(builder.icmp_unsigned("<", line, height), likely=True):
                begin = builder.add(builder.add(start, builder.mul(line, width)), left)
                if s.ahead and row < s.R * s.SH:
                    _prefetch(builder, s, source, builder.add(begin, builder.mul(width, width.type(s.R * s.SH))))
                pieces = [
                    _piece(builder, source, builder.add(begin, begin.type(at)), vector, mask)
                    for at, mask in zip(s.loads, masks, strict=True)
                ]
                for kw in range(s.KW):
                    for v in range(s.NV):
                        pixels = _gather(builder, s.loads, pieces, s.columns(kw, v))
                        for oc in range(s.OCB):
                            for m, kh in uses:
                                slot, k = s.slot(oc, m, v), (kh * s.KW + kw) * s.OCB + oc
                                totals[slot] = fma(builder, held[k] if held else weight(k), pixels, totals[slot])
                inner = builder.block
            for slot, (old, new) in enumerate(zip(old_totals, totals, strict=True)):
                if new is not old:
                    phi = builder.phi(vector)
                    phi.add_incoming(old, entry)
                    phi.add_incoming(new, inner)
                    totals[slot] = phi
        result = arguments[1]
        for slot, total in enumerate(totals):
            result = builder.insert_value(result, total, slot)
        return result

    return tile(stencil, tile, a, plane, oh, ow, IH, IW, PH, PW, w, block), codegen


@intrinsic
def tile_store_channels(
    typingctx: Any, stencil: Any, tile: Any, c: Any, plane: Any, oh: Any, ow: Any, OH: Any, OW: Any, live: Any,
    epilogue: Any, r: Any,
) -> Any:  # fmt: skip
    """``tile_store_channels(stencil, tile, c, plane, oh, ow, OH, OW, live, epilogue, r)``.

    Writes element (oc, m, n), finished with residual ``r``, to row ``oh + m`` and column ``ow + n`` of plane number
    ``plane + oc`` of OH x OW elements, for ``oc < live``, ``oh + m < OH`` and ``n < U``.
    """
    if not _is_stencil(stencil) or not isinstance(epilogue, StaticType):
        return None
    s: Stencil = stencil.value

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data, added = data_pointer(context, builder, c, arguments[2]), data_pointer(context, builder, r, arguments[10])
        number, row0, column0, height, down, channels = (
            index_value(context, builder, typ, value)
            for typ, value in zip((plane, oh, ow, OH, OW, live), arguments[3:9], strict=True)
        )
        across = builder.mul(height, down)
        start = builder.add(builder.mul(number, across), builder.add(builder.mul(row0, down), column0))
        lines = builder.sub(height, row0)
        for oc in range(s.OCB):
            for m in range(s.R):
                here = builder.add(
                    start, builder.add(builder.mul(across, across.type(oc)), builder.mul(down, down.type(m)))
                )
                inside = builder.and_(
                    builder.icmp_signed("<", channels.type(oc), channels),
                    builder.icmp_signed("<", lines.type(m), lines),
                )
                with builder.if_then(inside, likely=True):
                    for v in range(s.NV):
                        value = builder.extract_value(arguments[1], s.slot(oc, m, v))
                        at, count = builder.add(here, here.type(v * s.lanes)), s.U - v * s.lanes
                        if count >= s.lanes:
                            store_finished(builder, epilogue.value, value, data, added, at, None)
                        elif count > 0:
                            mask = first_lanes(builder, here.type(count), s.lanes)
                            store_finished(builder, epilogue.value, value, data, added, at, None, mask)
        return context.get_dummy_value()

    return types.void(stencil, tile, c, plane, oh, ow, OH, OW, live, epilogue, r), codegen


def _inside(builder: Any, left: ir.Value, at: int, width: ir.Value, lanes: int) -> ir.Value:
    """A mask of the lanes whose column, ``left + at`` and on, is in a row of ``width``; 32-bit numbers."""
    begin = splat(builder, builder.trunc(builder.add(left, left.type(at)), _NUMBER), lanes)
    columns = builder.add(begin, ir.Constant(begin.type, list(range(lanes))))
    return builder.icmp_unsigned("<", columns, splat(builder, builder.trunc(width, _NUMBER), lanes))


def _piece(builder: Any, source: ir.Value, at: ir.Value, vector: ir.VectorType, mask: ir.Value | None) -> ir.Value:
    if mask is None:
        return load_vector(builder, source, at, vector)
    return masked_load(builder, vector, source, at, mask)


def _prefetch(builder: Any, s: Stencil, source: ir.Value, at: ir.Value) -> None:
    """Bring the cache lines of one source row under a tile into L1; never faults, wherever they lie."""
    place = ir.IntType(8).as_pointer()
    fetch = named(builder, "llvm.prefetch.p0", ir.VoidType(), [place, _NUMBER, _NUMBER, _NUMBER])
    for v in range(s.NV * s.SW):
        # The last element of each vector: its line is the one that the vector before did not bring.
        here = builder.gep(source, [builder.add(at, at.type((v + 1) * s.lanes - 1))])
        builder.call(fetch, [builder.bitcast(here, place), _NUMBER(0), _NUMBER(3), _NUMBER(1)])


def _gather(builder: Any, begins: tuple[int, ...], pieces: list[ir.Value], columns: list[int | None]) -> ir.Value:
    """The vector of these columns, out of pieces of a row that begin at ``begins``."""
    lanes = len(columns)
    where: list[tuple[int, int] | None] = []
    used: list[int] = []
    # A piece that holds all of them needs no other.
    wanted = [column for column in columns if column is not None]
    whole = [i for i, at in enumerate(begins) if wanted and at <= wanted[0] and wanted[-1] < at + lanes]
    for column in columns:
        if column is None:
            where.append(None)
            continue
        number = whole[-1] if whole else max(i for i, at in enumerate(begins) if at <= column < at + lanes)
        where.append((number, column - begins[number]))
        if number not in used:
            used.append(number)
    if not used:
        return ir.Constant(pieces[0].type, ir.Undefined)
    result = pieces[used[0]]
    if all(each is None or each == (used[0], lane) for lane, each in enumerate(where)):
        return result
    for step, number in enumerate(used[1:] or [used[0]]):
        picks: list[int] = []
        for lane, each in enumerate(where):
            if each is not None and each[0] == number and number != used[0]:
                picks.append(lanes + each[1])
            elif each is not None and each[0] in used[: step + 1]:
                picks.append(each[1] if step == 0 else lane)
            else:
                # Any would do; one that goes on as the others do is one instruction more often.
                picks.append((2 * picks[-1] - picks[-2] if lane > 1 else 0) % (2 * lanes))
        mask = ir.Constant(ir.VectorType(_NUMBER, lanes), picks)
        result = builder.shuffle_vector(result, pieces[number], mask)
    return result
