"""The tile of a stencil: output channels x output rows x vectors of pixels, and how it is picked.

Pixels are the vector side, so nothing is transposed on the way out, and a group of any
number of channels fills its vectors. A source row is loaded once for all output channels and
output rows of the tile. `kernels.algorithms.stencil.microkernel` is the code for it.
"""

from __future__ import annotations

from typing import NamedTuple

from kernels.epilogue import NO_EPILOGUE, Epilogue
from kernels.machine.cpu import lanes_of, vector_bytes, vector_registers
from kernels.machine.tile_shape import TileShape
from kernels.problem import Conv2dProblem

__all__ = ["Stencil", "pick_stencil"]

#: Vectors, in bytes, whose lanes are masked at no cost, in registers of their own.
_MASKED_BYTES = 64
#: Multiply-adds of one input channel that are worth a straight line of code.
_LONGEST = 700
#: Source planes up to this size come into L1 by themselves: half of 32 KB.
_NEAR_BYTES = 16 * 1024
#: Output rows of a tile. Few, since each is compiled; maps of 7, 14, 28, 56 and 112 rows divide by them.
_ROWS = (1, 2, 3, 4, 5, 7, 14)
#: Widest steps between kernel rows and output rows of which the rows in common are loaded once.
_MOST_DILATION, _MOST_STRIDE = 2, 4


class Stencil(NamedTuple):
    """A tile and the stencil over it: what the microkernel is specialised by.

    Attributes
    ----------
    dtype : str
    OCB, R, NV, lanes : int
        Output channels, output rows, vectors of output columns, and elements a vector.
    KH, KW : int
        Kernel extents.
    SH, DH : int
        Stride and dilation between rows; DH is 0 if both are any, which a tile of one row takes.
    SW, DW : int
        Stride and dilation between columns; DW is 0 if it is any.
    P : int
        Vectors of a source row that serve all kernel columns (or one, if the dilation is any) as shifts and
        picks; 0 if every kernel column loads its own.
    narrow : bool
        Whether the map is narrower than the tile, whose last vector then is stored in part.
    masked : bool
        Whether the source is read where it is, and lanes beside its rows are masked off; otherwise from a copy of
        its rows with zeros beside them, every SW-th column of which stands side by side.
    ahead : bool
        Whether to fetch the source rows of the tile below, which the strip of narrow tiles
        reaches only after the whole width of this one.
    epilogue : Epilogue
        Its kind.
    """

    dtype: str
    OCB: int
    R: int
    NV: int
    lanes: int
    KH: int
    KW: int
    SH: int
    DH: int
    SW: int
    DW: int
    P: int
    narrow: bool
    masked: bool
    ahead: bool
    epilogue: Epilogue = NO_EPILOGUE

    @property
    def tile(self) -> TileShape:
        """Rows are (channel, output row)."""
        return TileShape(self.OCB * self.R, self.NV, self.lanes)

    @property
    def NR(self) -> int:
        """Output columns."""
        return self.NV * self.lanes

    @property
    def column_step(self) -> int:
        """Elements from what one output column begins at to that of the next."""
        return self.SW if self.masked else 1

    @property
    def TAPS(self) -> int:
        """Weights of an input channel."""
        return self.OCB * self.KH * self.KW

    @property
    def held(self) -> bool:
        """Whether the weights of one input channel stay in registers; they are broadcast from L1 otherwise."""
        return self.registers + self.TAPS <= vector_registers()

    @property
    def registers(self) -> int:
        """Vectors that are alive at once: sums, the pixels of two rows, and what picks and broadcasts take."""
        return self.OCB * self.R * self.NV + (2 * min(len(self.loads), 3) + 3 if self.masked else 3)

    @property
    def work(self) -> int:
        """Multiply-adds of vectors an input channel."""
        return self.OCB * self.R * self.NV * self.KH * self.KW

    @property
    def cycles(self) -> int:
        """Time of an input channel, in that of a multiply-add."""
        weights = self.TAPS * (1 if self.held else self.R)
        # A load takes twice as long as a multiply-add if it crosses a cache line: the widest vectors always do.
        loads = (2 if self.masked else 1) * len(self.loads) * self.source_rows + weights
        # Sums too few to hide the latency of a multiply-add wait for it; the rest is what a tile costs at all.
        waits = (4 if self.masked else 8) * self.KH * self.KW
        return max(self.work, loads, waits) + loads // 4 + 10

    @property
    def rows(self) -> list[tuple[int, list[tuple[int, int]]]]:
        """Source rows in order: the number, in steps of DH if that is any, and its `uses`.

        A use is an output row and the kernel row by which it needs the source row.
        """
        if not self.DH:
            return [(kh, [(0, kh)]) for kh in range(self.KH)]
        found: dict[int, list[tuple[int, int]]] = {}
        for m in range(self.R):
            for kh in range(self.KH):
                found.setdefault(m * self.SH + kh * self.DH, []).append((m, kh))
        return sorted(found.items())

    @property
    def source_rows(self) -> int:
        """Source rows that the tile reads."""
        return len(self.rows)

    @property
    def loads(self) -> list[tuple[int, int]]:
        """Where the vectors of a source row begin: at the tile's first column, plus ``kw * DW``, plus ``at``.

        A load is a pair (kw, at).
        """
        if self.P and self.DW:
            return [(0, i * self.lanes) for i in range(self.P)]
        if self.P:
            return [(kw, i * self.lanes) for kw in range(self.KW) for i in range(self.P)]
        # A load that crosses a cache line takes two cycles, as long as a shift out of two vectors.
        shared = self.DW and self.SW == 1
        pairs = {kw * self.DW + at if shared else (kw, at): (kw, at) for kw in range(self.KW) for at in self._begins}
        return list(pairs.values())

    @property
    def _begins(self) -> range:
        return range(0, self.NV * self.lanes, self.lanes)

    @property
    def waiting(self) -> bool:
        """Whether the pixels of all vectors of a kernel column fit the registers, so that each tap is read once."""
        return vector_registers() - 2 >= self.OCB * self.R * self.NV + self.NV + 2

    def order(self, uses: list[tuple[int, int]]) -> list[tuple[int, int, tuple[int, int]]]:
        """Vectors, channels and uses of a source row and kernel column, in the order of their multiply-adds.

        If pixels wait in registers, all vectors take a tap before the next; otherwise vectors come one by one.
        """
        found = [(v, oc, use) for oc in range(self.OCB) for use in uses for v in range(self.NV)]
        return found if self.waiting else sorted(found, key=lambda each: each[0])

    def slot(self, oc: int, m: int, v: int) -> int:
        """Number of a vector of the tile."""
        return (oc * self.R + m) * self.NV + v

    def columns(self, kw: int, v: int) -> list[int]:
        """Source column of every lane, from where the loads that serve a kernel column begin."""
        return [n * self.SW + kw * self.DW for n in range(v * self.lanes, (v + 1) * self.lanes)]


def _stencil(p: Conv2dProblem, OCB: int, R: int, NV: int, lanes: int) -> Stencil:
    shared = p.dh <= _MOST_DILATION and p.sh <= _MOST_STRIDE
    SH, DH = (p.sh, p.dh) if shared else (1, 0)
    DW = 1 if p.dw == 1 else 0
    masked = vector_bytes() >= _MASKED_BYTES
    # Vectors of a source row that hold all columns of the tile that count.
    width = (min(p.ow, NV * lanes) - 1) * p.sw + 1
    P = -(-(width + (p.kw - 1) * DW) // lanes)
    if not masked or (p.sw == 1 and (P > 1 or not DW)):
        P = 0
    ahead = masked and DH > 0 and p.ih * p.iw * p.itemsize > _NEAR_BYTES
    return Stencil(p.dtype, OCB, R, NV, lanes, p.kh, p.kw, SH, DH, p.sw, DW, P, p.ow < NV * lanes, masked, ahead)


def pick_stencil(p: Conv2dProblem) -> tuple[Stencil, Stencil, int]:
    """The tile that computes a problem in least time.

    Returns
    -------
    whole : Stencil
    rest : Stencil
        For the columns that whole tiles leave; its last tile reaches back where it would overhang.
    columns : int
        How many columns whole tiles cover, none if the rest covers all.
    """
    lanes, OCG = lanes_of(p.dtype), p.oc // p.g
    few = p.dh <= _MOST_DILATION and p.sh <= _MOST_STRIDE
    shapes = {
        (-(-OCG // -(-OCG // channels)), R, NV)
        for NV in range(1, min(4, -(-p.ow // lanes)) + 1)
        for channels in range(1, 9)
        for R in (_ROWS if few else _ROWS[:1])
    }
    found = []
    for OCB, R, NV in sorted(shapes):
        s = _stencil(p, OCB, R, NV, lanes)
        if s.registers <= vector_registers() and (s.work <= _LONGEST or R * NV == 1):
            tiles = -(-OCG // OCB) * -(-p.oh // R)
            # Fewer columns than a vector has lanes are less than a vector's work only where half a vector covers them.
            left = p.ow % s.NR
            half = vector_bytes() == 64 and p.ow > s.NR and NV == 1 and 0 < left <= lanes // 2
            across = p.ow // s.NR + 0.5 if half else -(-p.ow // s.NR)
            rest = _stencil(p, OCB, R, NV, lanes // 2) if half else s
            found.append((tiles * across * s.cycles, -R, s, rest, p.ow - left if half else 0))
    return min(found, key=lambda each: each[:2])[2:]
