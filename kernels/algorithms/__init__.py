"""One file per family; importing a family registers its variants."""

from kernels.algorithms import direct, fft, fft_planes, im2col, long_stencil, naive, stencil, winograd, winograd1d  # noqa: F401
