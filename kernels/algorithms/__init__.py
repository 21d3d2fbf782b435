"""One file per family; importing a family registers its variants."""

from kernels.algorithms import direct, fft, grouped, grouped_winograd, im2col, naive, winograd  # noqa: F401
