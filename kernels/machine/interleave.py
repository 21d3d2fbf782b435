"""Planes put together of those of their residues: rows and columns of a step, each from an array of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kernels.machine.microkernel import Doubles, Elements, Offsets, memory_microkernel
from kernels.machine.parallel import Launch
from kernels.machine.ranges import over_ranges
from kernels.machine.static import number

__all__ = ["Residue", "interleaving"]

#: Columns of a step that are written in one pass over a row; more are written one after the other.
_TOGETHER = 2
#: Numbers in front of the tables.
_HEAD = 8


class Residue(NamedTuple):
    """Elements of a plane whose rows have the same remainder, and whose columns have.

    Attributes
    ----------
    place : int
        First element of its planes in the source.
    rows, columns : int
        Extents of its planes.
    """

    place: int
    rows: int
    columns: int


class InterleaveSpec(NamedTuple):
    """What interleaving is specialised by; ``SW`` is 0 if it is given at run time."""

    dtype: str
    SW: int


@memory_microkernel
def interleave_rows(
    spec, src: Elements, dst: Elements, extents: Offsets, scratch: Elements, tables: Doubles, local: Doubles,
    begin: int, end: int,
) -> None:  # fmt: skip
    """Rows ``begin`` to ``end`` of all planes.

    ``extents`` are height, width, strides, channels, and where three tables begin: the class of each remainder of
    rows, that of each remainder of columns, and place, rows and columns of each pair of classes. The class of what
    nothing falls on is less than 0. ``tables`` holds a number per channel for that.
    """
    IH, IW, SH, SW, IC = extents[0], extents[1], extents[2], extents[3], extents[4]
    ACROSS, RESIDUES, COLUMNS = extents[5], extents[6], extents[7]
    for row in range(begin, end):
        plane, ih = row // IH, row % IH
        down, to, first = extents[8 + ih % SH], row * IW, 0
        if number(spec.SW) == 2 and down >= 0 and IW > 1 and extents[ACROSS] >= 0 and extents[ACROSS + 1] >= 0:
            # Both columns of a step at once: whole vectors are stored.
            first = IW // 2 * 2
            one = RESIDUES + 3 * (down * COLUMNS + extents[ACROSS])
            other = RESIDUES + 3 * (down * COLUMNS + extents[ACROSS + 1])
            left = extents[one] + (plane * extents[one + 1] + ih // SH) * extents[one + 2]
            right = extents[other] + (plane * extents[other + 1] + ih // SH) * extents[other + 2]
            for i in range(first // 2):
                dst[to + 2 * i] = src[left + i]
                dst[to + 2 * i + 1] = src[right + i]
        for column in range(first, first + min(SW, IW - first)):
            across = extents[ACROSS + column % SW]
            count = (IW - column + SW - 1) // SW
            if down >= 0 and across >= 0:
                residue = RESIDUES + 3 * (down * COLUMNS + across)
                at = extents[residue] + (plane * extents[residue + 1] + ih // SH) * extents[residue + 2] + column // SW
                for i in range(count):
                    dst[to + column + i * SW] = src[at + i]
            else:
                value = tables[plane % IC]
                for i in range(count):
                    dst[to + column + i * SW] = value


def interleaving(
    dtype: str,
    shape: tuple[int, int, int, int],
    step: tuple[int, int],
    classes: tuple[np.ndarray, np.ndarray],
    residues: Sequence[Sequence[Residue]],
    fill: np.ndarray,
    threads: int,
) -> Launch:
    """What puts planes together: ``run(src, dst, dst)``, each thread some rows.

    Parameters
    ----------
    dtype : str
    shape : tuple of int
        Of ``dst``: images, channels, height and width.
    step : tuple of int
        Rows and columns from one element of a residue to the next.
    classes : pair of ndarray of int
        Of each remainder of rows, and of columns, which class it is; less than 0 for those that nothing falls on.
    residues : sequence of sequences of Residue
        Of each class of rows and, within, of columns.
    fill : ndarray of float64
        Per channel, what is written to elements that no residue has.
    threads : int
    """
    mb, ic, ih, iw = shape
    down, across = classes
    width = len(residues[0]) if residues else 0
    tables = [*down, *across, *(number for row in residues for each in row for number in each)]
    extents = [ih, iw, *step, ic, _HEAD + len(down), _HEAD + len(down) + len(across), width, *tables]
    spec = InterleaveSpec(dtype, step[1] if step[1] <= _TOGETHER else 0)
    return over_ranges(interleave_rows.address(spec), mb * ic * ih, extents, threads, tables=fill)
