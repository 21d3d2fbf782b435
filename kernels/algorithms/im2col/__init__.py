"""im2col: the convolution as one matrix product, its columns packed panel by panel."""

from kernels.algorithms.im2col.loops import im2col_gemm  # noqa: F401
