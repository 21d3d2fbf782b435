"""Minimal filtering along the height alone: few channels a group, pixels in vectors."""

from kernels.algorithms.winograd1d import loops  # noqa: F401
