"""Stencils on planes: few channels a group, pixels in vectors."""

from kernels.algorithms.stencil import loops  # noqa: F401
