"""Winograd's minimal filtering: fewer multiplications than the sum has.

Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015). Layout
and loops are those of `kernels.algorithms.transform.loops`. A dimension in which the kernel has
one tap is left as it is: 1x7 is filtered along rows only. A dilated kernel is a dense one on every
sub-grid of the source, whatever the version.

At stride 2, m outputs of r taps are F(m, ceil(r / 2)) of the even samples plus F(m, floor(r / 2)) of
the odd ones. Both over the same points, of which the odd one needs one less, so that products of
both are summed before the inverse transform. With 4 outputs of 3 taps, 9 products of 12 are left in
a dimension. That needs channels and a map that are not small: `kernels.select` has the figures.

Versions, F(m, r) for m outputs of r taps a tile and dimension:

- ``winograd_f2x3``: 4x4 tiles, 2.25 times fewer multiplications, less error than the sum has; at
  stride 2 5x5 tiles, 1.4 times fewer.
- ``winograd_f4x3``: 6x6 tiles, 4 times fewer; at stride 2 9x9 tiles, 1.8 times fewer.
- ``winograd_f6x3``: 8x8 tiles, 5.1 times fewer, for large maps.
- ``winograd_f2x5``, ``winograd_f4x5``: 2.8 and 6.2 times fewer, in one dimension 1.7 and 2.5;
  ``winograd_f4x5`` at stride 2 3.3 times.
- ``winograd_f5x2``: 2x2 kernels, 2.8 times fewer, in one dimension 1.7; made for backward data of 3x3 at stride 2,
  whose parts are 2x2, 2x1, 1x2 and one tap.
- ``winograd_f4x7``, ``winograd_f6x7``: 1x7 and 7x1 kernels, 2.8 and 3.5 times fewer.

Points are rationals, chosen by measuring errors. For F(4, 3), 0, +-2/3 and +-3/2 err 1.8 times as
much as a direct sum in float32, 0, +-sqrt(1/2) and +-sqrt(2) 1.9 times, 0, +-1 and +-2 4 times; F(6, 3)
errs 8 times as much with 0, +-1/2, +-1 and +-2 (64 and 256 channels, normal values). At stride 2,
4 outputs of 3 taps err 1.3 times as much as a direct sum over 0, +-4/3 and 1/2, of 5 taps as much
over 0, +-2/3 and +-3/2 (128 channels).
NaN and infinity spread to every output of the tiles that they are under.
"""

from __future__ import annotations

import functools
from fractions import Fraction

import numpy as np

from kernels.algorithms.cook_toom import shortened, transform_matrices, with_negatives
from kernels.algorithms.transform import domain
from kernels.algorithms.transform.codelets.phased import PhasedCodelet
from kernels.algorithms.transform.costs import transform_amounts
from kernels.algorithms.transform.weights import transform_packing, transformed_elements
from kernels.costs.amounts import Amounts
from kernels.machine.matrix_codelet import identity, matrix_codelet
from kernels.problem import Conv2dProblem
from kernels.registry import Packing, Run, Scratch, Setup, algorithm

#: Points of all tiles of a block: enough tiles for the products, few enough for V and M to stay
#: near L2 ...
_BLOCK_POINTS = 4032
#: ... and most tiles, however few points each has.
_MOST_TILES = 224

Points = tuple[Fraction | int, ...]


_ONE_TAP = identity(1)


def _side(m: int, r: int, points: Points, stride: int, dilation: int, outputs: int) -> domain.Side:
    """``outputs`` outputs, up to m, of tiles of F(m, r)."""
    if r == 1:
        return domain.Side(1, 1, _ONE_TAP, _ONE_TAP)
    if stride == 1:
        at, bt = shortened(m, outputs, r, points)
        return domain.Side(outputs + r - 1, outputs, matrix_codelet(bt), matrix_codelet(at), 1, dilation)
    even, odd = _phases(m, r, points)
    at, bt = shortened(m, outputs, even[0], even[1])
    _, bt_odd = shortened(m, outputs, odd[0], odd[1])
    # A short tile takes both points of each of its sums, of which the last has nothing in one.
    if outputs < m:
        bt_odd += ((Fraction(0),) * len(bt_odd),)
    into = PhasedCodelet(matrix_codelet(bt), matrix_codelet(bt_odd))
    return domain.Side(2 * (outputs - 1) + r, outputs, into, matrix_codelet(at), 2)


def _phases(m: int, r: int, points: Points) -> tuple[tuple[int, Points], tuple[int, Points]]:
    """Taps and points of the filter of even samples and of that of odd ones, which has one point less."""
    even, odd = -(-r // 2), r // 2
    return (even, points[: m + even - 2]), (odd, points[: m + odd - 2])


def _taps_to_points(m: int, r: int, points: Points, stride: int) -> np.ndarray:
    """G in float64; at stride 2 rows of even taps and of odd ones alternate."""
    if r == 1:
        return np.eye(1)
    if stride == 1:
        return np.array(transform_matrices(m, r, points)[1], np.float64)
    even, odd = (np.array(transform_matrices(m, *each)[1], np.float64) for each in _phases(m, r, points))
    both = np.zeros((len(even) + len(odd), r))
    both[::2, ::2], both[1::2, 1::2] = even, odd
    return both


@functools.cache
def _transform(
    m: int, points: tuple[Points, Points], taps: tuple[int, int], strides: tuple[int, int], dilations: tuple[int, int]
) -> domain.Transform:
    """F(m, r) in every dimension that has more than one tap, over the points for its stride."""

    def short(outputs: int, is_across: bool) -> domain.Side:
        i = int(is_across)
        return _side(m, taps[i], points[strides[i] - 1], strides[i], dilations[i], outputs)

    down, across = (matrix_codelet(_taps_to_points(m, taps[i], points[strides[i] - 1], strides[i])) for i in (0, 1))
    tiles = min(_MOST_TILES, round(_BLOCK_POINTS / (down.outputs * across.outputs)))
    return domain.Transform(
        short(m, False), short(m, True), taps, width=1, block_tiles=tiles, weights=(down, across), short=short
    )


def _unsupported(r: int, p: Conv2dProblem, *, square: bool, strided: bool) -> str | None:
    kernels = [f"{r}x{r}"] * square + [f"1x{r}", f"{r}x1"]
    if f"{p.kh}x{p.kw}" not in kernels:
        return f"the kernel is {p.kh}x{p.kw}, expected {' or '.join(kernels)}"
    # In one dimension what stride 2 saves is less than what the transforms cost.
    most = 2 if strided and p.kh == p.kw else 1
    if max(p.sh, p.sw) > most:
        return f"the stride is {p.sh}x{p.sw}, expected {'at most 2x2' if most == 2 else '1x1'}"
    if (p.sh > 1 and p.dh > 1) or (p.sw > 1 and p.dw > 1):
        return f"the stride is {p.sh}x{p.sw} and the dilation {p.dh}x{p.dw}, expected 1 of one of them"
    if p.g > 1 and p.ic // p.g < 4:
        return f"a group has {p.ic // p.g} input channels, expected at least 4: a vector would be mostly empty"
    return None


def _register(
    m: int,
    r: int,
    points: Points,
    error_factor: float,
    summary: str,
    *,
    square: bool = True,
    strided: Points | None = None,
    companion: str = "",
) -> None:
    """``points`` are those of stride 1, ``strided`` those of stride 2."""

    def transform(p: Conv2dProblem) -> domain.Transform:
        # One row of taps has no neighbours to be dilated from.
        dilations = (p.dh if p.kh > 1 else 1, p.dw if p.kw > 1 else 1)
        return _transform(m, (points, strided or points), (p.kh, p.kw), (p.sh, p.sw), dilations)

    def packing(problem: Conv2dProblem, threads: int) -> Packing:
        return transform_packing(problem, transform(problem), threads)

    def scratch(problem: Conv2dProblem, threads: int) -> Scratch:
        return domain.scratch(problem, threads, transform(problem))

    def amounts(problem: Conv2dProblem, threads: int) -> Amounts:
        return transform_amounts(problem, transform(problem), threads)

    def packing_elements(problem: Conv2dProblem) -> float:
        return transformed_elements(problem, transform(problem))

    def bind(setup: Setup) -> Run:
        return domain.TransformRun(setup, transform(setup.problem))

    bind.__doc__ = summary
    algorithm(
        f"winograd_f{m}x{r}",
        family="winograd",
        error_factor=error_factor,
        unsupported=functools.partial(_unsupported, r, square=square, strided=strided is not None),
        packing=packing,
        scratch=scratch,
        amounts=amounts,
        packing_elements=packing_elements,
        companion=companion,
    )(bind)


_HALF = Fraction(1, 2)

_register(
    2, 3, with_negatives(1), 5.0, "F(2, 3): 2.25 times fewer multiplications than direct, at stride 2 1.4 times.",
    strided=(0, 1),
)  # fmt: skip
_register(
    4, 3, with_negatives(Fraction(2, 3), Fraction(3, 2)), 12.0,
    "F(4, 3): 4 times fewer multiplications than direct, at stride 2 1.8 times.",
    strided=(*with_negatives(Fraction(4, 3)), _HALF),
)  # fmt: skip
_register(6, 3, with_negatives(1, 2, _HALF), 45.0, "F(6, 3): 5.1 times fewer multiplications than direct.")
_register(
    2, 5, with_negatives(Fraction(2, 3), Fraction(3, 2)), 12.0, "F(2, 5): 2.8 times fewer multiplications than direct."
)
_register(
    4, 5, with_negatives(1, 2, _HALF), 45.0,
    "F(4, 5): 6.2 times fewer multiplications than direct, at stride 2 3.3 times.",
    strided=with_negatives(Fraction(2, 3), Fraction(3, 2)),
)  # fmt: skip
_register(
    5, 2, with_negatives(Fraction(2, 3), Fraction(3, 2)), 12.0, "F(5, 2): 2.8 times fewer multiplications than direct.",
    companion="im2col_gemm",
)  # fmt: skip
_register(
    4, 7, with_negatives(_HALF, Fraction(4, 5), Fraction(5, 4), 2), 30.0,
    "F(4, 7) of 1x7 and 7x1: 2.8 times fewer multiplications than direct.", square=False,
)  # fmt: skip
_register(
    6, 7, with_negatives(1, Fraction(2, 3), Fraction(3, 2), Fraction(2, 5), Fraction(5, 2)), 60.0,
    "F(6, 7) of 1x7 and 7x1: 3.5 times fewer multiplications than direct.", square=False,
)  # fmt: skip
