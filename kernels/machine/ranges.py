"""Work that is a plain range of items, such as copies: a microkernel takes the items of a thread's share.

Its parameters are ``(src, dst, extents, scratch, tables, local, begin, end)``: arrays of a call, integers, and memory
that only some use: scratch of the thread in elements of the spec, tables in float64, and scratch in float64.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kernels.machine.microkernel import call, macrokernel
from kernels.machine.parallel import Launch, address_of, share_of

__all__ = ["over_ranges"]

_NOTHING = np.zeros(0)


@macrokernel(("ITEMS", "kernel", "extents", "scratch", "SCRATCH", "tables", "local", "LOCAL"))
def _ranges(z, step, part, parts):
    begin, end = share_of(z.ITEMS, part, parts)
    if begin < end:
        scratch, local = z.scratch + part * z.SCRATCH, z.local + part * z.LOCAL
        call(z.kernel, (z.src, z.dst, z.extents, scratch, z.tables, local, begin, end))


def over_ranges(
    kernel: int,
    items: int,
    extents: Sequence[int] | np.ndarray,
    threads: int,
    *,
    scratch: int = 0,
    dtype: str = "float32",
    tables: np.ndarray = _NOTHING,
    local: int = 0,
) -> Launch:
    """Bind a microkernel, whose address is ``kernel``, to so many items.

    Parameters
    ----------
    kernel, items : int
    extents : sequence of int
    threads : int
    scratch, local : int
        Elements for each thread, of ``dtype`` and of float64.
    dtype : str
    tables : ndarray of float64
    """
    integers = np.array(extents, np.intp)
    own, doubles = np.empty((threads, scratch), dtype), np.empty((threads, local))
    record = _ranges.record(
        ITEMS=items, kernel=kernel, extents=address_of(integers), scratch=address_of(own), SCRATCH=own[0].nbytes,
        tables=address_of(tables), local=address_of(doubles), LOCAL=doubles[0].nbytes,
    )  # fmt: skip
    return Launch(_ranges, record, threads, keep=(integers, own, tables, doubles))
