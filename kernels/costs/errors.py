"""How far from float64 an algorithm's results are expected to be, on normal values.

Roundings of single products and sums add up like a random walk: by the square root of how many there are.
Transforms add some of their own, and make each larger. Both constants were fitted to measured errors,
by algorithm, for kernels of one dimension and of two, with and without a stride, so that they cover
what was measured (``results/costs/fit.py``). Large means and wide ranges err by other factors:
``convmark verify --accuracy``.
"""

from __future__ import annotations

import math

from kernels.costs.table import roundings
from kernels.problem import Conv2dProblem
from kernels.reference import error_unit, products_of
from kernels.registry import Algorithm

__all__ = ["error_terms", "expected_error"]

_UNIT = {"float32": 2.0**-24, "float64": 2.0**-53}


def expected_error(algorithm: Algorithm, problem: Conv2dProblem) -> float:
    """Relative L2 error against float64 that is expected on normal values.

    What an algorithm promises at its registration stands in for those that nobody has measured.
    """
    kind, products = error_terms(problem)
    known = roundings().get(algorithm.name, {})
    # Of a kind that was too rarely measured, the largest of the others is expected.
    constants = [known[kind]] if kind in known else list(known.values())
    units = max((first + each * math.sqrt(products) for first, each in constants), default=math.nan)
    if not constants:
        return algorithm.error_factor * error_unit(problem)
    return units * _UNIT[problem.dtype]


def error_terms(problem: Conv2dProblem) -> tuple[str, int]:
    """What decides over an error: the kind of kernel, and how many products an output sums."""
    p = problem
    dimensions = "line" if min(p.kh, p.kw) == 1 else "plane"
    return dimensions + " strided" * (max(p.sh, p.sw) > 1), products_of(p)
