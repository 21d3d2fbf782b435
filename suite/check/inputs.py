"""Fills of a convolution's arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from kernels import Conv2dProblem

__all__ = ["FILLS", "REAL_FILLS", "Inputs", "direction_of", "make_inputs", "result_shape_of"]

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


#: What operands are called.
_NAMES = {"fwd": ("input", "weight"), "bwd_d": ("grad_output", "weight"), "bwd_w": ("input", "grad_output")}


@dataclass(frozen=True)
class Inputs:
    """The arrays that a problem is computed of.

    Attributes
    ----------
    first, second : ndarray
        Forward: source and weights. Backward data: gradient of the output and weights. Backward weights: source and
        gradient of the output.
    bia : ndarray or None
        None if it adds none.
    names : pair of str
        What the operands are called.
    """

    first: np.ndarray
    second: np.ndarray
    bia: np.ndarray | None
    names: tuple[str, str] = ("input", "weight")

    def copy(self) -> Inputs:
        """Arrays of the same values."""
        copied = None if self.bia is None else self.bia.copy()
        return replace(self, first=self.first.copy(), second=self.second.copy(), bia=copied)

    @property
    def named(self) -> dict[str, np.ndarray]:
        """Every array by what it is called."""
        found = {self.names[0]: self.first, self.names[1]: self.second, "bias": self.bia}
        return {name: array for name, array in found.items() if array is not None}


def direction_of(problem: Conv2dProblem) -> str:
    """What is computed; old commits, which the gate times, know one direction."""
    return getattr(problem, "direction", "fwd")


def result_shape_of(problem: Conv2dProblem) -> tuple[int, ...]:
    """Shape of the result, in old commits as well."""
    return problem.output_shape if direction_of(problem) == "fwd" else problem.result_shape


def _shapes_of(problem: Conv2dProblem) -> tuple[tuple[int, ...], ...]:
    """Shapes of both operands and of the bias."""
    if direction_of(problem) == "fwd":
        return problem.input_shape, problem.weight_shape, (problem.oc,)
    return *problem.operand_shapes, problem.bias_shape


def _products_of(problem: Conv2dProblem) -> int:
    """Most products that an element of the result sums."""
    p = problem
    if direction_of(p) == "bwd_w":
        return p.mb * p.oh * p.ow
    return (p.ic if direction_of(p) == "fwd" else p.oc) // p.g * p.kh * p.kw


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
    shapes = _shapes_of(problem)
    if fill == "normal":
        arrays = [rng.standard_normal(shape, np.float64).astype(problem.dtype) for shape in shapes]
    elif fill == "integer":
        count = _products_of(problem)
        most = next((most for most in (4, 2, 1) if count * most * most + most < _EXACT), None)
        if most is None:
            raise ValueError(f"{problem} sums {count} products, expected fewer than {_EXACT} for the integer fill")
        arrays = [rng.integers(-most, most + 1, shape).astype(problem.dtype) for shape in shapes]
    elif fill in REAL_FILLS:
        arrays = [_source(shapes[0], fill, rng), *(rng.standard_normal(shape) for shape in shapes[1:])]
        arrays = [each.astype(problem.dtype) for each in arrays]
    else:
        raise ValueError(f"fill is {fill!r}, expected one of {', '.join(FILLS)}")
    added = problem.bias and direction_of(problem) != "bwd_w"
    return Inputs(arrays[0], arrays[1], arrays[2] if added else None, _NAMES[direction_of(problem)])


def _source(shape: tuple[int, ...], fill: str, rng: np.random.Generator) -> np.ndarray:
    """A first operand that is unfriendly to some algorithm, in float64."""
    if fill == "picture":
        return _picture(shape, rng)
    values = rng.standard_normal(shape)
    if fill == "mean":
        return values + _MEAN
    return values * np.exp(_DECADES * rng.standard_normal(shape))


def _picture(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Planes of waves whose power falls with their frequency, with a disc that is brighter."""
    mb, channels, height, width = shape
    y, x = (np.arange(n).reshape(along) / n for n, along in ((height, (-1, 1)), (width, (1, -1))))
    src = np.zeros(shape)
    for waves in _WAVES:
        down, across = rng.uniform(0, 2 * np.pi, (2, mb, channels, 1, 1))
        src += np.cos(np.pi * waves * y + down) * np.cos(np.pi * waves * x + across) / waves
    middle_y, middle_x = rng.uniform(0.3, 0.7, (2, mb, channels, 1, 1))
    src += (y - middle_y) ** 2 + (x - middle_x) ** 2 < 0.04
    low, high = (bound(src, axis=(2, 3), keepdims=True, initial=0.0) for bound in (np.min, np.max))
    pictures: np.ndarray = 255 * (src - low) / np.maximum(high - low, 1e-9)
    return pictures
