"""Fills of a convolution's arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kernels import Conv2dProblem

__all__ = ["FILLS", "REAL_FILLS", "Inputs", "make_inputs"]

#: Fills that are no whole numbers, the friendliest first: results on them have errors.
REAL_FILLS = ("normal", "mean", "wide", "picture")

FILLS = ("integer", *REAL_FILLS)

#: What the source of "mean" is about: a hundred times its deviation.
_MEAN = 100.0

#: Deviation of the logarithm of magnitudes in "wide": 99 in 100 of them span seven decades.
_DECADES = 3.0

#: Frequencies of a "picture", in half waves over its side; amplitudes fall as they grow, as those of photographs do.
_WAVES = (1, 2, 3, 5, 8, 13)

#: Largest sum of products that float32 holds exactly.
_EXACT = 2**24


@dataclass(frozen=True)
class Inputs:
    """Source, weights and bias of one problem; ``bia`` is None if it has no bias."""

    src: np.ndarray
    wei: np.ndarray
    bia: np.ndarray | None

    @property
    def named(self) -> dict[str, np.ndarray]:
        """Every array by what it is called."""
        found = {"input": self.src, "weight": self.wei, "bias": self.bia}
        return {name: array for name, array in found.items() if array is not None}


def make_inputs(problem: Conv2dProblem, fill: str = "normal", seed: int = 0) -> Inputs:
    """Fill a problem's arrays.

    Parameters
    ----------
    problem : Conv2dProblem
    fill : {"integer", "normal", "mean", "wide", "picture"}
        Whole numbers so small that no sum of products reaches 2**24, hence exact in
        float32 in any order; or standard normal values. With weights and bias of standard
        normal values as well, a source that is unfriendly: "mean" is about 100, "wide" is
        normal values times log-normal ones, "picture" is smooth planes with an edge
        in each, of values from 0 to 255.
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
    elif fill in REAL_FILLS:
        src = _source(problem, fill, rng)
        arrays = [src, *(rng.standard_normal(shape) for shape in shapes[1:])]
        arrays = [each.astype(problem.dtype) for each in arrays]
    else:
        raise ValueError(f"fill is {fill!r}, expected one of {', '.join(FILLS)}")
    return Inputs(arrays[0], arrays[1], arrays[2] if problem.bias else None)


def _source(problem: Conv2dProblem, fill: str, rng: np.random.Generator) -> np.ndarray:
    """A source that is unfriendly to some algorithm, in float64."""
    if fill == "picture":
        return _picture(problem, rng)
    values = rng.standard_normal(problem.input_shape)
    if fill == "mean":
        return values + _MEAN
    return values * np.exp(_DECADES * rng.standard_normal(problem.input_shape))


def _picture(p: Conv2dProblem, rng: np.random.Generator) -> np.ndarray:
    """Planes of waves whose power falls with their frequency, with a disc that is brighter."""
    y, x = (np.arange(n).reshape(shape) / n for n, shape in ((p.ih, (-1, 1)), (p.iw, (1, -1))))
    src = np.zeros(p.input_shape)
    for waves in _WAVES:
        down, across = rng.uniform(0, 2 * np.pi, (2, p.mb, p.ic, 1, 1))
        src += np.cos(np.pi * waves * y + down) * np.cos(np.pi * waves * x + across) / waves
    middle_y, middle_x = rng.uniform(0.3, 0.7, (2, p.mb, p.ic, 1, 1))
    src += (y - middle_y) ** 2 + (x - middle_x) ** 2 < 0.04
    low, high = (bound(src, axis=(2, 3), keepdims=True, initial=0.0) for bound in (np.min, np.max))
    return 255 * (src - low) / np.maximum(high - low, 1e-9)
