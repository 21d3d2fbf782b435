"""Winograd's minimal filtering, stride 1: fewer multiplications than the sum has.

Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015). Layout
and loops are those of `kernels.machine.transform_kernels`. A dimension in which the kernel has
one tap is left as it is: 1x7 is filtered along rows only.

Versions, F(m, r) for m outputs of r taps a tile and dimension:

- ``winograd_f2x3``: 4x4 tiles, 2.25 times fewer multiplications, less error than the sum has.
- ``winograd_f4x3``: 6x6 tiles, 4 times fewer.
- ``winograd_f6x3``: 8x8 tiles, 5.1 times fewer, for large maps.
- ``winograd_f2x5``, ``winograd_f4x5``: 2.8 and 6.2 times fewer, in one dimension 1.7 and 2.5.
- ``winograd_f4x7``, ``winograd_f6x7``: 1x7 and 7x1 kernels, 2.8 and 3.5 times fewer.

Points are rationals, chosen by measuring errors. For F(4, 3), 0, +-2/3 and +-3/2 err 1.8 times as
much as a direct sum in float32, 0, +-sqrt(1/2) and +-sqrt(2) 1.9 times, 0, +-1 and +-2 4 times; F(6, 3)
errs 8 times as much with 0, +-1/2, +-1 and +-2 (64 and 256 channels, normal values).
NaN and infinity spread to every output of the tiles that they are under.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from kernels.algorithms.cook_toom import Matrix, shortened, transform_matrices
from kernels.machine import transform_domain
from kernels.machine.codelets import MatrixCodelet
from kernels.problem import Conv2dProblem
from kernels.registry import Packed, Run, Scratch, Setup, algorithm

#: Points of all tiles of a block: enough tiles for the products, few enough for V and M to stay
#: near L2 ...
_BLOCK_POINTS = 4032
#: ... and most tiles, however few points each has.
_MOST_TILES = 224

Points = tuple[Fraction | int, ...]


def _pairs(*points: Fraction | int) -> Points:
    """Zero, and each point with its negative: two that share half of their arithmetic."""
    return (0, *(sign * point for point in points for sign in (1, -1)))


def _codelet(matrix: Matrix) -> MatrixCodelet:
    return MatrixCodelet(tuple(tuple(map(float, row)) for row in matrix))


_ONE_TAP = transform_domain.Side(1, 1, MatrixCodelet(((1.0,),)), MatrixCodelet(((1.0,),)))


def _side(m: int, short: int, r: int, points: Points) -> transform_domain.Side:
    """``short`` outputs of tiles of F(m, r)."""
    if r == 1:
        return _ONE_TAP
    at, bt = shortened(m, short, r, points)
    return transform_domain.Side(short + r - 1, short, _codelet(bt), _codelet(at))


@functools.cache
def _transform(m: int, taps: tuple[int, int], points: Points) -> transform_domain.Transform:
    """F(m, r) in every dimension that has more than one tap."""

    def matrix(r: int) -> np.ndarray:
        return np.eye(1) if r == 1 else np.array(transform_matrices(m, r, points)[1], np.float64)

    down, across = map(matrix, taps)

    def weights(values: np.ndarray) -> np.ndarray:
        return down @ values @ across.T

    def short(outputs: int, is_across: bool) -> transform_domain.Side:
        return _side(m, outputs, taps[is_across], points)

    whole = short(m, False), short(m, True)
    tiles = min(_MOST_TILES, round(_BLOCK_POINTS / (whole[0].n * whole[1].n)))
    return transform_domain.Transform(*whole, taps, width=1, block_tiles=tiles, weights=weights, short=short)


def _unsupported(r: int, p: Conv2dProblem, *, square: bool) -> str | None:
    kernels = [f"{r}x{r}"] * square + [f"1x{r}", f"{r}x1"]
    if f"{p.kh}x{p.kw}" not in kernels:
        return f"the kernel is {p.kh}x{p.kw}, expected {' or '.join(kernels)}"
    if (p.sh, p.sw) != (1, 1):
        return f"the stride is {p.sh}x{p.sw}, expected 1x1"
    if (p.dh, p.dw) != (1, 1):
        return f"the dilation is {p.dh}x{p.dw}, expected 1x1"
    if p.g > 1 and p.ic // p.g < 4:
        return f"a group has {p.ic // p.g} input channels, expected at least 4: a vector would be mostly empty"
    return None


def _register(
    m: int, r: int, points: Sequence[Fraction | int], error_factor: float, summary: str, *, square: bool = True
) -> None:
    def transform(p: Conv2dProblem) -> transform_domain.Transform:
        return _transform(m, (p.kh, p.kw), tuple(points))

    def prepare(problem: Conv2dProblem, wei: np.ndarray) -> Packed:
        return transform_domain.prepare(problem, wei, transform(problem))

    def scratch(problem: Conv2dProblem, threads: int) -> Scratch:
        return transform_domain.scratch(problem, threads, transform(problem))

    def bind(setup: Setup) -> Run:
        return transform_domain.TransformRun(setup, transform(setup.problem))

    bind.__doc__ = summary
    algorithm(
        f"winograd_f{m}x{r}",
        family="winograd",
        error_factor=error_factor,
        unsupported=functools.partial(_unsupported, r, square=square),
        prepare=prepare,
        scratch=scratch,
    )(bind)


_HALF = Fraction(1, 2)

_register(2, 3, _pairs(1), 5.0, "F(2, 3): 2.25 times fewer multiplications than direct.")
_register(4, 3, _pairs(Fraction(2, 3), Fraction(3, 2)), 12.0, "F(4, 3): 4 times fewer multiplications than direct.")
_register(6, 3, _pairs(1, 2, _HALF), 45.0, "F(6, 3): 5.1 times fewer multiplications than direct.")
_register(2, 5, _pairs(Fraction(2, 3), Fraction(3, 2)), 12.0, "F(2, 5): 2.8 times fewer multiplications than direct.")
_register(4, 5, _pairs(1, 2, _HALF), 45.0, "F(4, 5): 6.2 times fewer multiplications than direct.")
_register(
    4, 7, _pairs(_HALF, Fraction(4, 5), Fraction(5, 4), 2), 30.0,
    "F(4, 7) of 1x7 and 7x1: 2.8 times fewer multiplications than direct.", square=False,
)  # fmt: skip
_register(
    6, 7, _pairs(1, Fraction(2, 3), Fraction(3, 2), Fraction(2, 5), Fraction(5, 2)), 60.0,
    "F(6, 7) of 1x7 and 7x1: 3.5 times fewer multiplications than direct.", square=False,
)  # fmt: skip
