"""Tables that `kernels.algorithms.transform.loops` runs by: programs, and what blocks, rows, pieces and sums are.

A program is the calls that transform a row of tiles.

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
from kernels.algorithms.transform.loops import BLOCK_FIELDS, CALL_FIELDS, INPUT, OUTPUT, PRODUCTS, SUM_FIELDS
from kernels.machine.parallel import address_of

__all__ = ["Kernels", "distances", "programs", "tables"]


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


def distances(z: Sizes) -> dict[str, np.ndarray]:
    """Distances in elements: of tile columns in ``pixels``, in ``rows`` and in the scratch, of tiles in V and M."""
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


def _sums(z: Sizes, itemsize: int) -> np.ndarray:
    """What `loops.SUM_FIELDS` says of every sum."""
    K, f = z.PIECES_H * z.PIECES_W * z.ICP, np.arange(z.SUMS)
    row, ROWS, column, COLUMNS = points_of(z)
    values = {
        "V": (row * z.C + column) * (z.VSTEP * itemsize),
        "U": (row * z.C + ROWS * column) * (K * z.NR * itemsize), "M": f * (z.MSTEP * itemsize),
        "ROWS": ROWS, "COLUMNS": COLUMNS,
        "short_across": f % z.SUMS_C < z.SHORT_SUMS_W, "short_down": f // z.SUMS_C < z.SHORT_SUMS_H,
    }  # fmt: skip
    return np.stack([np.asarray(values[name], np.intp) for name in SUM_FIELDS], 1)


def _blocks(z: Sizes, itemsize: int) -> np.ndarray:
    """What `loops.BLOCK_FIELDS` says of every block; see `geometry.block_of`."""
    item = np.arange(z.ITEMS)
    image, group, number = item // (z.BLOCKS * z.G) * z.IMAGES, item // z.BLOCKS % z.G, item % z.BLOCKS
    first = number * z.TH // z.BLOCKS
    images, rows = np.minimum(z.IMAGES, z.MB - image), (number + 1) * z.TH // z.BLOCKS - first
    full_rows = np.clip(z.FULL_TH - first, 0, rows)
    full, short = images * full_rows, images * (rows - full_rows)
    K, plane = z.PIECES_H * z.PIECES_W * z.ICP, image * z.G + group
    top = first // z.GRIDS_H
    sets = (first + rows - 1) // z.GRIDS_H - top
    values = {
        "src": plane * (z.ICG * z.IH * z.IW * itemsize), "dst": plane * (z.OCG * z.OH * z.OW * itemsize),
        "bias": group * (z.OCB * z.CHANNELS * itemsize), "U": group * (z.OCB * z.F * K * z.NR * itemsize),
        "images": images, "first": first, "rows": rows, "full_rows": full_rows,
        "whole": full * z.FULL_TW, "across": full * (z.TW - z.FULL_TW),
        "down": short * z.FULL_TW, "both": short * (z.TW - z.FULL_TW),
        "source_row": top * z.STEP_H - z.PH,
        "source_rows": sets * z.STEP_H + (z.NH - 1) * z.DH + z.GRIDS_H + (z.PIECES_H - 1) * z.TAP_H,
        "pixels": top * (z.STEP_H * z.WP * z.LANES * itemsize),
    }  # fmt: skip
    return np.stack([values[name] for name in BLOCK_FIELDS], 1)


def _rows(z: Sizes, itemsize: int) -> np.ndarray:
    """What `loops.ROW_FIELDS` says of every row of tiles."""
    sets, grid = np.divmod(np.arange(z.TH), z.GRIDS_H)
    start = sets * (z.MH * z.DH) + grid
    lines = np.where(np.arange(z.TH) < z.FULL_TH, z.MH, z.SHORT_MH)
    # The first line that a stride does not leave out; only where nothing is dilated there is a stride.
    first = -start % z.SH
    oh = (start + first) // z.SH
    count = np.minimum(-(-(lines - first) // z.SH), -(-(z.OH - oh) // z.DH))
    at = z.PIXELS + z.MID + first * (z.WR * z.LANES)
    pixels = (sets * z.STEP_H + grid) * (z.WP * z.LANES)
    return np.stack([pixels * itemsize, at * itemsize, oh * (z.OW * itemsize), np.maximum(count, 0)], 1)


def _pieces(z: Sizes, itemsize: int) -> np.ndarray:
    """What `loops.PIECE_FIELDS` says of every piece."""
    piece = np.arange(z.PIECES_H * z.PIECES_W)
    down, across = np.divmod(piece, z.PIECES_W)
    shift = (down * (z.TAP_H * z.WP) + across * z.TAP_W) * (z.LANES * itemsize)
    return np.stack([shift, piece * (z.ICP * z.MR * z.W * itemsize)], 1)


#: Phases of the steps of a block, by how many there are.
_STEPS = {1: (INPUT | PRODUCTS | OUTPUT,), 2: (INPUT, PRODUCTS | OUTPUT), 3: (INPUT, PRODUCTS, OUTPUT)}


def tables(z: Sizes, itemsize: int) -> dict[str, np.ndarray]:
    """Tables by the names of `loops.FIELDS`, but for the programs."""
    return {
        "masks": np.array(_STEPS[z.PHASES], np.intp), "blocks": _blocks(z, itemsize), "rows": _rows(z, itemsize),
        "pieces": _pieces(z, itemsize), "sums": _sums(z, itemsize),
    }  # fmt: skip


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

    def swapped(self) -> _Side:
        """With real and imaginary parts in each other's place, where a transform is its own inverse."""
        return self._replace(at=self.at + self.part, part=-self.part)

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

    def tiles(self, whole: int, short: int, a: _Side, c: _Side, columns: tuple[int, int], count: int) -> None:
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


def programs(z: Sizes, kernels: Kernels, distances: Mapping[str, np.ndarray], itemsize: int) -> list[np.ndarray]:
    """Programs for input, for short rows of it, for output and for short rows of that."""
    at = {name: address_of(table) for name, table in distances.items()}
    found = []
    for write in (_into, _out):
        for is_short in (False, True):
            writer = _Writer(z, itemsize)
            if not is_short or z.FULL_TH < z.TH:
                write(z, kernels, at, writer, is_short)
            found.append(np.array(writer.calls, np.intp))
    return found


def _steps(z: Sizes, at: Mapping[str, int]) -> tuple[_Side, _Side]:
    """The scratch of one tile, by rows and by columns."""
    LANES, W = z.LANES, z.W * z.LANES
    rows, columns = (_Side(z.PIXELS, True, at["zero"], *steps, LANES) for steps in ((z.C * W, W), (W, z.C * W)))
    return rows, columns


def _into(z: Sizes, k: Kernels, at: Mapping[str, int], writer: _Writer, is_short: bool) -> None:
    """V of a row of tiles."""
    LANES, full = z.LANES, z.FULL_TW
    down, rows = (k.short_down_in, z.SHORT_R) if is_short else (k.down_in, z.F // z.C)
    row, column, V_row = z.DH * z.WP * LANES, z.DW * LANES, z.C * z.VSTEP
    pixels = _Side(0, True, at["corners"], row, column, short_begin=full, is_row=True)
    V = _Side(0, False, at["places"], V_row, z.VSTEP, is_numbered=True)
    all_ = (0, z.TW)
    if z.STEPS:
        by_rows, by_columns = _steps(z, at)
        for tile in range(z.TW):
            taken = pixels._replace(table=pixels.table + 8 * tile)
            to = V._replace(next=z.VSTEP, step=V_row, part=z.MR * LANES, table=V.table + 8 * tile)
            writer.once(k.across_in, taken, by_rows, z.NH)
            writer.once(k.down_in, by_columns, to, z.C)
        return
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
        writer.tiles(down, down, turned, to._replace(is_moved=True), (begin, min(columns[1], full)), z.C - z.SHORT_C)


def _out(z: Sizes, k: Kernels, at: Mapping[str, int], writer: _Writer, is_short: bool) -> None:
    """Outputs of a row of tiles."""
    LANES, full = z.LANES, z.FULL_TW
    down, lines = (k.short_down_out, z.SHORT_MH) if is_short else (k.down_out, z.MH)
    M = _Side(0, False, at["places_out"], z.MSTEP, z.SUMS_C * z.MSTEP, is_numbered=True)
    rows = _Side(z.PIXELS + z.MID, True, at["edges"], z.WR * LANES, z.DW * LANES, short_begin=full)
    all_ = (0, z.TW)
    if z.STEPS:
        by_rows, by_columns = _steps(z, at)
        for tile in range(z.TW):
            place = M._replace(part=z.CHANNELS, table=M.table + 8 * tile)
            writer.once(k.down_out, place.swapped(), by_columns.swapped(), z.C)
            writer.once(k.across_out, by_rows, rows._replace(table=rows.table + 8 * tile), z.MH)
        return
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
