"""The tile of a stencil: output channels x output rows x vectors of pixels, and how it is picked.

Pixels are the vector side, so nothing is transposed on the way out, and a group of any
number of channels fills its vectors. A source row is loaded once for all output channels and
output rows of the tile. `kernels.machine.stencil_tile` is the code for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from kernels.machine.cpu import vector_bytes, vector_registers
from kernels.machine.tile_shape import TileShape

__all__ = ["Stencil", "pick_stencil"]

#: Narrowest vectors, in bytes, whose lanes the hardware masks.
_MASKED_BYTES = 32
#: Multiply-adds of one input channel that are worth a straight line of code.
_LONGEST = 700
#: Source planes up to this size come into L1 by themselves: half of 32 KB.
_NEAR_BYTES = 16 * 1024


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
        return self.registers + self.OCB * self.KH * self.KW <= vector_registers()

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
        if s.registers <= vector_registers() and (s.work <= _LONGEST or R * NV == 1):
            tiles = -(-OCG // OCB) * -(-OH // R)
            # Fewer columns than a vector has lanes are less than a vector's work only where half a vector covers them.
            left = OW % s.NR
            half = vector_bytes() == 64 and OW > s.NR and NV == 1 and 0 < left <= lanes // 2
            across = OW // s.NR + 0.5 if half else -(-OW // s.NR)
            rest = replace(s, lanes=lanes // 2, U=lanes // 2) if half else s
            found.append((tiles * across * s.cycles, -R, s, rest, OW - left if half else 0))
    return min(found, key=lambda each: each[:2])[2:]
