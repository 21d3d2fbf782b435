"""Convolution by Fourier transform without sums over channels: planes, or tiles of them, side by side in vectors."""

from kernels.algorithms.fft_planes import loops  # noqa: F401
