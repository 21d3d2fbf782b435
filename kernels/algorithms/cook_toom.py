"""Transform matrices of minimal filtering F(m, r), made from interpolation points.

Y = A^T [ (G g) * (B^T d) ]: the transposed Cook-Toom construction with one point at
infinity. Source: Blahut, "Fast Algorithms for Signal Processing" (2010), chapter 5;
Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015), section 4.

A tile of fewer outputs needs fewer points, and those may be the first ones of a larger
tile: its transformed taps then serve both, see `shortened`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from fractions import Fraction

__all__ = ["Matrix", "shortened", "transform_matrices", "with_negatives"]

Matrix = tuple[tuple[Fraction, ...], ...]


def with_negatives(*points: Fraction | int) -> tuple[Fraction | int, ...]:
    """Zero, and each point with its negative: two that share half of their arithmetic."""
    return (0, *(sign * point for point in points for sign in (1, -1)))


def transform_matrices(m: int, r: int, points: Sequence[Fraction | int]) -> tuple[Matrix, Matrix, Matrix]:
    """Exact ``(A^T, G, B^T)`` of F(m, r); the point at infinity is the first.

    Parameters
    ----------
    m, r : int
        Outputs a tile and taps.
    points : sequence of m + r - 2 distinct rationals
        Finite interpolation points; infinity is added.

    Returns
    -------
    at : (m, n), g : (n, r), bt : (n, n), with n = m + r - 1

    Raises
    ------
    ValueError
        The number of points is wrong or one stands twice.
    """
    return _matrices(m, r, tuple(points))


@functools.cache
def _matrices(m: int, r: int, points: tuple[Fraction | int, ...]) -> tuple[Matrix, Matrix, Matrix]:
    finite = [Fraction(point) for point in points]
    if len(finite) != m + r - 2 or len(set(finite)) != len(finite):
        raise ValueError(f"points are {list(map(str, finite))}, expected {m + r - 2} distinct ones for F({m}, {r})")
    at = [[Fraction(int(i == m - 1))] + [point**i for point in finite] for i in range(m)]
    g = [[Fraction(int(k == r - 1)) for k in range(r)]]
    bt = [_monic(finite)]
    for j, point in enumerate(finite):
        others = finite[:j] + finite[j + 1 :]
        norm = math.prod((point - other for other in others), start=Fraction(1))
        g.append([point**k / norm for k in range(r)])
        bt.append([*_monic(others), Fraction(0)])
    return _freeze(at), _freeze(g), _freeze(bt)


def shortened(m: int, short: int, r: int, points: Sequence[Fraction | int]) -> tuple[Matrix, Matrix]:
    """Exact ``(A^T, B^T)`` of F(short, r) over the first points of F(m, r), for the taps of F(m, r).

    With G of `transform_matrices` ``(m, r, points)`` and n = short + r - 1, the first n rows of
    G g are all that is needed: what its rows lack to be those of F(short, r) is in B^T.

    Returns
    -------
    at : (short, n), bt : (n, n)

    Raises
    ------
    ValueError
        ``short`` is not between 1 and m.
    """
    if not 1 <= short <= m:
        raise ValueError(f"a short tile has {short} outputs, expected 1 to {m}")
    _, whole, _ = transform_matrices(m, r, points)
    at, g, bt = transform_matrices(short, r, points[: short + r - 2])
    # Every row of G begins with 1 / norm, but that of infinity, which has no norm.
    scales = [Fraction(1)] + [own[0] / taken[0] for own, taken in zip(g[1:], whole[1:], strict=False)]
    return at, _freeze([[scale * x for x in row] for scale, row in zip(scales, bt, strict=True)])


def _monic(roots: Sequence[Fraction]) -> list[Fraction]:
    """Coefficients, lowest power first, of the product of (x - root)."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *coefficients]
        coefficients = [a - root * b for a, b in zip(shifted, [*coefficients, Fraction(0)], strict=True)]
    return coefficients


def _freeze(rows: Sequence[Sequence[Fraction]]) -> Matrix:
    return tuple(tuple(row) for row in rows)
