"""Max-pool, to be run right behind the convolution that wrote what it reads."""

from kernels.blocks.max_pool.loops import MaxPool

__all__ = ["MaxPool"]
