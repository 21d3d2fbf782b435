"""``algorithm="auto"``: which algorithm a problem gets when its user names none."""

from __future__ import annotations

from kernels.problem import Conv2dProblem
from kernels.registry import Algorithm, get_algorithm

__all__ = ["choose"]


def choose(problem: Conv2dProblem) -> Algorithm:
    """The algorithm that the rules pick for ``problem``; always one that supports it."""
    # A block of output channels that is mostly empty wastes its vectors.
    few_channels = problem.oc // problem.g < 4
    return get_algorithm("direct_naive" if few_channels else "direct_tiled")
