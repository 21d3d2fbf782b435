"""Stencils of any number of taps on planes: kernel rows and columns are loops, output rows share what is loaded."""

from kernels.algorithms.long_stencil import loops  # noqa: F401
