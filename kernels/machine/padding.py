"""A copy of a source with zeros around each plane."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from kernels.machine.cpu import lanes_of
from kernels.machine.microkernel import Doubles, Elements, Offsets, microkernel
from kernels.machine.parallel import Launch
from kernels.machine.ranges import over_ranges
from kernels.machine.register_tile import tile_zeros
from kernels.machine.static import number
from kernels.machine.target import inner
from kernels.machine.tile_memory import tile_load, tile_store
from kernels.machine.tile_shape import TileShape
from kernels.problem import Conv2dProblem

__all__ = ["behind_padding", "source_padding"]


class RowSpec(NamedTuple):
    """What padding is specialised by."""

    dtype: str
    vector: TileShape


@inner
def _zero(spec, dst, at, end, stop):
    """Zeros to ``dst[at:end]``, and whatever to as much behind it as makes whole vectors, but not to ``stop``."""
    LANES = number(spec.vector.lanes)
    if at + (end - at + LANES - 1) // LANES * LANES <= stop:
        for i in range(at, end, LANES):
            tile_store(tile_zeros(spec.vector, dst), dst, i, 0)
    else:
        for i in range(end - at):
            dst[at + i] = 0


@microkernel
def pad_rows(
    spec, src: Elements, dst: Elements, extents: Offsets, scratch: Elements, tables: Doubles, local: Doubles,
    begin: int, end: int,
) -> None:  # fmt: skip
    """Rows ``begin`` to ``end`` of all padded planes.

    A row is an element of padding, pixels, padding and the next row's: copied and cleared by whole vectors, which
    overrun what they are for; what comes next overwrites that.
    """
    LANES = number(spec.vector.lanes)
    size, IH, IW, PH, PW, HP, WP = (
        extents[0], extents[1], extents[2], extents[3], extents[4], extents[5], extents[6],
    )  # fmt: skip
    # What follows belongs to another thread, or to nobody.
    stop = end * WP
    whole = (IW + LANES - 1) // LANES * LANES
    plane, hp = begin // HP, begin % HP
    _zero(spec, dst, begin * WP, begin * WP + PW, stop)
    for row in range(begin, end):
        to, ih = row * WP + PW, hp - PH
        filled = 0
        if 0 <= ih < IH:
            at = (plane * IH + ih) * IW
            last = whole if at + whole <= size and to + whole <= stop else IW - IW % LANES
            for iw in range(0, last, LANES):
                tile_store(tile_load(spec.vector, src, at + iw, 0), dst, to + iw, 0)
            for iw in range(last, IW):
                dst[to + iw] = src[at + iw]
            filled = IW
        _zero(spec, dst, to + filled, min(to + WP, stop), stop)
        # Counted rather than divided.
        hp += 1
        if hp == HP:
            plane, hp = plane + 1, 0


def behind_padding(p: Conv2dProblem, threads: int, padded: np.ndarray, launch: Launch) -> Callable[..., None]:
    """``run(src, dst, residual)``: copies the source with zeros around it to ``padded``, from which ``launch`` reads.

    Parameters
    ----------
    p : Conv2dProblem
        Whose padding it is; see `source_padding`.
    threads : int
    padded : ndarray
        Scratch.
    launch : Launch
    """
    pad = source_padding(p, threads)

    def run(src: np.ndarray, dst: np.ndarray, residual: np.ndarray) -> None:
        pad(src, padded, padded)
        launch(padded, dst, residual)

    return run


def source_padding(p: Conv2dProblem, threads: int) -> Launch:
    """What copies a source with zeros around it: ``padding(src, dst, dst)``, each thread some rows.

    Parameters
    ----------
    p : Conv2dProblem
        ``src`` is (mb, ic, ih, iw), ``dst`` is written as (mb, ic, *p.padded_shape).
    threads : int
    """
    HP, WP = p.padded_shape
    planes = p.mb * p.ic
    spec = RowSpec(p.dtype, TileShape(1, 1, lanes_of(p.dtype)))
    extents = (planes * p.ih * p.iw, p.ih, p.iw, p.ph, p.pw, HP, WP)
    return over_ranges(pad_rows.address(spec), planes * HP, extents, threads)
