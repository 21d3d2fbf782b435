"""The microkernel of long stencils: planes of tiles over copied lines with zeros around them.

Loops, outside in: output channel; row of tiles; tile; input channel; chunk of kernel rows; kernel column, whose body is
straight-line code: the taps of the chunk, then each source row times those of them that some output row has there.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from kernels.algorithms.long_stencil.tile import LongTile
from kernels.machine.ir import data_pointer, fma, hidden, index_value, load_vector, splat
from kernels.machine.microkernel import Elements, Offsets, microkernel
from kernels.machine.register_tile import TileType
from kernels.machine.row_store import store_rows
from kernels.machine.static import StaticType, intrinsic, number

__all__ = ["EXTENTS", "planes_of_tiles"]

#: What the microkernel reads of the extents, in this order; steps are in elements. Behind these stand, of each chunk,
#: its first line, where that begins, where its weights do, and how many kernel rows it has; of each column of tiles its
#: first column, and which kernel columns lie on the source for some column of it; and where the pixels of each kernel
#: column begin.
EXTENTS = (
    "OW", "ICG", "OCG",
    "SRC_ROW",  # from what a kernel row of a chunk, or a row of a tile, begins at to that of the next
    "SRC_TOP",  # from what an output row of the map begins at to that of the next
    "TILE_ROW",  # likewise from a row of a tile, in the map
    "SRC_PLANE", "DST_ROW", "DST_PLANE", "WEI_ROW", "WEI_PLANE",
    "STEP",  # lines from what an output row begins at to that of the next
    "ALONE",  # whether rows of the map that follow one another are not of one strip
    "CHUNKS",
    "COLUMNS",  # of tiles
)  # fmt: skip


@microkernel
def planes_of_tiles(
    spec, src: Elements, wei: Elements, bia: Elements, dst: Elements, residual: Elements, slope: Elements, z: Offsets,
    row: int, rows: int, after: int, above: int, below: int, channels: int,
):  # fmt: skip
    """Tiles of ``rows`` output rows from ``row`` on, of output ``channels``.

    Lines ``above`` to ``below`` of a plane lie in the source, others are zeros. Of the map the caller writes ``after``
    more rows that follow, and later.
    """
    R, TAPS, OW, ICG, OCG = number(spec.height), number(spec.taps), z[0], z[1], z[2]
    SRC_ROW, SRC_TOP, TILE_ROW, SRC_PLANE, DST_ROW, DST_PLANE = z[3], z[4], z[5], z[6], z[7], z[8]
    WEI_ROW, WEI_PLANE, STEP, ALONE, CHUNKS, COLUMNS = z[9], z[10], z[11], z[12], z[13], z[14]
    columns = 15 + 4 * CHUNKS
    places = columns + 3 * COLUMNS
    plane, weights, result, group = 0, 0, 0, 0
    for channel in range(channels):
        for top in range(row, row + rows, R):
            left = 0 if ALONE != 0 else row + rows - top + after
            for column in range(columns, places, 3):
                ow, low, high = z[column], z[column + 1], z[column + 2]
                tile = tile_of_bias(spec, bia, channel)
                source, w = plane + top * SRC_TOP + ow, weights
                for _ in range(ICG):
                    for chunk in range(15, columns, 4):
                        line = z[chunk] + top * STEP
                        last = line if number(spec.along) else line + (R + z[chunk + 3] - 2) * STEP
                        if line < below and last >= above:
                            at, wi = source + z[chunk + 1], w + z[chunk + 2]
                            if z[chunk + 3] == TAPS:
                                tile = tile_of_taps(
                                    spec, spec.whole, tile, src, at, SRC_ROW, wei, wi, WEI_ROW, low, high, z, places
                                )
                            else:
                                tile = tile_of_taps(
                                    spec, spec.short, tile, src, at, SRC_ROW, wei, wi, WEI_ROW, low, high, z, places
                                )
                    source += SRC_PLANE
                    w += WEI_PLANE
                store_tile(spec, tile, dst, result + top * DST_ROW + ow, TILE_ROW, OW, left, residual, slope)
        weights += ICG * WEI_PLANE
        result += DST_PLANE
        group += 1
        if group == OCG:
            plane += ICG * SRC_PLANE
            group = 0


def _is_tile(typ: Any) -> bool:
    return isinstance(typ, StaticType) and isinstance(typ.value, LongTile)


@intrinsic
def tile_of_bias(typingctx: Any, spec: Any, row: Any, at: Any) -> Any:
    """``tile_of_bias(spec, row, at)``: a tile of ``row[at]`` everywhere."""
    if not _is_tile(spec):
        return None
    tile = TileType(spec.value.tile, row.dtype)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = data_pointer(context, builder, row, arguments[1])
        start = index_value(context, builder, at, arguments[2])
        value = splat(builder, builder.load(builder.gep(data, [start])), spec.value.lanes)
        result = ir.Constant(context.get_value_type(tile), ir.Undefined)
        for slot in range(tile.shape.MR * tile.shape.NV):
            result = builder.insert_value(result, value, slot)
        return result

    return tile(spec, row, at), codegen


@intrinsic
def tile_of_taps(
    typingctx: Any, spec: Any, chunk: Any, tile: Any, a: Any, at: Any, row: Any, w: Any, wi: Any, w_row: Any, low: Any,
    high: Any, z: Any, columns: Any,
) -> Any:  # fmt: skip
    """``tile_of_taps(spec, chunk, tile, a, at, row, w, wi, w_row, low, high, z, columns)``.

    Adds a chunk of one channel: to row m the sum over kh < chunk and ``low <= kw < high`` of ``w[wi + kh * w_row + kw]
    * a[at + (m + kh) * row + c]``, where c is kw or, if these are not neighbours, ``z[columns + kw]``.
    """
    if not _is_tile(spec):
        return None
    s: LongTile = spec.value
    taps: int = chunk.value

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, weights, table = (
            data_pointer(context, builder, typ, arguments[i]) for i, typ in ((3, a), (6, w), (11, z))
        )
        start, line, first, tap_row, left, right, places = (
            index_value(context, builder, typ, arguments[i])
            for i, typ in ((4, at), (5, row), (7, wi), (8, w_row), (9, low), (10, high), (12, columns))
        )
        source, weights = builder.gep(source, [start]), builder.gep(weights, [first])
        table = builder.gep(table, [places])
        vector = context.get_value_type(tile).elements[0]
        sums = [cgutils.alloca_once_value(builder, builder.extract_value(arguments[2], m)) for m in range(s.R)]
        with cgutils.for_range_slice(builder, left, right, left.type(1)) as (kw, _):
            begins = kw if s.DW == 1 else builder.load(builder.gep(table, [kw]))
            pixels, factors = builder.gep(source, [begins]), builder.gep(weights, [kw])
            held = [
                splat(builder, builder.load(builder.gep(factors, [builder.mul(tap_row, kw.type(kh))])), s.lanes)
                for kh in range(taps)
            ]
            totals = [builder.load(place) for place in sums]
            # From row to row by an addition: places of all rows, found before the loop, would fit no registers.
            down, at_row = hidden(builder, line), {0: pixels}
            at_row[s.half(taps)] = builder.gep(pixels, [builder.mul(down, down.type(s.half(taps)))])
            for n in s.source_rows(taps):
                place = at_row[n] if n in at_row else builder.gep(at_row[n - 1], [down])
                at_row[n] = place
                value = load_vector(builder, place, down.type(0), vector)
                for m in range(max(0, n - taps + 1), min(s.R, n + 1)):
                    totals[m] = fma(builder, held[n - m], value, totals[m])
            for place, total in zip(sums, totals, strict=True):
                builder.store(total, place)
        result = arguments[2]
        for slot, place in enumerate(sums):
            result = builder.insert_value(result, builder.load(place), slot)
        return result

    return tile(spec, chunk, tile, a, at, row, w, wi, w_row, low, high, z, columns), codegen


@intrinsic
def store_tile(
    typingctx: Any, spec: Any, tile: Any, c: Any, ci: Any, row_step: Any, width: Any, left: Any, r: Any, slope: Any
) -> Any:
    """``store_tile(spec, tile, c, ci, row_step, width, left, r, slope)``.

    Writes row m, finished with residual ``r`` and ``slope``, to ``c[ci + m * row_step :]``, of a narrow tile its first
    ``width`` elements. ``left`` rows of the map from the first one on are the caller's, who writes the others later.
    """
    if not _is_tile(spec):
        return None
    s: LongTile = spec.value

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data, added, leak = (
            data_pointer(context, builder, typ, arguments[i]) for i, typ in ((2, c), (7, r), (8, slope))
        )
        start, step, columns, owned = (
            index_value(context, builder, typ, arguments[i])
            for i, typ in ((3, ci), (4, row_step), (5, width), (6, left))
        )
        one = step.type(1)
        for m in range(s.R):
            vectors = [builder.extract_value(arguments[1], m)]
            after = builder.sub(owned, step.type(m))
            store_rows(builder, s.epilogue, [vectors], data, added, leak, start, columns, one, after, s.narrow)
            start = builder.add(start, step)
        return context.get_dummy_value()

    return types.void(spec, tile, c, ci, row_step, width, left, r, slope), codegen
