"""The tile of a long stencil: output rows x one vector of pixels, and how a map is cut into them.

For one kernel column the taps of a few kernel rows, a *chunk*, wait in registers, beside the sums of R output rows. A
source row is loaded once and multiplied by each of these taps: R x taps multiply-adds take R + 2 x taps - 1 loads.

A kernel of one long row is taken for one of several rows: tap ``lanes * i + j`` is that of row i and column j, and what
rows of a tile are lies side by side, R vectors of one output row.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

from kernels.epilogue import NO_EPILOGUE, Epilogue
from kernels.machine.cpu import IN_FLIGHT, lanes_of, vector_registers
from kernels.machine.tile_shape import TileShape
from kernels.problem import Conv2dProblem

__all__ = ["LongTile", "Rows", "chunks_of", "idle_slots", "is_along", "kernel_columns", "phase_rows", "rows_of"]

#: Kernel rows of a chunk: of more, LLVM loads so many pixels ahead that sums no longer fit the registers.
_MOST_TAPS = 6
#: What a kernel column of a chunk, and a tile, take beside their multiply-adds, in multiply-adds.
_COLUMN, _TILE = 3.0, 100.0


class LongTile(NamedTuple):
    """What the microkernel is specialised by.

    Attributes
    ----------
    dtype : str
    lanes, R : int
        Elements of a vector; output rows of a tile.
    taps : int
        Kernel rows of a chunk; some chunks may have one less.
    alike : bool
        Whether none has.
    DW : int
        1 if kernel columns meet neighbouring pixels, else 0: then where these are is a table.
    narrow : bool
        Whether the tile is wider than the map.
    along : bool
        Whether its rows lie side by side: see `is_along`.
    epilogue : Epilogue
    """

    dtype: str
    lanes: int
    R: int
    taps: int
    alike: bool
    DW: int
    narrow: bool
    along: bool = False
    epilogue: Epilogue = NO_EPILOGUE

    @property
    def tile(self) -> TileShape:
        """Rows of one vector."""
        return TileShape(self.R, 1, self.lanes)

    @property
    def height(self) -> int:
        """Output rows of the map."""
        return 1 if self.along else self.R

    @property
    def whole(self) -> int:
        """Kernel rows of a chunk."""
        return self.taps

    @property
    def short(self) -> int:
        """Of a chunk that has one less; of none, as many."""
        return self.taps - (not self.alike)

    def half(self, taps: int) -> int:
        """Source rows of the upper half of those of a chunk."""
        return (self.R + taps) // 2

    def source_rows(self, taps: int) -> list[int]:
        """Source rows of a chunk in the order that they are loaded.

        A sum waits four cycles for its multiply-add before: rows of the upper and the lower half alternate, so that
        each sum's products are twice as far apart.
        """
        count, half = self.R + taps - 1, self.half(taps)
        return [row for i in range(half) for row in (i, i + half) if row < count]


class Rows(NamedTuple):
    """How the rows of a map are cut: tiles of R, and one of ``rest`` that ends with the last row, if it is not 0."""

    R: int
    rest: int


def is_along(p: Conv2dProblem) -> bool:
    """Whether a kernel of one row is taken for one of several."""
    lanes = lanes_of(p.dtype)
    return p.kh == 1 and p.kw > lanes and p.sw == p.dw == p.sh == 1 and p.ow >= 2 * lanes


def kernel_columns(p: Conv2dProblem) -> int:
    """Taps of a row, those of its padding to whole vectors included."""
    lanes = lanes_of(p.dtype)
    return -(-p.kw // lanes) * lanes if is_along(p) else p.kw


def phase_rows(p: Conv2dProblem) -> list[int]:
    """Kernel rows of each phase.

    Kernel rows that are as far apart as output rows meet the same source rows: a phase has those of one remainder by
    the stride. With a dilation as well each is a phase of its own.
    """
    if is_along(p):
        return [kernel_columns(p) // lanes_of(p.dtype)]
    if p.sh == 1:
        return [p.kh]
    if p.dh > 1:
        return [1] * p.kh
    return [-(-(p.kh - first) // p.sh) for first in range(min(p.sh, p.kh))]


def _chunk_sizes(KH: int, taps: int) -> list[int] | None:
    """KH kernel rows as chunks of ``taps`` and one less, if that is possible."""
    count = -(-KH // taps)
    short = count * taps - KH
    return None if short > count or (taps == 1 and short) else [taps] * (count - short) + [taps - 1] * short


def chunks_of(p: Conv2dProblem, taps: int) -> list[list[int]]:
    """Chunks of each phase."""
    found = [_chunk_sizes(KH, taps) for KH in phase_rows(p)]
    return [sizes for sizes in found if sizes is not None]


def idle_slots(R: int, taps: int, lanes: int) -> float:
    """Multiply-adds that a kernel column of a chunk could do and does not: it waits for its loads, or its sums."""
    # Pixels of a kernel column lie across a cache line as often as a line has no whole vector.
    crossing = 1 + 7 * lanes / 128
    return max(0.0, (R + taps - 1) * crossing + taps - R * taps, (IN_FLIGHT - R) * taps)


def _time(R: int, sizes: list[int], lanes: int) -> float:
    """Multiply-adds that a kernel column of all chunks takes the time of."""
    return sum(R * taps + idle_slots(R, taps, lanes) + _COLUMN for taps in sizes)


@functools.lru_cache(maxsize=1024)
def rows_of(p: Conv2dProblem) -> tuple[Rows, int, float]:
    """Rows of tiles, taps of a chunk, and the time of a column of tiles, in multiply-adds, that is least."""
    D, lanes = p.dh if p.sh == 1 else 1, lanes_of(p.dtype)
    # Of parts of a map that a dilation sets apart some have one row more.
    heights = {max(1, (p.oh - first + D - 1) // D) for first in (0, min(D, p.oh) - 1)}
    along = is_along(p)
    if along:
        heights = {p.ow // lanes}
    found = []
    for taps in range(1, min(_MOST_TAPS, max(phase_rows(p))) + 1):
        sizes = chunks_of(p, taps)
        if len(sizes) < len(phase_rows(p)):
            continue
        flat = [size for phase in sizes for size in phase]
        for R in range(1, min(min(heights), vector_registers() - 2 - taps) + 1):
            rest = max(height % R for height in heights)
            if along:
                # Where tiles leave some, the last one reaches back.
                found.append((-(-p.ow // (R * lanes)) * (lanes * _time(R, flat, lanes) + _TILE), -R, taps, 0))
                continue
            times = [p.kw * _time(rows, flat, lanes) + _TILE for rows in (R, rest)]
            found.append((times[0] * (max(heights) // R) + times[1] * (rest > 0), -R, taps, rest))
    time, R, taps, rest = min(found)
    return Rows(-R, rest), taps, time * D
