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
    # Few channels: pixels fill the vectors, not output channels; and transforms along one axis
    # take little beside the products of so few, those along both take longer than them. (The
    # smaller the map, the more of its 6x6 tiles overhang, and the later that turns.)
    few = 16 if problem.oh * problem.ow > 256 else 32
    if 4 <= ocg <= few and icg <= few and get_algorithm("grouped_winograd").unsupported(problem) is None:
        return get_algorithm("grouped_winograd")
    if ocg < 16 and get_algorithm("grouped_stencil").unsupported(problem) is None:
        return get_algorithm("grouped_stencil")
    if ocg < 4:
        # A block of output channels that is mostly empty wastes its vectors.
        return get_algorithm("direct_naive")
    # Fewer multiplications pay where there are channels to spread the transforms over; on
    # small maps the 6x6 tiles of F(4, 3) overhang more than they save.
    winograd = get_algorithm("winograd_f4x3" if problem.oh * problem.ow >= 100 else "winograd_f2x3")
    if min(icg, ocg) >= 16 and winograd.unsupported(problem) is None:
        return winograd
    if problem.kh == problem.kw == problem.sh == problem.sw == 1:
        # The source already is the matrix of columns, and nothing is transposed on the way out.
        return get_algorithm("im2col_gemm")
    return get_algorithm("direct_tiled")
