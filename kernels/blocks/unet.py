"""The down block of U-Net."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernels.blocks.block import Block, Fused
from kernels.blocks.max_pool import MaxPool
from kernels.blocks.unfused import max_pool, relu
from kernels.epilogue import Epilogue

__all__ = ["UNetDown"]


class UNetDown(Block[tuple[np.ndarray, np.ndarray]]):
    """Two 3x3 convolutions with batch norm and ReLU, and what a 2x2 max-pool makes of their result.

    A call gives both: ``skip`` (N, out_channels, H, W) and ``pooled`` (N, out_channels, H // 2, W // 2).
    Layers ``conv1``, ``bn1``, ``conv2``, ``bn2``. One image at a time passes through all of them.

    Source: Ronneberger et al., "U-Net: Convolutional Networks for Biomedical Image Segmentation" (2015),
    arXiv:1505.04597, padded so that maps keep their size, and with batch norm, as it is mostly built.

    Parameters
    ----------
    in_channels, out_channels : int
    dtype, rng, algorithm, threads, window_only
        As for `Conv2d`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        dtype: Any = "float32",
        rng: np.random.Generator | int | None = None,
        algorithm: str = "auto",
        threads: int | None = None,
        window_only: bool = False,
    ) -> None:
        super().__init__(dtype, rng, algorithm, threads, window_only)
        self.conv1 = self._conv(in_channels, out_channels, 3, padding=1)
        self.bn1 = self._norm(out_channels)
        self.conv2 = self._conv(out_channels, out_channels, 3, padding=1)
        self.bn2 = self._norm(out_channels)

    def _fuse(self, shape: tuple[int, ...]) -> Fused[tuple[np.ndarray, np.ndarray]]:
        one = self._problem(self.conv1, shape).replace(mb=1)
        _, C, H, W = one.output_shape
        first = self._folded(self.conv1, self.bn1, one, Epilogue(relu=True))
        second = self._folded(self.conv2, self.bn2, self._problem(self.conv2, one.output_shape), Epilogue(relu=True))
        pool = MaxPool((C, H, W), 2, 2, 0, one.dtype, second.threads)
        between = np.empty(one.output_shape, self.dtype)

        def fused(src: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            skip = np.empty((len(src), C, H, W), src.dtype)
            pooled = np.empty((len(src), *pool.output_shape), src.dtype)
            for n in range(len(src)):
                own = slice(n, n + 1)
                pool(second(first(src[own], between), skip[own]), pooled[own])
            return skip, pooled

        return fused

    def unfused(self, input: Any) -> tuple[np.ndarray, np.ndarray]:
        """The same by a pass over memory for each layer."""
        skip = relu(self.bn2(self.conv2(relu(self.bn1(self.conv1(input))))))
        return skip, max_pool(skip, 2, 2, 0, threads=self.threads)
