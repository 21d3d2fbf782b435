"""Work that is a plain range of items, such as copies: a microkernel takes the items of a thread's share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kernels.machine.microkernel import call, macrokernel
from kernels.machine.parallel import Launch, address_of, share_of

__all__ = ["over_ranges"]


@macrokernel(("ITEMS", "kernel", "extents"))
def _ranges(z, step, part, parts):
    begin, end = share_of(z.ITEMS, part, parts)
    if begin < end:
        call(z.kernel, (z.src, z.dst, z.extents, begin, end))


def over_ranges(kernel: int, items: int, extents: Sequence[int] | np.ndarray, threads: int) -> Launch:
    """Bind a microkernel ``(src, dst, extents, begin, end)``, whose address is ``kernel``, to so many items."""
    integers = np.array(extents, np.intp)
    record = _ranges.record(ITEMS=items, kernel=kernel, extents=address_of(integers))
    return Launch(_ranges, record, threads, keep=(integers,))
