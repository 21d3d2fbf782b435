"""Winograd's minimal filtering for 3x3, stride 1: fewer multiplications than the sum has.

Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015). Layout
and loops are those of `kernels.machine.transform_kernels`.

Versions:

- ``winograd_f2x3``: 4x4 tiles, 2.25 times fewer multiplications, the smaller error.
- ``winograd_f4x3``: 6x6 tiles, 4 times fewer.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from kernels.algorithms.cook_toom import Matrix, transform_matrices
from kernels.machine import transform_domain
from kernels.machine.codelets import MatrixCodelet
from kernels.problem import Conv2dProblem
from kernels.registry import Packed, algorithm

#: Tiles a block: enough rows for the products, few enough for V and M to stay in L2.
_BLOCK_TILES = 112


def _codelet(matrix: Matrix) -> MatrixCodelet:
    return MatrixCodelet(tuple(tuple(map(float, row)) for row in matrix))


@functools.cache
def _transform(m: int, r: int, points: tuple[Fraction | int, ...]) -> transform_domain.Transform:
    """F(m x m, r x r)."""
    at, g, bt = transform_matrices(m, r, points)
    G = np.array(g, np.float64)

    def weights(taps: np.ndarray) -> np.ndarray:
        return G @ taps @ G.T

    n = m + r - 1
    into, out = _codelet(bt), _codelet(at)
    return transform_domain.Transform(
        (n, n), (m, m), (r, r), into, into, out, out, width=1, block_tiles=_BLOCK_TILES, weights=weights
    )


def _unsupported(p: Conv2dProblem) -> str | None:
    if (p.kh, p.kw) != (3, 3):
        return f"the kernel is {p.kh}x{p.kw}, expected 3x3"
    if (p.sh, p.sw) != (1, 1):
        return f"the stride is {p.sh}x{p.sw}, expected 1x1"
    if (p.dh, p.dw) != (1, 1):
        return f"the dilation is {p.dh}x{p.dw}, expected 1x1"
    if p.g > 1 and p.ic // p.g < 4:
        return f"a group has {p.ic // p.g} input channels, expected at least 4: a vector would be mostly empty"
    return None


def _register(name: str, m: int, points: Sequence[Fraction | int], error_factor: float, summary: str) -> None:
    transform = _transform(m, 3, tuple(points))

    def run(
        problem: Conv2dProblem,
        packed: Packed,
        src: np.ndarray,
        bia: np.ndarray,
        dst: np.ndarray,
        workspace: np.ndarray,
        threads: int,
    ) -> None:
        transform_domain.run(problem, packed, src, bia, dst, workspace, threads, transform)

    run.__doc__ = summary
    algorithm(
        name,
        family="winograd",
        error_factor=error_factor,
        unsupported=_unsupported,
        prepare=functools.partial(transform_domain.prepare, t=transform),
        workspace=functools.partial(transform_domain.workspace_bytes, t=transform),
    )(run)


_register("winograd_f2x3", 2, (0, 1, -1), 8.0, "F(2x2, 3x3): 2.25 times fewer multiplications than direct.")
_register("winograd_f4x3", 4, (0, 1, -1, 2, -2), 20.0, "F(4x4, 3x3): 4 times fewer multiplications than direct.")
