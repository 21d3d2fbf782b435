"""Amounts of the transforms of planes."""

from __future__ import annotations

from kernels.algorithms.fft_planes.sizes import Sizes
from kernels.costs.amounts import Amounts
from kernels.problem import Conv2dProblem

__all__ = ["plane_amounts"]


def plane_amounts(p: Conv2dProblem, z: Sizes, threads: int) -> Amounts | None:
    return None
