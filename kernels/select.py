"""``algorithm="auto"``: which algorithm a problem gets when its user names none."""

from __future__ import annotations

import math

from kernels.machine.blocking import cache_bytes, lanes_of
from kernels.problem import Conv2dProblem
from kernels.registry import Algorithm, get_algorithm

__all__ = ["choose"]

#: By taps along the longer side: of those that are fast, the one that errs least.
_WINOGRAD = {3: "winograd_f4x3", 5: "winograd_f4x5", 7: "winograd_f4x7"}
#: Most channels a group of what is no more than a picture.
_PICTURE = 4
#: Products a tap from which on they win at stride 2, by taps, and where the kernel is dilated.
_LEAST_STRIDED_WORK = {3: 800_000, 5: 200_000}
_LEAST_DILATED_WORK = 250_000


def choose(problem: Conv2dProblem) -> Algorithm:
    """The algorithm that the rules pick for ``problem``; always one that supports it."""
    icg, ocg = problem.ic // problem.g, problem.oc // problem.g
    if icg == 1 and get_algorithm("depthwise_stencil").unsupported(problem) is None:
        return get_algorithm("depthwise_stencil")
    # Few channels: pixels fill the vectors, not output channels; and transforms along one axis
    # take little beside the products of so few, those along both take longer than them. (The
    # smaller the map, the more of its 6x6 tiles overhang, and the later that turns.)
    few = 16 if problem.oh * problem.ow > 256 else 32
    # Pictures: a sum of few input channels is over before a tile of output channels pays for its store.
    picture = icg <= _PICTURE and problem.ow >= lanes_of(problem.dtype)
    suits = ocg >= 4 and ((ocg <= few and icg <= few) or picture)
    if suits and get_algorithm("grouped_winograd").unsupported(problem) is None:
        return get_algorithm("grouped_winograd")
    if ocg < 16 and get_algorithm("grouped_stencil").unsupported(problem) is None:
        return get_algorithm("grouped_stencil")
    if ocg < 4:
        # Vectors of output channels would be mostly empty: here they are of pixels.
        return get_algorithm("im2col_gemm")
    winograd = _winograd(problem)
    if winograd and get_algorithm(winograd).unsupported(problem) is None:
        return get_algorithm(winograd)
    if _is_small_product(problem):
        return get_algorithm("im2col_gemm")
    return get_algorithm("direct_tiled")


def _winograd(p: Conv2dProblem) -> str | None:
    """The algorithm with fewer multiplications, where there are channels to spread its transforms over.

    Measured against `direct_tiled`, which is slower where the rules below say so. Dilated kernels: from
    nothing to 3 times, but on sub-grids of 2x2. 3x3 of stride 2: 1.05 to 1.4 times, but on maps of
    7x7, where transformed weights are read for too few tiles, and where 32 channels or fewer take
    what the input transform costs. 5x5 of stride 2: 1.3 to 2.1 times.
    """
    taps, icg, ocg = max(p.kh, p.kw), p.ic // p.g, p.oc // p.g
    work = p.mb * p.oh * p.ow * icg * ocg
    if min(icg, ocg) < 16:
        return None
    if max(p.sh, p.sw) > 1:
        small = taps == 3 and (min(p.oh, p.ow) < 8 or ocg < 64)
        if small or work < _LEAST_STRIDED_WORK.get(taps, math.inf):
            return None
        # On small maps its smaller tiles fit better and its weights are a third of the other's.
        return "winograd_f2x3" if taps == 3 and p.oh * p.ow < 256 else _WINOGRAD[taps]
    if max(p.dh, p.dw) > 1 and (work < _LEAST_DILATED_WORK or p.oh < 3 * p.dh or p.ow < 3 * p.dw):
        return None
    return _WINOGRAD.get(taps)


def _is_small_product(problem: Conv2dProblem) -> bool:
    """Whether the source already is the matrix of columns, its pixels fill vectors, and sums are short.

    Of short sums the transposing store of `direct_tiled` takes a share. Where the source does
    not stay near L2 that one is faster all the same: it asks for its next pixels ahead.
    """
    p = problem
    if (p.kh, p.kw, p.sh, p.sw) != (1, 1, 1, 1) or p.padded_shape != (p.ih, p.iw):
        return False
    source = p.ic * p.ih * p.iw * p.itemsize
    return p.ic // p.g <= 128 and p.oh * p.ow >= 400 and source <= 2 * cache_bytes(2)
