"""A stencil over a register tile: output channels x output rows x vectors of pixels.

Pixels are the vector side, so nothing is transposed on the way out, and a group of any
number of channels fills its vectors. A source row is loaded once for all kernel columns
(which are shifts in registers), for all output channels and for all output rows of the
tile. Zeros around the source are no memory: lanes beside a row are masked off, rows above
and below are skipped.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from kernels.machine.blocking import TileShape, vector_bytes
from kernels.machine.emit import (
    data_pointer,
    first_lanes,
    fma,
    index_value,
    load_vector,
    masked_load,
    masked_store,
    named,
    splat,
    store_vector,
)
from kernels.machine.simd import TileType
from kernels.machine.static import StaticType

__all__ = ["Stencil", "number", "pick_stencil", "tile_of_channels", "tile_stencil", "tile_store_channels"]

#: Narrowest vectors, in bytes, whose lanes the hardware masks.
_MASKED_BYTES = 32
_NUMBER = ir.IntType(32)
#: Source planes up to this size come into L1 by themselves: half of 32 KB.
_NEAR_BYTES = 16 * 1024
#: Multiply-adds of one input channel that are worth a straight line of code.
_LONGEST = 700


@dataclass(frozen=True)
class Stencil:
    """A tile and the stencil over it.

    Attributes
    ----------
    OCB, R, NV, lanes : int
        Output channels, output rows, vectors of output columns, and elements a vector.
    U : int
        Output columns that count, at most NV x lanes.
    KH, KW, SH, SW, DH, DW : int
        Kernel extents, strides and dilations.
    masked : bool
        Whether there are no zeros around the source, and lanes beside it are masked off.
    ahead : bool
        Whether to fetch the source rows of the tile below, which the strip of narrow tiles
        reaches only after the whole width of this one.
    """

    OCB: int
    R: int
    NV: int
    lanes: int
    U: int
    KH: int
    KW: int
    SH: int
    SW: int
    DH: int
    DW: int
    masked: bool
    ahead: bool

    @property
    def tile(self) -> TileShape:
        """Rows are (channel, output row)."""
        return TileShape(self.OCB * self.R, self.NV, self.lanes)

    @property
    def NR(self) -> int:
        """Output columns."""
        return self.NV * self.lanes

    @property
    def held(self) -> bool:
        """Whether the weights of one input channel stay in registers; they are broadcast from L1 otherwise."""
        return self.registers + self.OCB * self.KH * self.KW <= _registers()

    @property
    def registers(self) -> int:
        """Vectors that are alive at once: sums, the pixels of two rows, and what picks and broadcasts take."""
        return self.OCB * self.R * self.NV + 2 * min(len(self.loads), 3) + 3

    @property
    def work(self) -> int:
        """Multiply-adds of vectors an input channel."""
        return self.OCB * self.R * self.NV * self.KH * self.KW

    @property
    def cycles(self) -> int:
        """Cycles an input channel takes: one a multiply-add, two a load of pixels, one a load of a weight."""
        weights = self.OCB * self.KH * self.KW * (1 if self.held else self.R)
        loads = 2 * len(self.loads) * self.source_rows + weights
        # Sums too few to hide the latency of a multiply-add wait for it; the rest is what a tile costs at all.
        return max(self.work, loads, 4 * self.KH * self.KW) + loads // 4 + 10

    @property
    def source_rows(self) -> int:
        """Source rows that the tile stands on."""
        return (self.R - 1) * self.SH + (self.KH - 1) * self.DH + 1

    @property
    def loads(self) -> tuple[int, ...]:
        """Columns, from the tile's first, at which the vectors of a source row begin."""
        width = (self.U - 1) * self.SW + 1
        whole = tuple(range(0, width + (self.KW - 1) * self.DW, self.lanes))
        if len(whole) == 1 or self.SW > 1:
            # The same vectors serve all kernel columns, as shifts and picks.
            return whole
        # A load that crosses a cache line takes two cycles, as long as a shift out of two vectors.
        return tuple(sorted({kw * self.DW + at for kw in range(self.KW) for at in range(0, width, self.lanes)}))

    @property
    def reach(self) -> int:
        """Elements behind a source row's last that counts which may be read, where nothing is masked."""
        return self.NR * self.SW + self.loads[-1] + self.lanes

    def slot(self, oc: int, m: int, v: int) -> int:
        """Number of a vector of the tile."""
        return (oc * self.R + m) * self.NV + v

    def uses(self, row: int) -> list[tuple[int, int]]:
        """Output rows that need a source row, each with the kernel row by which it does."""
        pairs = [(m, row - m * self.SH) for m in range(self.R)]
        return [(m, off // self.DH) for m, off in pairs if off % self.DH == 0 and 0 <= off // self.DH < self.KH]

    def columns(self, kw: int, v: int) -> list[int | None]:
        """Source column, from the tile's first, of every lane; ``None`` where none counts."""
        numbers = range(v * self.lanes, (v + 1) * self.lanes)
        return [n * self.SW + kw * self.DW if n < self.U else None for n in numbers]


def _registers() -> int:
    return 32 if vector_bytes() == 64 else 16


def pick_stencil(
    OCG: int, OH: int, OW: int, kernel: tuple[int, int, int, int, int, int], lanes: int, plane_bytes: int
) -> tuple[Stencil, Stencil, int]:
    """The tile that computes OCG channels of OH x OW pixels in least time.

    Parameters
    ----------
    OCG, OH, OW : int
        Output channels a group, height and width.
    kernel : tuple of int
        KH, KW, SH, SW, DH, DW.
    lanes : int
    plane_bytes : int
        Size of a source plane.

    Returns
    -------
    whole : Stencil
    rest : Stencil
        For the columns that whole tiles leave; its last tile reaches back where it would overhang.
    columns : int
        How many columns whole tiles cover, none where the rest covers all.
    """
    masked = vector_bytes() >= _MASKED_BYTES
    shapes = {
        (-(-OCG // -(-OCG // channels)), -(-OH // -(-OH // rows)), NV)
        for NV in range(1, min(4, -(-OW // lanes)) + 1)
        for channels in range(1, 9)
        for rows in range(1, 15)
    }
    found = []
    for OCB, R, NV in sorted(shapes):
        s = Stencil(OCB, R, NV, lanes, min(OW, NV * lanes), *kernel, masked, plane_bytes > _NEAR_BYTES)
        if s.registers <= _registers() and (s.work <= _LONGEST or R * NV == 1):
            tiles = -(-OCG // OCB) * -(-OH // R)
            # Fewer columns than a vector has lanes are less than a vector's work only where half a vector covers them.
            left = OW % s.NR
            half = vector_bytes() == 64 and OW > s.NR and NV == 1 and 0 < left <= lanes // 2
            across = OW // s.NR + 0.5 if half else -(-OW // s.NR)
            rest = replace(s, lanes=lanes // 2, U=lanes // 2) if half else s
            found.append((tiles * across * s.cycles, -R, s, rest, OW - left if half else 0))
    return min(found, key=lambda each: each[:2])[2:]


@intrinsic
def number(typingctx: Any, value: Any) -> Any:
    """``number(value)``: a compile-time constant as an integer to calculate with."""
    if not isinstance(value, StaticType) or not isinstance(value.value, int):
        return None

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.get_constant(types.intp, value.value)

    return types.intp(value), codegen


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
    typingctx: Any, stencil: Any, tile: Any, c: Any, plane: Any, oh: Any, ow: Any, OH: Any, OW: Any, live: Any
) -> Any:
    """``tile_store_channels(stencil, tile, c, plane, oh, ow, OH, OW, live)``.

    Writes element (oc, m, n) to row ``oh + m`` and column ``ow + n`` of plane number
    ``plane + oc`` of OH x OW elements, for ``oc < live``, ``oh + m < OH`` and ``n < U``.
    """
    if not _is_stencil(stencil):
        return None
    s: Stencil = stencil.value

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = data_pointer(context, builder, c, arguments[2])
        number, row0, column0, height, down, channels = (
            index_value(context, builder, typ, value)
            for typ, value in zip((plane, oh, ow, OH, OW, live), arguments[3:], strict=True)
        )
        across = builder.mul(height, down)
        start = builder.add(builder.mul(number, across), builder.add(builder.mul(row0, down), column0))
        lines = builder.sub(height, row0)
        for oc in range(s.OCB):
            for m in range(s.R):
                here = builder.add(start, builder.add(builder.mul(across, across.type(oc)), builder.mul(down, down.type(m))))
                inside = builder.and_(
                    builder.icmp_signed("<", channels.type(oc), channels), builder.icmp_signed("<", lines.type(m), lines)
                )
                with builder.if_then(inside, likely=True):
                    for v in range(s.NV):
                        value = builder.extract_value(arguments[1], s.slot(oc, m, v))
                        at, count = builder.add(here, here.type(v * s.lanes)), s.U - v * s.lanes
                        if count >= s.lanes:
                            store_vector(builder, value, data, at)
                        elif count > 0:
                            mask = first_lanes(builder, here.type(count), s.lanes)
                            masked_store(builder, value, data, at, mask)
        return context.get_dummy_value()

    return types.void(stencil, tile, c, plane, oh, ow, OH, OW, live), codegen


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
