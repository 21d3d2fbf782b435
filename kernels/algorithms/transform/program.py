"""Programs of `kernels.algorithms.transform.loops`: the calls that transform a row of tiles, and what a sum is.

A row of tiles is transformed a side at a time, over a scratch between. Into points, columns come first: those that
neighbouring tiles share are transformed once. In a row of short tiles rows come first, where tiles are short across as
well: points of one column then go to places of their own. Out of points, columns come first. Of an FFT a tile fills the
scratch: it is transformed before the next, rows first on the way in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from kernels.algorithms.transform.geometry import Sizes, points_of
from kernels.algorithms.transform.loops import CALL_FIELDS, SUM_FIELDS
from kernels.machine.parallel import address_of

__all__ = ["Kernels", "programs", "sums", "tables"]


class Kernels(NamedTuple):
    """Addresses of `phases.lines` for each codelet; 0 where no tile is short."""

    down_in: int
    across_in: int
    down_out: int
    across_out: int
    short_down_in: int
    short_across_in: int
    short_down_out: int
    short_across_out: int


def tables(z: Sizes) -> dict[str, np.ndarray]:
    """Tables of distances, in elements: of tile columns in ``pixels``, ``rows`` and the scratch, of tiles in V and M."""
    column, tile = np.arange(z.TW), np.arange(z.IMAGES * z.R * z.TW)
    panel = z.PIECES_H * z.PIECES_W * z.ICP * z.MR * z.W
    sets, grid = np.divmod(column, z.GRIDS_W)
    return {
        "zero": np.zeros(1, np.intp),
        "corners": (sets * z.STEP_W + grid) * z.LANES,
        "edges": (sets * z.MW * z.DW + grid) * z.LANES,
        "points": column * (z.C * z.LANES),
        "sums": column * (z.SUMS_C * z.LANES),
        "places": tile // z.MR * panel + tile % z.MR * z.LANES,
        "places_out": tile * z.NR,
    }


def sums(z: Sizes, itemsize: int) -> np.ndarray:
    """What `loops.SUM_FIELDS` says of every sum."""
    K = z.PIECES_H * z.PIECES_W * z.ICP
    found = np.empty((z.SUMS, len(SUM_FIELDS)), np.intp)
    for f in range(z.SUMS):
        row, ROWS, column, COLUMNS = points_of(z, f)
        bytes_ = ((row * z.C + column) * z.VSTEP, (row * z.C + ROWS * column) * K * z.NR, f * z.MSTEP)
        found[f] = (
            *(itemsize * each for each in bytes_), ROWS, COLUMNS, f % z.SUMS_C < z.SHORT_SUMS_W,
            f // z.SUMS_C < z.SHORT_SUMS_H,
        )  # fmt: skip
    return found


class _Side(NamedTuple):
    """What lines are read from, or written to: distances in elements, and where those of tiles are.

    ``table`` is a table's address; it begins ``begin`` entries on, or is counted on by what ``by`` names.
    """

    at: int
    is_local: bool
    table: int
    next: int
    step: int
    part: int = 0
    begin: int = 0
    short_begin: int = 0
    is_numbered: bool = False
    is_row: bool = False
    is_moved: bool = False  # behind tiles that are short across only

    def words(self, itemsize: int, *, is_short: bool, first: int) -> dict[str, int]:
        """Fields of a call, by name without ``a_`` or ``c_``, for tiles from number ``first`` on."""
        begin = self.short_begin if is_short else self.begin
        return {
            "": self.at * itemsize, "local": self.is_local, "far": not self.is_local, "row": self.is_row,
            "table": self.table + 8 * (begin + first), "whole": 8 * (self.is_numbered and not is_short),
            "short": 8 * (self.is_numbered and is_short), "across": -8 * self.is_moved, "next": self.next,
            "step": self.step, "part": self.part,
        }  # fmt: skip


class _Writer:
    """A program that grows call by call."""

    def __init__(self, z: Sizes, itemsize: int) -> None:
        self._z, self._itemsize = z, itemsize
        self.calls: list[list[int]] = []

    def once(self, kernel: int, a: _Side, c: _Side, count: int) -> None:
        """Lines of one tile."""
        self._call(kernel, a, c, 0, 1, count, is_short=False)

    def tiles(
        self, whole: int, short: int, a: _Side, c: _Side, columns: tuple[int, int], count: int
    ) -> None:
        """Lines of tile columns, of which the short ones are the last."""
        full, (begin, end) = self._z.FULL_TW, columns
        if begin < min(end, full):
            self._call(whole, a, c, begin, min(end, full) - begin, count, is_short=False)
        if max(begin, full) < end:
            first = max(begin, full)
            self._call(short, a, c, first - full, end - first, count, is_short=True)

    def _call(self, kernel: int, a: _Side, c: _Side, first: int, tiles: int, count: int, *, is_short: bool) -> None:
        fields = {"kernel": kernel, "tiles": tiles, "count": count}
        for side, prefix, table in ((a, "a", "corners"), (c, "c", "places")):
            for name, value in side.words(self._itemsize, is_short=is_short, first=first).items():
                fields[table if name == "table" else f"{prefix}_{name}".rstrip("_")] = int(value)
        self.calls.append([fields[name] for name in CALL_FIELDS])


def programs(z: Sizes, kernels: Kernels, distances: Mapping[str, np.ndarray], itemsize: int) -> dict[str, np.ndarray]:
    """The programs by the names of `loops.FIELDS`; ``distances`` are `tables`."""
    at = {name: address_of(table) for name, table in distances.items()}
    found = {}
    for prefix, is_short in (("", False), ("short_", True)):
        if is_short and z.FULL_TH == z.TH:
            continue
        into, out = _Writer(z, itemsize), _Writer(z, itemsize)
        if z.STEPS:
            _steps(z, kernels, at, into, out)
        else:
            _into(z, kernels, at, into, is_short)
            _out(z, kernels, at, out, is_short)
        found[f"{prefix}program_in"] = np.array(into.calls, np.intp)
        found[f"{prefix}program_out"] = np.array(out.calls, np.intp)
    return found


def _steps(z: Sizes, k: Kernels, at: Mapping[str, int], into: _Writer, out: _Writer) -> None:
    """A tile at a time."""
    LANES, W = z.LANES, z.W * z.LANES
    rows, columns = (_Side(z.PIXELS, True, at["zero"], *steps, LANES) for steps in ((z.C * W, W), (W, z.C * W)))
    for tile in range(z.TW):
        pixels = _Side(0, True, at["corners"] + 8 * tile, z.WP * LANES, LANES, is_row=True)
        V = _Side(0, False, at["places"] + 8 * tile, z.VSTEP, z.C * z.VSTEP, z.MR * LANES, is_numbered=True)
        into.once(k.across_in, pixels, rows, z.NH)
        into.once(k.down_in, columns, V, z.C)
        M = _Side(0, False, at["places_out"] + 8 * tile, z.MSTEP, z.C * z.MSTEP, z.CHANNELS, is_numbered=True)
        to = _Side(z.PIXELS + z.MID, True, at["edges"] + 8 * tile, z.WR * LANES, LANES)
        out.once(k.down_out, M, columns, z.C)
        out.once(k.across_out, rows, to, z.MH)


def _into(z: Sizes, k: Kernels, at: Mapping[str, int], writer: _Writer, is_short: bool) -> None:
    """V of a row of tiles."""
    LANES, full = z.LANES, z.FULL_TW
    down, rows = (k.short_down_in, z.SHORT_R) if is_short else (k.down_in, z.F // z.C)
    row, column, V_row = z.DH * z.WP * LANES, z.DW * LANES, z.C * z.VSTEP
    pixels = _Side(0, True, at["corners"], row, column, short_begin=full, is_row=True)
    V = _Side(0, False, at["places"], V_row, z.VSTEP, is_numbered=True)
    all_ = (0, z.TW)
    if z.NH == 1:
        writer.tiles(k.across_in, k.short_across_in, pixels, V, all_, 1)
        return
    if z.NW == 1:
        writer.tiles(down, down, pixels._replace(next=column, step=row), V._replace(next=z.VSTEP, step=V_row), all_, 1)
        return
    for begin in range(0, z.TW, z.CHUNK):
        columns = begin, min(z.TW, begin + z.CHUNK)
        if not (is_short and full < z.TW):
            corner = begin // z.GRIDS_W * z.STEP_W
            sets, grid = divmod(columns[1] - 1, z.GRIDS_W)
            pitch, under = z.MID_W * LANES, sets * z.STEP_W + grid + (z.NW - 1) * z.DW + 1 - corner
            every = _Side(corner * LANES, True, at["zero"], LANES, row, is_row=True)
            writer.once(down, every, _Side(z.PIXELS, True, at["zero"], LANES, pitch), under)
            middle = _Side(z.PIXELS - corner * LANES, True, at["corners"], pitch, column, short_begin=full)
            writer.tiles(k.across_in, k.short_across_in, middle, V, columns, rows)
            continue
        pitch = z.CHUNK * z.C * LANES
        middle = _Side(z.PIXELS, True, at["points"], pitch, LANES, begin=-begin, short_begin=full - begin)
        writer.tiles(k.across_in, k.short_across_in, pixels, middle, columns, z.SHORT_NH)
        turned, to = middle._replace(next=LANES, step=pitch), V._replace(next=z.VSTEP, step=V_row)
        writer.tiles(down, down, turned, to, columns, z.SHORT_C)
        # The points that short tiles lack: here only tiles that have them.
        turned, to = (each._replace(at=each.at + z.SHORT_C * each.next) for each in (turned, to))
        writer.tiles(
            down, down, turned, to._replace(is_moved=True), (begin, min(columns[1], full)), z.C - z.SHORT_C
        )


def _out(z: Sizes, k: Kernels, at: Mapping[str, int], writer: _Writer, is_short: bool) -> None:
    """Outputs of a row of tiles."""
    LANES, full = z.LANES, z.FULL_TW
    down, lines = (k.short_down_out, z.SHORT_MH) if is_short else (k.down_out, z.MH)
    M = _Side(0, False, at["places_out"], z.MSTEP, z.SUMS_C * z.MSTEP, is_numbered=True)
    rows = _Side(z.PIXELS + z.MID, True, at["edges"], z.WR * LANES, z.DW * LANES, short_begin=full)
    all_ = (0, z.TW)
    if z.NH == 1:
        writer.tiles(k.across_out, k.short_across_out, M._replace(next=M.step, step=M.next), rows, all_, 1)
        return
    if z.NW == 1:
        writer.tiles(down, down, M, rows._replace(next=rows.step, step=rows.next), all_, 1)
        return
    for begin in range(0, z.TW, z.CHUNK):
        columns, pitch = (begin, min(z.TW, begin + z.CHUNK)), z.CHUNK * z.SUMS_C * LANES
        middle = _Side(z.PIXELS, True, at["sums"], LANES, pitch, begin=-begin, short_begin=full - begin)
        writer.tiles(down, down, M, middle, columns, z.SHORT_SUMS_W)
        # The sums that short tiles lack: there only tiles that have them.
        if z.SHORT_SUMS_W < z.SUMS_C:
            further, to = (each._replace(at=each.at + z.SHORT_SUMS_W * each.next) for each in (M, middle))
            further = further._replace(is_moved=is_short)
            writer.tiles(down, down, further, to, (begin, min(columns[1], full)), z.SUMS_C - z.SHORT_SUMS_W)
        turned = middle._replace(next=pitch, step=LANES)
        writer.tiles(k.across_out, k.short_across_out, turned, rows, columns, lines)
