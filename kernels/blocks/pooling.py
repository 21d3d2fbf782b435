"""Max-pool, compiled: bound once to its shapes, to be called many times."""

from __future__ import annotations

import numpy as np

from kernels.epilogue import NO_EPILOGUE
from kernels.errors import ShapeError
from kernels.machine import threads as threading
from kernels.machine.cpu import lanes_of
from kernels.machine.launch import Launch
from kernels.machine.maximum import Window
from kernels.machine.pool import PoolCodes, PoolSizes, pool_parallel, pool_serial
from kernels.machine.static import static
from kernels.machine.tile_shape import TileShape

__all__ = ["MaxPool"]


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
        window = Window(kernel_size, stride, lanes)
        self._codes = static(PoolCodes(TileShape(1, 1, lanes), window, kernel_size, NO_EPILOGUE))
        self._sizes = PoolSizes(IH, IW, OH, OW, kernel_size, stride, stride, padding, padding, lanes)
        # Behind the row and its padding, what a vector of windows reads and throws away.
        self._row = np.zeros((threads, IW + 2 * padding + (stride + 1) * lanes), dtype)
        self._launch = Launch(pool_serial if threads == 1 else pool_parallel)

    def __call__(self, src: np.ndarray, dst: np.ndarray) -> None:
        """Pool images.

        Parameters
        ----------
        src : ndarray, shape (N, C, H, W)
        dst : ndarray, shape (N, C, oH, oW)
            Every element is written. Both are C-contiguous and of the pool's dtype.
        """
        items = dst.shape[0] * dst.shape[1] * dst.shape[2]
        with threading.limited_to(len(self._row)):
            self._launch(self._codes, self._sizes, len(self._row), items, src.reshape(-1), dst.reshape(-1), self._row)
