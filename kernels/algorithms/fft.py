"""Convolution by Fourier transform of tiles (overlap-save); the larger the kernel, the more it saves.

Source: Mathieu, Henaff and LeCun, "Fast Training of Convolutional Networks through FFTs"
(2013), over tiles as in Oppenheim and Schafer, "Discrete-Time Signal Processing", section
8.7.3. Layout and loops are those of `kernels.algorithms.transform.loops`: two-dimensional
transforms of real tiles keep half the points, products are complex. A kernel of more than
half a tile is cut into pieces that share the inverse transform.

Versions:

- ``fft_tile16``: 16 x 16 tiles, 14 x 14 outputs of a 3x3 kernel: 3.1 times fewer multiplications.
- ``fft_tile32``: 32 x 32 tiles, for kernels from about 7x7.
- ``fft_tile64``: 64 x 64 tiles, for kernels from about 15x15.
"""

from __future__ import annotations

import functools

from kernels.algorithms.transform import domain
from kernels.algorithms.transform.codelets.fourier import FftCodelet
from kernels.algorithms.transform.costs import transform_amounts
from kernels.algorithms.transform.weights import transform_packing, transformed_elements, weight_bytes
from kernels.costs.amounts import Amounts
from kernels.problem import Conv2dProblem
from kernels.registry import Packing, Run, Scratch, Setup, algorithm

#: Tiles a block, by tile side: V of 64 channels then takes about a megabyte.
_BLOCK_TILES = {16: 14, 32: 6, 64: 4}
#: Transformed weights larger than this are refused: packing them would take longer than any use.
_MOST_WEIGHT_BYTES = 2**30


@functools.cache
def _transform(T: int, tap: tuple[int, int]) -> domain.Transform:
    """Tiles of T x T for kernels, or pieces of kernels, of ``tap``."""
    return domain.Transform(
        down=domain.Side(T, T - tap[0] + 1, FftCodelet(T, "c2c"), FftCodelet(T, "c2c")),
        across=domain.Side(T, T - tap[1] + 1, FftCodelet(T, "r2c"), FftCodelet(T, "c2r")),
        tap=tap,
        width=2,
        block_tiles=_BLOCK_TILES[T],
        steps=True,
    )


def _transform_of(T: int, p: Conv2dProblem) -> domain.Transform:
    """The transform for a problem: its kernel whole, or in equal pieces of at most T / 2 + 1 taps."""
    extents = p.kernel_extent
    taps = [-(-extent // -(-extent // (T // 2 + 1))) for extent in extents]
    return _transform(T, (taps[0], taps[1]))


def _unsupported(T: int, p: Conv2dProblem) -> str | None:
    if p.kh * p.kw == 1:
        return "the kernel is 1x1, expected more than one tap: a transform only adds to it"
    if p.g > 1 and p.ic // p.g < 4:
        return f"a group has {p.ic // p.g} input channels, expected at least 4: a vector would be mostly empty"
    size = weight_bytes(p, _transform_of(T, p))
    if size > _MOST_WEIGHT_BYTES:
        return f"transformed weights take {size / 2**30:.1f} GiB, expected at most {_MOST_WEIGHT_BYTES / 2**30:.0f} GiB"
    return None


def _packing(T: int, problem: Conv2dProblem, threads: int) -> Packing:
    return transform_packing(problem, _transform_of(T, problem), threads)


def _scratch(T: int, problem: Conv2dProblem, threads: int) -> Scratch:
    return domain.scratch(problem, threads, _transform_of(T, problem))


def _amounts(T: int, problem: Conv2dProblem, threads: int) -> Amounts:
    return transform_amounts(problem, _transform_of(T, problem), threads)


def _packing_elements(T: int, problem: Conv2dProblem) -> float:
    return transformed_elements(problem, _transform_of(T, problem))


def _register(T: int) -> None:
    def bind(setup: Setup) -> Run:
        return domain.TransformRun(setup, _transform_of(T, setup.problem))

    bind.__doc__ = f"Overlap-save over {T} x {T} tiles, real-data transforms, complex products."
    algorithm(
        f"fft_tile{T}",
        family="fft",
        # In float64, where tables of roots are as exact as the numbers, 12 was drawn; in float32 less than 3.
        error_factor=20.0,
        unsupported=functools.partial(_unsupported, T),
        packing=functools.partial(_packing, T),
        scratch=functools.partial(_scratch, T),
        amounts=functools.partial(_amounts, T),
        packing_elements=functools.partial(_packing_elements, T),
    )(bind)


for _side in (16, 32, 64):
    _register(_side)
