"""The depthwise-separable pair."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernels.blocks.block import Block, Fused, images_at_once
from kernels.blocks.unfused import relu
from kernels.epilogue import Epilogue

__all__ = ["DepthwiseSeparable"]


class DepthwiseSeparable(Block[np.ndarray]):
    """A 3x3 convolution of each channel by itself, then a 1x1 of all, each with batch norm and ReLU.

    Layers ``conv1``, ``bn1``, ``conv2``, ``bn2``.

    Source: Howard et al., "MobileNets" (2017), arXiv:1704.04861.

    Parameters
    ----------
    in_channels, out_channels : int
    stride : int
        Of the 3x3 convolution.
    dtype, rng, algorithm, threads, window_only
        As for `Conv2d`; an ``algorithm`` by name is for both.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        *,
        dtype: Any = "float32",
        rng: np.random.Generator | int | None = None,
        algorithm: str = "auto",
        threads: int | None = None,
        window_only: bool = False,
    ) -> None:
        super().__init__(dtype, rng, algorithm, threads, window_only)
        self.conv1 = self._conv(in_channels, in_channels, 3, stride=stride, padding=1, groups=in_channels)
        self.bn1 = self._norm(in_channels)
        self.conv2 = self._conv(in_channels, out_channels, 1)
        self.bn2 = self._norm(out_channels)

    def _fuse(self, shape: tuple[int, ...]) -> Fused[np.ndarray]:
        first = self._problem(self.conv1, shape)
        _, C, H, W = first.output_shape
        images = images_at_once(first.mb, C * H * W * first.itemsize)
        first = first.replace(mb=images)
        second = self._problem(self.conv2, first.output_shape)
        depthwise = self._folded(self.conv1, self.bn1, first, Epilogue(relu=True))
        pointwise = self._folded(self.conv2, self.bn2, second, Epilogue(relu=True))
        between = np.empty(first.output_shape, self.dtype)
        made = second.output_shape[1:]

        def fused(src: np.ndarray) -> np.ndarray:
            result = np.empty((len(src), *made), src.dtype)
            for n in range(0, len(src), images):
                own = slice(n, n + images)
                pointwise(depthwise(src[own], between), result[own])
            return result

        return fused

    def unfused(self, input: Any) -> np.ndarray:
        """The same by a pass over memory for each layer."""
        return relu(self.bn2(self.conv2(relu(self.bn1(self.conv1(input))))))
