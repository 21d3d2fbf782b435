"""Max-pool: bound once to its shapes, to be called many times.

Layout: planes as they are, NCHW. Loops, outside in: plane; its output rows, which one call of the microkernel makes.
Output rows of all planes number the items that threads take.
"""

from __future__ import annotations

import numpy as np

from kernels.blocks.max_pool.microkernel import PoolSpec, pool_rows
from kernels.errors import ShapeError
from kernels.machine.cpu import lanes_of
from kernels.machine.microkernel import call, macrokernel
from kernels.machine.parallel import Launch, address_of, share_of

__all__ = ["MaxPool"]

#: Extents and strides of windows along a row that have code of their own: those of networks.
_WIDTHS, _STRIDES = (2, 3, 5), (1, 2, 3)


@macrokernel(
    ("ITEMS", "IH", "IW", "OH", "OW", "KH", "KW", "SH", "SW", "PH", "PW", "ITEM", "pool", "row", "row_step")
)  # fmt: skip
def _planes(z, step, part, parts):
    begin, end = share_of(z.ITEMS, part, parts)
    row = z.row + part * z.row_step
    while begin < end:
        plane, oh = begin // z.OH, begin % z.OH
        rows = min(z.OH - oh, end - begin)
        src = z.src + plane * z.IH * z.IW * z.ITEM
        dst = z.dst + begin * z.OW * z.ITEM
        room = (end - begin) * z.OW
        sizes = (z.IH, z.IW, z.OW, z.KH, z.KW, z.SH, z.SW, z.PH, z.PW)
        call(z.pool, (src, dst, row, oh, oh + rows, room, *sizes))
        begin += rows


class MaxPool:
    """Greatest elements of windows of a map, with the arguments of ``torch.nn.MaxPool2d``.

    What is padded is never the greatest; NaN always is, as in torch.

    Parameters
    ----------
    shape : tuple of int
        (C, H, W) of an image.
    kernel_size, stride, padding : int
        Of both axes; at most half of the kernel is padded.
    dtype : {"float32", "float64"}
    threads : int

    Raises
    ------
    ShapeError
        The padding is too wide, or the result would have no pixels: torch's words.
    """

    def __init__(
        self, shape: tuple[int, int, int], kernel_size: int, stride: int, padding: int, dtype: str, threads: int
    ) -> None:
        C, IH, IW = shape
        if 2 * padding > kernel_size:
            raise ShapeError(
                "pad should be at most half of effective kernel size, "
                f"but got pad={padding}, kernel_size={kernel_size} and dilation=1"
            )
        OH, OW = ((extent + 2 * padding - kernel_size) // stride + 1 for extent in (IH, IW))
        if min(OH, OW) < 1:
            raise ShapeError(
                f"Given input size: ({C}x{IH}x{IW}). Calculated output size: ({C}x{OH}x{OW}). Output size is too small"
            )
        self.output_shape = C, OH, OW
        lanes = lanes_of(dtype)
        known = stride in _STRIDES
        spec = PoolSpec(dtype, lanes, kernel_size if known and kernel_size in _WIDTHS else 0, stride if known else 0)
        # Behind the row and its padding, what a vector of windows reads and throws away.
        self._row = np.zeros((threads, IW + 2 * padding + (stride + 1) * lanes), dtype)
        sizes = {"IH": IH, "IW": IW, "OH": OH, "OW": OW, "KH": kernel_size, "KW": kernel_size}
        moves = {"SH": stride, "SW": stride, "PH": padding, "PW": padding, "ITEM": self._row.itemsize}
        record = _planes.record(
            **sizes, **moves, pool=pool_rows.address(spec), row=address_of(self._row), row_step=self._row.strides[0]
        )
        self._launch = Launch(_planes, record, threads, keep=(self._row,))
        self._items = _planes.fields.index("ITEMS")

    def __call__(self, src: np.ndarray, dst: np.ndarray) -> None:
        """Pool images.

        Parameters
        ----------
        src : ndarray, shape (N, C, H, W)
        dst : ndarray, shape (N, C, oH, oW)
            Every element is written. Both are C-contiguous and of the pool's dtype.
        """
        self._launch.record[self._items] = dst.shape[0] * dst.shape[1] * dst.shape[2]
        self._launch(src, dst, dst)
