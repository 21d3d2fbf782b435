"""Programs: the passes that transform a row, a column, or a row back, as tables of calls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from kernels.algorithms.fft_planes.microkernel import Pass, passes
from kernels.algorithms.fft_planes.sizes import Side, Sizes
from kernels.machine.cpu import lanes_of

__all__ = ["CALL", "Programs", "local_elements", "programs_of"]

#: What a call of a program is. It reads from byte ``a``, plus ``a_local`` times the address of a thread's scratch, plus
#: ``a_far`` times that of a row or a column of the spectrum, and writes to byte ``c`` likewise, plus ``c_weights``
#: times the address of the weights of a column; its table is at byte ``table``, plus ``t_weights`` times that.
CALL = (
    "kernel", "a", "a_local", "a_far", "a_next", "a_step", "c", "c_local", "c_far", "c_next", "c_step", "c_weights",
    "table", "t_weights", "t_next", "count",
)  # fmt: skip


class Programs(NamedTuple):
    """Tables of calls, and the factors that they point to.

    Attributes
    ----------
    row, column, back : ndarray of int
        Pixels of a row to its points; a column of points times the weights; points of a row to its outputs.
    taps, spectrum : ndarray of int
        Likewise for the rows and the columns of kernels.
    factors : tuple of ndarray
    """

    row: np.ndarray
    column: np.ndarray
    back: np.ndarray
    taps: np.ndarray
    spectrum: np.ndarray
    factors: tuple[np.ndarray, np.ndarray]


def local_elements(z: Sizes, lanes: int) -> int:
    """Elements of a thread's scratch: a row of pixels, in whole squares, and numbers between two passes."""
    return (_pixels(z, lanes) + 2 * max(z.down.N, _middle(z.across))) * lanes


def _pixels(z: Sizes, lanes: int) -> int:
    return (z.across.N + 2 * lanes - 1) // lanes * lanes


def _middle(side: Side) -> int:
    """Numbers between the passes of a row."""
    return len(side.lines) * side.second


def _factors(first: int, second: int, lines: Sequence[int], dtype: str) -> np.ndarray:
    """What results of the first pass are turned by: ``[n2][line after the first][cosine, sine]``."""
    angles = -2 * np.pi * np.outer(np.arange(second), np.asarray(lines[1:])) / (first * second)
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1).astype(dtype)


def _of(side: Side, count: int) -> int:
    """How many of numbers ``second`` apart are as many as the first ``count``, or more."""
    return -(-count // side.second)


def programs_of(z: Sizes, dtype: str) -> Programs:
    """The programs of a problem's sizes."""
    lanes, item = lanes_of(dtype), np.dtype(dtype).itemsize
    vector = lanes * item
    down, across = z.down, z.across
    turn_row = _factors(across.first, across.second, across.lines, dtype)
    turn_column = _factors(down.first, down.second, range(down.first), dtype)
    middle, pitch = _pixels(z, lanes) * vector, 2 * lanes * z.row

    def call(kind: str, n: int, live: int, count: int, a: tuple[int, ...], c: tuple[int, ...], table: int = 0,
             t_weights: int = 0, t_next: int = 0, shared: bool = False, c_weights: int = 0) -> list[int]:  # fmt: skip
        kernel = passes.address(Pass(dtype, lanes, n, kind, live, shared))
        return [kernel, *a, *c, c_weights, table, t_weights, t_next, count]

    def places() -> Iterator[tuple[int, int]]:
        """Of each line its first number in a row of the spectrum, and how many are kept."""
        at = 0
        for line in across.lines:
            yield at, across.kept(line)
            at += across.kept(line)

    def rows(pixels: int) -> list[list[int]]:
        second = across.second
        found = [call(
            "split real", across.first, _of(across, pixels), second, (0, 1, 0, lanes, second * lanes),
            (middle, 1, 0, 2 * lanes, 2 * second * lanes), turn_row.ctypes.data, 0, turn_row[0].size,
        )]  # fmt: skip
        # Of lines of which not all is kept, the next one overwrites the rest.
        for n, (at, kept) in enumerate(places()):
            if n == 0 or kept < second or n == len(across.lines) - len(_whole(across)):
                count = len(_whole(across)) if kept == second and n else 1
                found.append(call(
                    "join", second, second, count,
                    (middle + 2 * n * second * vector, 1, 0, 2 * second * lanes, 2 * lanes),
                    (2 * at * vector, 0, 1, 2 * second * lanes, 2 * lanes),
                ))  # fmt: skip
        return found

    def back() -> list[list[int]]:
        second, found = across.second, []
        for n, (at, _) in enumerate(places()):
            kind = "part first" if n == 0 else "part half" if 2 * across.lines[n] == across.first else "part"
            if kind != "part" or n == len(across.lines) - len(_whole(across)):
                found.append(call(
                    kind, second, second, len(_whole(across)) if kind == "part" else 1,
                    (2 * at * vector, 0, 1, 2 * second * lanes, 2 * lanes),
                    (middle + 2 * n * second * vector, 1, 0, 2 * second * lanes, 2 * lanes),
                ))  # fmt: skip
        found.append(call(
            "merge real", across.first, _of(across, across.outputs), second,
            (middle, 1, 0, 2 * lanes, 2 * second * lanes), (0, 1, 0, lanes, second * lanes), turn_row.ctypes.data, 0,
            turn_row[0].size,
        ))  # fmt: skip
        return found

    second = down.second
    line, lines = (2 * lanes, 2 * second * lanes), (pitch, second * pitch)
    factors = turn_column.ctypes.data, 0, turn_column[0].size

    def split(live: int) -> list[int]:
        return call("split", down.first, _of(down, live), second, (0, 0, 1, *lines), (0, 1, 0, *line), *factors)

    neighbours = 0, 1, 0, 2 * second * lanes, 2 * lanes
    weights = 2 * second * (1 if z.shared else lanes)
    column = [
        split(down.live),
        call("middle", second, second, down.first, neighbours, neighbours, 0, 1, weights, z.shared),
        call("merge", down.first, _of(down, down.outputs), second, (0, 1, 0, *line), (0, 0, 1, *lines), *factors),
    ]
    spectrum = [
        split(down.N),
        call("join", second, second, down.first, neighbours, (0, 0, 0, *neighbours[3:]), c_weights=1),
    ]
    written = rows(across.live), column, back(), rows(across.N), spectrum
    row, middle_of, last, taps, transformed = (np.array(each, np.intp) for each in written)
    return Programs(row, middle_of, last, taps, transformed, (turn_row, turn_column))


def _whole(side: Side) -> list[int]:
    """Lines of which everything is kept."""
    return [line for line in side.lines if side.kept(line) == side.second and line]
