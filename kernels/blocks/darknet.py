"""The residual block of Darknet-53."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernels.arguments import as_array
from kernels.blocks.block import Block, Fused, images_at_once
from kernels.blocks.unfused import relu
from kernels.epilogue import Epilogue
from kernels.errors import ShapeError

__all__ = ["DarknetResidual"]

#: Of the leaky ReLUs, in the authors' framework.
_SLOPE = 0.1


class DarknetResidual(Block[np.ndarray]):
    """Half as many channels and back, and the input added: layers ``conv1``, ``bn1``, ``conv2``, ``bn2``.

    ``leaky(bn2(conv2(leaky(bn1(conv1(x)))))) + x`` with a 1x1 and a 3x3 convolution. The sum is made where
    the second one stores its tiles.

    Source: Redmon and Farhadi, "YOLOv3: An Incremental Improvement" (2018), arXiv:1804.02767.

    Parameters
    ----------
    channels : int
        An even number.
    dtype, rng, algorithm, threads, window_only
        As for `Conv2d`.

    Raises
    ------
    ShapeError
        ``channels`` is odd.
    """

    def __init__(
        self,
        channels: int,
        *,
        dtype: Any = "float32",
        rng: np.random.Generator | int | None = None,
        algorithm: str = "auto",
        threads: int | None = None,
        window_only: bool = False,
    ) -> None:
        super().__init__(dtype, rng, algorithm, threads, window_only)
        if channels % 2:
            raise ShapeError(f"channels is {channels}, expected an even number")
        self.conv1 = self._conv(channels, channels // 2, 1)
        self.bn1 = self._norm(channels // 2)
        self.conv2 = self._conv(channels // 2, channels, 3, padding=1)
        self.bn2 = self._norm(channels)

    def _fuse(self, shape: tuple[int, ...]) -> Fused[np.ndarray]:
        first = self._problem(self.conv1, shape)
        _, C, H, W = first.output_shape
        images = images_at_once(first.mb, C * H * W * first.itemsize)
        first = first.replace(mb=images)
        second = self._problem(self.conv2, first.output_shape)
        narrow = self._folded(self.conv1, self.bn1, first, Epilogue(relu=True, slope=_SLOPE))
        added = Epilogue(residual=True, relu=True, slope=_SLOPE, residual_last=True)
        wide = self._folded(self.conv2, self.bn2, second, added)
        between = np.empty(first.output_shape, self.dtype)

        def fused(src: np.ndarray) -> np.ndarray:
            result = np.empty(src.shape, src.dtype)
            for n in range(0, len(src), images):
                own = src[n : n + images]
                wide(narrow(own, between), result[n : n + images], residual=own)
            return result

        return fused

    def unfused(self, input: Any) -> np.ndarray:
        """The same by a pass over memory for each layer."""
        narrow = relu(self.bn1(self.conv1(input)), _SLOPE)
        wide: np.ndarray = relu(self.bn2(self.conv2(narrow)), _SLOPE) + as_array("input", input)
        return wide
