"""Direct convolution: the sum as it is, no transform of the input."""

from kernels.algorithms.direct.loops import direct_tiled  # noqa: F401
