"""The tile of a stencil: output channels x output rows x vectors of pixels, and how it is picked.

Pixels are the vector side, so nothing is transposed on the way out, and a group of any
number of channels fills its vectors. A source row is loaded once for all output channels and
output rows of the tile. `kernels.algorithms.stencil.microkernel` is the code for it.
"""

from __future__ import annotations

import functools
import itertools
from typing import NamedTuple

from kernels.algorithms.stencil.subpixel import subpixel
from kernels.epilogue import NO_EPILOGUE, Epilogue
from kernels.machine.cpu import lanes_of, vector_bytes, vector_registers
from kernels.machine.ir import is_shift
from kernels.machine.tile_shape import TileShape
from kernels.problem import Conv2dProblem

__all__ = ["Spread", "Stencil", "dense", "narrowest_lanes", "pick_stencil"]

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
#: Widest step between kernel columns whose vectors are picked out of the same loads, at a stride.
_MOST_PICKED = 4
#: Most registers for the numbers of shuffles: with more, tiles are so small that loading the numbers takes less time.
_MOST_NUMBERS = 10

#: How a vector is put together: number of the vector to begin with; of each step the vector that joins what there is,
#: and which lanes of both are the next.
Steps = tuple[int, tuple[tuple[int, tuple[int, ...]], ...]]


class Spread(NamedTuple):
    """How channels of a tile that are remainders by a stride stand in the result.

    Channels are numbered over (result's channel, remainder of rows, remainder of columns); see
    `kernels.algorithms.stencil.subpixel`.

    Attributes
    ----------
    rows, columns : tuple of pairs of int
        Of each remainder, the first kernel row or column that it has a weight for, and the end of those.
    vectors : int
        Vectors of a tile's row of the result that hold any of it.
    ragged : bool
        Whether rows of the result may end within the last of them.
    """

    rows: tuple[tuple[int, int], ...]
    columns: tuple[tuple[int, int], ...]
    vectors: int
    ragged: bool

    @property
    def remainders(self) -> int:
        """Channels of a tile for one of the result."""
        return len(self.rows) * len(self.columns)

    def has(self, channel: int, kh: int, kw: int) -> bool:
        """Whether a channel of the tile has a weight there that is not always zero."""
        a, b = divmod(channel % self.remainders, len(self.columns))
        return self.rows[a][0] <= kh < self.rows[a][1] and self.columns[b][0] <= kw < self.columns[b][1]


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
    keeps : bool
        Whether the numbers of shuffles stay in registers; they are loaded for each shuffle otherwise.
    epilogue : Epilogue
        Its kind.
    spread : Spread, optional
        How results stand in turn; as rows of the tile by default.
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
    keeps: bool
    epilogue: Epilogue = NO_EPILOGUE
    spread: Spread | None = None

    @property
    def tile(self) -> TileShape:
        """Rows are (channel, output row)."""
        return TileShape(self.OCB * self.R, self.NV, self.lanes)

    @property
    def NR(self) -> int:
        """Output columns."""
        return self.NV * self.lanes

    @property
    def is_half(self) -> bool:
        """Whether vectors are half as long as the widest."""
        return self.lanes < lanes_of(self.dtype)

    @property
    def column_step(self) -> int:
        """Elements from what one output column begins at to that of the next."""
        return self.SW if self.masked else 1

    @property
    def TAPS(self) -> int:
        """Weights of an input channel, as they are packed."""
        return self.OCB * self.KH * self.KW

    @property
    def taps(self) -> list[tuple[int, int, int]]:
        """Channel, kernel row and column of those that are not always zero."""
        return [
            (oc, kh, kw)
            for oc in range(self.OCB)
            for kh in range(self.KH)
            for kw in range(self.KW)
            if self.spread is None or self.spread.has(oc, kh, kw)
        ]

    @property
    def row_step(self) -> int:
        """Rows of the result for an output row of the tile."""
        return 1 if self.spread is None else len(self.spread.rows)

    @property
    def result_step(self) -> int:
        """The same of columns."""
        return 1 if self.spread is None else len(self.spread.columns)

    @property
    def held(self) -> bool:
        """Whether the weights of one input channel stay in registers; they are broadcast from L1 otherwise."""
        return self.registers + len(self.taps) <= vector_registers()

    @property
    def registers(self) -> int:
        """Vectors that are alive at once: sums, the pixels of two rows, and what picks and broadcasts take."""
        pixels = 2 * min(len(self.loads), 3) if self.masked else 0
        return self.OCB * self.R * self.NV + self.numbers + pixels + 3

    @property
    def work(self) -> int:
        """Multiply-adds of vectors an input channel."""
        return len(self.taps) * self.R * self.NV

    @property
    def cycles(self) -> int:
        """Time of an input channel, in that of a multiply-add."""
        weights = len(self.taps) * (1 if self.held else self.R)
        # A load takes twice as long as a multiply-add if it crosses a cache line: the widest vectors always do, their
        # halves every other time.
        loads = len(self.loads) * self.source_rows
        loads = (loads * 3 // 2 if self.is_half else 2 * loads if self.masked else loads) + weights
        picks = self.picks * self.source_rows
        loads += 0 if self.keeps else picks
        # Sums too few to hide the latency of a multiply-add wait for it; the rest is what a tile costs at all.
        waits = (4 if self.masked else 8) * self.KH * self.KW
        # Multiply-adds run on two of three vector units, shuffles on two, one of which is the same (Zen 4).
        return max(self.work, loads, waits, picks, 2 * (self.work + picks) // 3) + loads // 4 + 10

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

    def order(self, uses: list[tuple[int, int]], kw: int) -> list[tuple[int, int, tuple[int, int]]]:
        """Vectors, channels and uses of a source row and kernel column, in the order of their multiply-adds.

        If pixels wait in registers, all vectors take a tap before the next; otherwise vectors come one by one.
        """
        taps = set(self.taps)
        found = [
            (v, oc, use) for oc in range(self.OCB) for use in uses if (oc, use[1], kw) in taps for v in range(self.NV)
        ]
        return found if self.waiting else sorted(found, key=lambda each: each[0])

    def place(self, oc: int, kh: int, kw: int) -> int:
        """Where a weight stands among the `TAPS` of an input channel."""
        return (kh * self.KW + kw) * self.OCB + oc

    def slot(self, oc: int, m: int, v: int) -> int:
        """Number of a vector of the tile."""
        return (oc * self.R + m) * self.NV + v

    def shuffles(self, kw: int, v: int) -> Steps:
        """How vector ``v`` of a kernel column is put together out of the P vectors of a source row that serve it."""
        return _steps(kw * self.DW + v * self.lanes * self.SW, self.SW, self.lanes, self.P)

    @property
    def picks(self) -> int:
        """Shuffles of a source row."""
        return len(_picks(self.KW, self.DW, self.SW, self.NV, self.lanes, self.P))

    @property
    def numbers(self) -> int:
        """Registers for the numbers of lanes that shuffles take."""
        return _numbers(self.KW, self.DW, self.SW, self.NV, self.lanes, self.P) if self.keeps else 0


@functools.lru_cache(maxsize=256)
def _numbers(KW: int, DW: int, SW: int, NV: int, lanes: int, P: int) -> int:
    return len({each for each in _picks(KW, DW, SW, NV, lanes, P) if not is_shift(each)})


@functools.lru_cache(maxsize=256)
def _picks(KW: int, DW: int, SW: int, NV: int, lanes: int, P: int) -> tuple[tuple[int, ...], ...]:
    """The lanes of each shuffle of a source row."""
    columns = [kw * DW + v * lanes * SW for kw in range(KW) for v in range(NV)] if P else []
    return tuple(picked for first in columns for _, picked in _steps(first, SW, lanes, P)[1])


@functools.lru_cache(maxsize=256)
def _steps(first: int, step: int, lanes: int, vectors: int) -> Steps:
    """How every ``step``-th column from ``first`` on is put together out of vectors of columns that begin at 0.

    Columns beyond the last vector do not count.
    """
    columns = range(first, first + lanes * step, step)
    where = [divmod(column, lanes) if column < vectors * lanes else None for column in columns]
    used = sorted({each[0] for each in where if each is not None})
    steps: list[tuple[int, tuple[int, ...]]] = []
    if where != [(used[0], lane) for lane in range(lanes)]:
        for joined, number in enumerate(used[1:] or used):
            picks: list[int] = []
            for lane, each in enumerate(where):
                if each is not None and each[0] == number != used[0]:
                    picks.append(lanes + each[1])
                elif each is not None and each[0] in used[: joined + 1]:
                    picks.append(each[1] if joined == 0 else lane)
                else:
                    # Any would do: as the lane before goes on.
                    picks.append((2 * picks[-1] - picks[-2] if lane > 1 else 0) % (2 * lanes))
            steps.append((number, tuple(picks)))
    return used[0], tuple(steps)


def _is_masked() -> bool:
    """Whether lanes of vectors are masked by registers of their own, at no cost."""
    return vector_bytes() >= _MASKED_BYTES


def narrowest_lanes(dtype: str) -> int:
    """Elements of the shortest vector that a tile may have."""
    return lanes_of(dtype) // (2 if _is_masked() else 1)


def dense(p: Conv2dProblem) -> Conv2dProblem:
    """The convolution that tiles compute: the problem itself, or backward data with remainders as channels."""
    return subpixel(p)[0] if p.direction == "bwd_d" else p


def _spread(p: Conv2dProblem, NV: int, lanes: int) -> Spread | None:
    if p.direction == "fwd":
        return None
    _, down, across = subpixel(p)
    narrow = across.extent < NV * lanes
    vectors = min(NV * p.sw, -(-p.iw // lanes)) if narrow else NV * p.sw
    return Spread(down.used, across.used, vectors, narrow or p.iw % p.sw > 0)


def _stencil(p: Conv2dProblem, OCB: int, R: int, NV: int, lanes: int, keeps: bool) -> Stencil:
    q = dense(p)
    shared = q.dh <= _MOST_DILATION and q.sh <= _MOST_STRIDE
    SH, DH = (q.sh, q.dh) if shared else (1, 0)
    masked = _is_masked()
    DW = q.dw if q.dw == 1 or (masked and q.sw > 1 and q.dw <= _MOST_PICKED) else 0
    # Vectors of a source row that hold all columns of the tile that count.
    width = (min(q.ow, NV * lanes) - 1) * q.sw + 1
    P = -(-(width + (q.kw - 1) * DW) // lanes)
    if not masked or (q.sw == 1 and (P > 1 or not DW)):
        P = 0
    ahead = masked and DH > 0 and q.ih * q.iw * q.itemsize > _NEAR_BYTES
    return Stencil(
        q.dtype, OCB, R, NV, lanes, q.kh, q.kw, SH, DH, q.sw, DW, P, q.ow < NV * lanes, masked, ahead,
        keeps, spread=_spread(p, NV, lanes),
    )  # fmt: skip


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
    q = dense(p)
    # Remainders of one channel of a result stay together.
    together = q.oc // (p.ic if p.direction == "bwd_d" else p.oc)
    lanes, OCG = lanes_of(q.dtype), q.oc // q.g // together
    # Where the widest vectors are computed as two halves, half vectors take half the time; elsewhere as long as these.
    if _is_masked() and q.ow <= lanes // 2:
        lanes //= 2
    few = q.dh <= _MOST_DILATION and q.sh <= _MOST_STRIDE
    shapes = {
        (-(-OCG // -(-OCG // channels)) * together, R, NV)
        for NV in range(1, min(4, -(-q.ow // lanes)) + 1)
        for channels in range(1, max(2, 8 // together + 1))
        for R in (_ROWS if few else _ROWS[:1])
    }
    found = []
    ways = (True, False) if q.sw > 1 and _is_masked() else (True,)
    for (OCB, R, NV), keeps in itertools.product(sorted(shapes), ways):
        s = _stencil(p, OCB, R, NV, lanes, keeps)
        if s.registers <= vector_registers() and s.numbers <= _MOST_NUMBERS and (s.work <= _LONGEST or R * NV == 1):
            tiles = -(-OCG * together // OCB) * -(-q.oh // R)
            # Fewer columns than a vector has lanes are less than a vector's work only where half a vector covers them.
            left = q.ow % s.NR
            half = _is_masked() and q.ow > s.NR and NV == 1 and 0 < left <= lanes // 2
            rest = _stencil(p, OCB, R, NV, lanes // 2, keeps) if half else s
            if rest.registers > vector_registers():
                half, rest = False, s
            across = q.ow // s.NR + 0.5 if half else -(-q.ow // s.NR)
            found.append((tiles * across * s.cycles, -R, s, rest, q.ow - left if half else 0))
    return min(found, key=lambda each: each[:2])[2:]
