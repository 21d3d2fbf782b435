"""The microkernel of the products: panels of tiles times a panel of weights, summed over input channels.

Layout of ``V``, ``U`` and ``M`` as in `kernels.algorithms.transform.loops`. A tile of MR rows by NV vectors stays in
registers over all channels, pieces and points of a sum. One call takes all panels of a block at one sum, so that the
weights, read from L2 or beyond by the first, are in L1 for the next.
"""

from __future__ import annotations

from typing import NamedTuple

from kernels.machine.microkernel import Elements, microkernel
from kernels.machine.register_tile import tile_multiply, tile_zeros
from kernels.machine.static import number
from kernels.machine.tile_memory import tile_store
from kernels.machine.tile_shape import TileShape

__all__ = ["ProductSpec", "products"]


class ProductSpec(NamedTuple):
    """What `products` is specialised by: ``width`` is 2 where numbers are complex, ``single`` 1 for sums of one point.

    A tile that is summed in a loop within loops leaves its registers in between: ``single`` is two loops less.
    """

    dtype: str
    shape: TileShape
    lanes: int
    width: int
    single: int


@microkernel
def products(
    spec, V: Elements, U: Elements, M: Elements, panels: int, K: int, ROWS: int, COLUMNS: int, down: int, across: int
) -> None:
    """``panels`` panels over K channels and pieces, at ROWS x COLUMNS points ``down`` and ``across`` apart."""
    MR, NR, LANES, W = number(spec.shape.MR), number(spec.shape.NR), number(spec.lanes), number(spec.width)
    if number(spec.single) == 1:
        ROWS, COLUMNS = 1, 1
    for panel in range(panels):
        tile = tile_zeros(spec.shape, M)
        wi = 0
        for row in range(ROWS):
            for column in range(COLUMNS):
                at = row * down + column * across + panel * K * MR * W
                for _ in range(0, K, LANES):
                    for lane in range(LANES):
                        tile = tile_multiply(spec.width, tile, V, at + lane, spec.lanes, MR * LANES, U, wi)
                        wi += NR
                    at += MR * LANES * W
        tile_store(tile, M, panel * MR * NR, NR)
