"""``algorithm="auto"``: which algorithm a problem gets when its user names none."""

from __future__ import annotations

from kernels.problem import Conv2dProblem
from kernels.registry import Algorithm, get_algorithm

__all__ = ["choose"]


def choose(problem: Conv2dProblem) -> Algorithm:
    """The algorithm that the rules pick for ``problem``; always one that supports it."""
    icg, ocg = problem.ic // problem.g, problem.oc // problem.g
    if icg == 1 and get_algorithm("depthwise_stencil").unsupported(problem) is None:
        return get_algorithm("depthwise_stencil")
    if ocg < 4:
        # Vectors of output channels would be mostly empty: here they are of pixels.
        return get_algorithm("im2col_gemm")
    # Fewer multiplications pay where there are channels to spread the transforms over; on
    # small maps the 6x6 tiles of F(4, 3) overhang more than they save.
    winograd = get_algorithm("winograd_f4x3" if problem.oh * problem.ow >= 100 else "winograd_f2x3")
    if min(icg, ocg) >= 16 and winograd.unsupported(problem) is None:
        return winograd
    return get_algorithm("direct_tiled")
