"""What the arrays are filled with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kernels import Conv2dProblem

__all__ = ["FILLS", "Inputs", "make_inputs"]

FILLS = ("integer", "normal")

#: Largest sum of products that float32 holds exactly.
_EXACT = 2**24


@dataclass(frozen=True)
class Inputs:
    """Source, weights and bias of one problem; ``bia`` is None where it has no bias."""

    src: np.ndarray
    wei: np.ndarray
    bia: np.ndarray | None


def make_inputs(problem: Conv2dProblem, fill: str = "normal", seed: int = 0) -> Inputs:
    """Fill a problem's arrays.

    Parameters
    ----------
    problem : Conv2dProblem
    fill : {"integer", "normal"}
        Whole numbers so small that no sum of products reaches 2**24, hence exact in
        float32 in any order; or standard normal values.
    seed : int

    Raises
    ------
    ValueError
        The fill is unknown, or the problem has too many taps for the integer fill.
    """
    rng = np.random.default_rng(seed)
    shapes = (problem.input_shape, problem.weight_shape, (problem.oc,))
    if fill == "normal":
        arrays = [rng.standard_normal(shape, np.float64).astype(problem.dtype) for shape in shapes]
    elif fill == "integer":
        taps = (problem.ic // problem.g) * problem.kh * problem.kw
        most = next((most for most in (4, 2, 1) if taps * most * most + most < _EXACT), None)
        if most is None:
            raise ValueError(f"{problem} sums {taps} products, expected fewer than {_EXACT} for the integer fill")
        arrays = [rng.integers(-most, most + 1, shape).astype(problem.dtype) for shape in shapes]
    else:
        raise ValueError(f"fill is {fill!r}, expected one of {', '.join(FILLS)}")
    return Inputs(arrays[0], arrays[1], arrays[2] if problem.bias else None)
