"""``algorithm="auto"``: which algorithm a problem gets when its user names none."""

from __future__ import annotations

from kernels.problem import Conv2dProblem
from kernels.registry import Algorithm, algorithms

__all__ = ["choose"]


def choose(problem: Conv2dProblem) -> Algorithm:
    """The algorithm that the rules pick for ``problem``; always one that supports it."""
    return next(each for each in algorithms() if each.unsupported(problem) is None)
