"""Transform matrices of minimal filtering F(m, r), made from interpolation points.

Y = A^T [ (G g) * (B^T d) ]: the transposed Cook-Toom construction with one point at
infinity. Source: Blahut, "Fast Algorithms for Signal Processing" (2010), chapter 5;
Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015), section 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

__all__ = ["Matrix", "transform_matrices"]

Matrix = tuple[tuple[Fraction, ...], ...]


def transform_matrices(m: int, r: int, points: Sequence[Fraction | int]) -> tuple[Matrix, Matrix, Matrix]:
    """Exact ``(A^T, G, B^T)`` of F(m, r).

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
    finite = [Fraction(point) for point in points]
    if len(finite) != m + r - 2 or len(set(finite)) != len(finite):
        raise ValueError(f"points are {list(map(str, finite))}, expected {m + r - 2} distinct ones for F({m}, {r})")
    n = m + r - 1
    at = [[point**i for point in finite] + [Fraction(int(i == m - 1))] for i in range(m)]
    g, bt = [], []
    for j, point in enumerate(finite):
        others = finite[:j] + finite[j + 1 :]
        norm = _evaluate(_monic(others), point)
        g.append([point**k / norm for k in range(r)])
        bt.append([*_monic(others), Fraction(0)])
    g.append([Fraction(int(k == r - 1)) for k in range(r)])
    bt.append(_monic(finite))
    assert all(len(row) == n for row in bt)
    return _freeze(at), _freeze(g), _freeze(bt)


def _monic(roots: Sequence[Fraction]) -> list[Fraction]:
    """Coefficients, lowest power first, of the product of (x - root)."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *coefficients]
        coefficients = [a - root * b for a, b in zip(shifted, [*coefficients, Fraction(0)], strict=True)]
    return coefficients


def _evaluate(coefficients: Sequence[Fraction], at: Fraction) -> Fraction:
    return sum((c * at**i for i, c in enumerate(coefficients)), Fraction(0))


def _freeze(rows: Sequence[Sequence[Fraction]]) -> Matrix:
    return tuple(tuple(row) for row in rows)
