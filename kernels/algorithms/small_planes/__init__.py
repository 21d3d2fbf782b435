"""Stencils on small planes, which lie side by side in vectors."""

from kernels.algorithms.small_planes import loops  # noqa: F401
