"""Blocks that end in a max-pool: a convolution, batch norm and ReLU before it.

The convolution writes some images at a time into a buffer, from where they are pooled while they
are in L2, or, where one image is larger, in L3. Nothing is gained by convolving fewer channels at
a time so that they stay in L2: measured on 3 to 32 channels at 224x224, where pooling takes 0.10 ms of
0.65, and on 64 to 128 at 112x112 (0.2 ms of 6), where the input would be transformed again for each part.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kernels.blocks.batch_norm import BatchNorm2d
from kernels.blocks.block import Block, Fused, images_at_once
from kernels.blocks.max_pool import MaxPool
from kernels.blocks.unfused import max_pool, relu
from kernels.epilogue import Epilogue
from kernels.layers import Conv2d

__all__ = ["ConvBlock", "ResNetStem"]


class _PooledBlock(Block[np.ndarray]):
    """Convolution, batch norm, ReLU, max-pool."""

    #: Kernel, stride and padding of the pool.
    _pool: tuple[int, int, int] | None

    def _pair(self) -> tuple[Conv2d, BatchNorm2d]:
        raise NotImplementedError

    def _fuse(self, shape: tuple[int, ...]) -> Fused[np.ndarray]:
        conv, norm = self._pair()
        problem = self._problem(conv, shape)
        epilogue = Epilogue(relu=True)
        if self._pool is None:
            return self._folded(conv, norm, problem, epilogue)
        _, OC, OH, OW = problem.output_shape
        images = images_at_once(problem.mb, OC * OH * OW * problem.itemsize)
        convolve = self._folded(conv, norm, problem.replace(mb=images), epilogue)
        pool = MaxPool((OC, OH, OW), *self._pool, problem.dtype, convolve.threads)
        between = np.empty((images, OC, OH, OW), self.dtype)

        def fused(src: np.ndarray) -> np.ndarray:
            result = np.empty((len(src), *pool.output_shape), src.dtype)
            for n in range(0, len(src), images):
                pool(convolve(src[n : n + images], between), result[n : n + images])
            return result

        return fused

    def unfused(self, input: Any) -> np.ndarray:
        """The same by a pass over memory for each layer."""
        conv, norm = self._pair()
        result = relu(norm(conv(input)))
        return result if self._pool is None else max_pool(result, *self._pool, threads=self.threads)


class ConvBlock(_PooledBlock):
    """Convolution, batch norm, ReLU and a 2x2 max-pool of stride 2; layers ``conv`` and ``bn``.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, padding : int
    pool : bool
        Whether there is a max-pool.
    dtype, rng, algorithm, threads, window_only
        As for `Conv2d`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        padding: int = 1,
        pool: bool = True,
        *,
        dtype: Any = "float32",
        rng: np.random.Generator | int | None = None,
        algorithm: str = "auto",
        threads: int | None = None,
        window_only: bool = False,
    ) -> None:
        super().__init__(dtype, rng, algorithm, threads, window_only)
        self.conv = self._conv(in_channels, out_channels, kernel_size, padding=padding)
        self.bn = self._norm(out_channels)
        self._pool = (2, 2, 0) if pool else None

    def _pair(self) -> tuple[Conv2d, BatchNorm2d]:
        return self.conv, self.bn


class ResNetStem(_PooledBlock):
    """7x7 convolution of stride 2, batch norm, ReLU and a 3x3 max-pool of stride 2; layers ``conv1`` and ``bn1``.

    Source: He et al., "Deep Residual Learning for Image Recognition" (2015), arXiv:1512.03385.

    Parameters
    ----------
    in_channels, out_channels : int
    dtype, rng, algorithm, threads, window_only
        As for `Conv2d`.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 64,
        *,
        dtype: Any = "float32",
        rng: np.random.Generator | int | None = None,
        algorithm: str = "auto",
        threads: int | None = None,
        window_only: bool = False,
    ) -> None:
        super().__init__(dtype, rng, algorithm, threads, window_only)
        self.conv1 = self._conv(in_channels, out_channels, 7, stride=2, padding=3)
        self.bn1 = self._norm(out_channels)
        self._pool = 3, 2, 1

    def _pair(self) -> tuple[Conv2d, BatchNorm2d]:
        return self.conv1, self.bn1
