"""One file per family; importing a family registers its variants."""

from kernels.algorithms import direct, fft, fft_planes, im2col, long_stencil, naive  # noqa: F401
from kernels.algorithms import small_planes, stencil, winograd, winograd1d  # noqa: F401
