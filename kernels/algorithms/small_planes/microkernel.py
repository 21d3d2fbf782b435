"""The microkernel of small planes: tiles of output rows of a vector of planes.

For one output and one kernel column a tile has the sums of R output rows in registers. Each pixel of the source that
lies there is loaded once and multiplied by the tap that every one of the R rows has for it. Taps of a kernel column lie
side by side, with zeros before and after them for rows that have none.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from kernels.machine.ir import data_pointer, fma, index_value, load_vector
from kernels.machine.microkernel import Elements, Offsets, microkernel
from kernels.machine.register_tile import tile_zeros
from kernels.machine.static import StaticType, intrinsic, number
from kernels.machine.tile_memory import tile_store
from kernels.machine.tile_shape import TileShape

__all__ = ["EXTENTS", "PlanesSpec", "planes"]

#: What the microkernel reads of the extents, in this order. Behind these stand, of each output column, its first kernel
#: column on the source, the end of these, and the column of the source that the first one meets.
EXTENTS = ("OH", "OW", "IH", "IW", "PH", "KH", "DW", "TAPS")


class PlanesSpec(NamedTuple):
    """What the microkernel is specialised by: R output rows, SH source rows from one to the next."""

    dtype: str
    lanes: int
    R: int
    SH: int

    @property
    def tile(self) -> TileShape:
        """Output rows of a vector of planes."""
        return TileShape(self.R, 1, self.lanes)

    @property
    def before(self) -> int:
        """Zeros before the taps of a kernel column."""
        return (self.R - 1) * self.SH


@microkernel
def planes(spec, src: Elements, wei: Elements, dst: Elements, z: Offsets):
    """All outputs of a vector of planes: pixels ``[row][column][lanes]`` to results laid out likewise."""
    R, SH, LANES = number(spec.R), number(spec.SH), number(spec.lanes)
    OH, OW, IH, IW, PH, KH, DW, TAPS = z[0], z[1], z[2], z[3], z[4], z[5], z[6], z[7]
    for first in range(0, OH, R):
        # The last tile reaches back, so that it is whole.
        oh = min(first, OH - R)
        # Source rows under the tile, and the tap that its first row has for the first of them.
        top = oh * SH - PH
        begin, end = max(0, top), min(IH, top + (R - 1) * SH + KH)
        tap = (begin - top + number(spec.before)) * LANES
        for ow in range(OW):
            tile = tile_zeros(spec.tile, src)
            column = z[10 + 3 * ow]
            for kw in range(z[8 + 3 * ow], z[9 + 3 * ow]):
                at, wi = (begin * IW + column) * LANES, kw * TAPS * LANES + tap
                for _ in range(begin, end):
                    tile = tile_of_pixel(spec, tile, src, at, wei, wi)
                    at += IW * LANES
                    wi += LANES
                column += DW
            tile_store(tile, dst, (oh * OW + ow) * LANES, OW * LANES)


@intrinsic
def tile_of_pixel(typingctx: Any, spec: Any, tile: Any, a: Any, ai: Any, w: Any, wi: Any) -> Any:
    """``tile_of_pixel(spec, tile, a, ai, w, wi)``: add vector ``a[ai]`` times ``w[wi - m * SH * lanes]`` to row m."""
    if not isinstance(spec, StaticType):
        return None
    s: PlanesSpec = spec.value

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, taps = (data_pointer(context, builder, typ, arguments[i]) for i, typ in ((2, a), (4, w)))
        at, first = (index_value(context, builder, typ, arguments[i]) for i, typ in ((3, ai), (5, wi)))
        vector = context.get_value_type(tile).elements[0]
        pixel = load_vector(builder, source, at, vector)
        place, result = builder.gep(taps, [first]), arguments[1]
        for m in range(s.R):
            tap = load_vector(builder, place, first.type(-m * s.SH * s.lanes), vector)
            result = builder.insert_value(result, fma(builder, tap, pixel, builder.extract_value(result, m)), m)
        return result

    return tile(spec, tile, a, ai, w, wi), codegen
