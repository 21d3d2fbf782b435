"""Sizes of the transforms: of which points, over how many tiles, and what a vector of planes takes.

A side of a tile has N points, N a product of two small factors. A tile gives N less the kernel's extent plus one
outputs; a side that is one tile needs fewer points, since the zeros before the source also stand behind it: as many as
the source has, and the wider padding, and as many as there are outputs, which padding wider than a kernel makes more.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

from kernels.algorithms.fft_planes.dft import Counter, dft, inverse_dft
from kernels.machine.cpu import cache_bytes, lanes_of
from kernels.problem import Conv2dProblem

__all__ = ["Side", "Sizes", "line_operations", "sizes_of"]

#: Factors: few, since for each code is compiled.
_FIRST, _SECOND = (4, 6, 8, 10, 12, 16), (4, 5, 6, 7, 8, 9, 10, 12, 15, 16)
#: Most points of a side.
_MOST = 256
#: Sides, of those that serve a problem, that are compared with sides of the other direction.
_SIDES = 8
#: What is not an operation: loads and stores of a number of a pass, of a pixel that is gathered or scattered.
_MOVED, _PIXEL, _FAR = 1.3, 4.0, 2.0


class Side(NamedTuple):
    """Rows, or columns, of a problem as tiles.

    Attributes
    ----------
    first, second : int
        Factors: transforms of ``first`` points that are ``second`` apart, then of ``second`` neighbours.
    live : int
        Points that may differ from zero before the transform.
    outputs, tiles : int
        Outputs of a tile, and tiles.
    before : int
        Points of the first tile that stand before the source.
    shift : int
        Where the first tap stands; others follow it backwards.
    """

    first: int
    second: int
    live: int
    outputs: int
    tiles: int
    before: int
    shift: int

    @property
    def N(self) -> int:
        """Points."""
        return self.first * self.second

    @property
    def half(self) -> int:
        """Points of the spectrum of real numbers, whose others are their conjugates."""
        return self.N // 2 + 1

    @property
    def lines(self) -> list[int]:
        """Remainders of points by ``first`` that a spectrum of real numbers has, those without conjugates first."""
        rest = list(range(1, (self.first + 1) // 2))
        return [0, self.first // 2, *rest] if self.first % 2 == 0 else [0, *rest]

    @property
    def rows(self) -> int:
        """Rows that the passes down read or write, whole passes."""
        return -(-max(self.live, self.outputs) // self.second) * self.second

    def kept(self, line: int) -> int:
        """Points of a line of `lines` that are kept."""
        if line == 0:
            return self.second // 2 + 1
        return (self.second + 1) // 2 if 2 * line == self.first else self.second


class Sizes(NamedTuple):
    """How a problem is computed.

    Attributes
    ----------
    down, across : Side
    shared : bool
        Whether lanes are tiles of one plane, which share their weights; they are planes otherwise.
    cycles : float
        Time of the whole, roughly.
    """

    down: Side
    across: Side
    shared: bool
    cycles: float

    @property
    def tiles(self) -> int:
        """Tiles of a plane."""
        return self.down.tiles * self.across.tiles

    @property
    def row(self) -> int:
        """Numbers of a row of a spectrum: an odd number, so that rows do not all fall into one set of the cache."""
        return self.across.half + self.across.second // 2 | 1


@functools.cache
def _operations(n: int, real: bool) -> float:
    """Of a transform and of its inverse, half."""
    count = Counter()
    if real:
        # Those of conjugates are computed by nobody.
        dft(count, [(count, None)] * n)
        return count.count * 0.7
    dft(count, [(count, count)] * n)
    inverse_dft(count, [(count, count)] * n)
    return count.count / 2


def line_operations(side: Side, real: bool) -> float:
    """Operations on vectors of the transform of a line, or of its inverse."""
    return _of_line(side.first, side.second, real)


def _of_line(first: int, second: int, real: bool) -> float:
    lines = first // 2 + 1 if real else first
    return second * _operations(first, real) + lines * _operations(second, False) + 4 * (lines - 1) * second


@functools.cache
def _line_cycles(first: int, second: int, real: bool) -> float:
    """Of the transform of a line, or of its inverse."""
    lines = first // 2 + 1 if real else first
    return _of_line(first, second, real) / 2 + _MOVED * lines * second + 20


def _sides(extent: int, out: int, kernel: int, before: int, after: int, real: bool) -> list[Side]:
    """Sides that serve rows or columns of such a problem, of each number of tiles the cheapest."""
    found: dict[tuple[int, int], Side] = {}
    for first in _FIRST:
        for second in _SECOND:
            N = first * second
            if N > _MOST:
                continue
            if max(extent + max(before, after), out) <= N:
                side = Side(first, second, extent, out, 1, 0, before)
            elif kernel <= N:
                outputs = min(out, N - kernel + 1)
                side = Side(first, second, N, outputs, -(-out // outputs), before, 0)
            else:
                continue
            known = found.get((N, side.tiles))
            if known is None or _line_cycles(first, second, real) < _line_cycles(known.first, known.second, real):
                found[N, side.tiles] = side
    best = sorted(found.values(), key=lambda side: side.tiles * _line_cycles(side.first, side.second, real))
    return best[:_SIDES]


@functools.lru_cache(maxsize=1024)
def sizes_of(p: Conv2dProblem) -> Sizes | None:
    """The sizes that compute a problem in least time; None if no transform is as large as its kernel."""
    assert p.pb is not None and p.pr is not None
    lanes, (KH, KW) = lanes_of(p.dtype), p.kernel_extent
    best: Sizes | None = None
    for down in _sides(p.ih, p.oh, KH, p.ph, p.pb, False):
        for across in _sides(p.iw, p.ow, KW, p.pw, p.pr, True):
            tiles = down.tiles * across.tiles
            planes, shared = p.mb * -(-p.oc // lanes) * tiles, p.mb * p.oc * -(-tiles // lanes)
            rows, columns = down.live + down.outputs, across.half
            cycles = rows * (_line_cycles(across.first, across.second, True) + _PIXEL * across.N)
            cycles += columns * (2 * _line_cycles(down.first, down.second, False) + 4 * down.N)
            nbytes = 2 * lanes * p.itemsize * columns * down.N
            # Spectrum and weights, which leave L2.
            weights = nbytes if planes <= shared else 0
            if nbytes + weights > cache_bytes(2):
                cycles += _FAR * (nbytes + weights) / 64 * 3
            cycles *= min(planes, shared)
            if best is None or cycles < best.cycles:
                best = Sizes(down, across, shared < planes, cycles)
    return best
