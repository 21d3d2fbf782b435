"""Direct convolution: the sum as it is written, no transform of the input.

Versions:

- ``direct_naive``: the seven loops, parallel over images x output channels. The
  yardstick that every other kernel is compared with, and readable beside the formula.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from kernels.machine.jit import kernel, parallel_kernel
from kernels.problem import Conv2dProblem
from kernels.registry import Packed, algorithm


@kernel
def _naive_plane(src, wei, bia, dst, n, oc, G, SH, SW, PH, PW, DH, DW):  # type: ignore[no-untyped-def]
    """One output plane; the tap loops are outside, so that the pixel loop vectorises."""
    _, _, IH, IW = src.shape
    OC, ICG, KH, KW = wei.shape
    _, _, OH, OW = dst.shape
    first = (oc // (OC // G)) * ICG
    dst[n, oc, :, :] = bia[oc]
    for ic in range(ICG):
        for kh in range(KH):
            for kw in range(KW):
                w = wei[oc, ic, kh, kw]
                for oh in range(OH):
                    ih = oh * SH + kh * DH - PH
                    if ih < 0 or ih >= IH:
                        continue
                    shift = kw * DW - PW
                    begin = max(0, -(shift // SW))
                    end = min(OW, (IW - 1 - shift) // SW + 1)
                    for ow in range(begin, end):
                        dst[n, oc, oh, ow] += w * src[n, first + ic, ih, ow * SW + shift]


@parallel_kernel
def _naive_parallel(src, wei, bia, dst, G, SH, SW, PH, PW, DH, DW):  # type: ignore[no-untyped-def]
    MB, OC = dst.shape[0], dst.shape[1]
    for plane in prange(MB * OC):
        _naive_plane(src, wei, bia, dst, plane // OC, plane % OC, G, SH, SW, PH, PW, DH, DW)


@kernel
def _naive_serial(src, wei, bia, dst, G, SH, SW, PH, PW, DH, DW):  # type: ignore[no-untyped-def]
    MB, OC = dst.shape[0], dst.shape[1]
    for plane in range(MB * OC):
        _naive_plane(src, wei, bia, dst, plane // OC, plane % OC, G, SH, SW, PH, PW, DH, DW)


@algorithm("direct_naive", family="direct", error_factor=4.0, exact_on_integers=True)
def direct_naive(
    problem: Conv2dProblem,
    packed: Packed,
    src: np.ndarray,
    bia: np.ndarray,
    dst: np.ndarray,
    workspace: np.ndarray,
    threads: int,
) -> None:
    """The seven loops, parallel over images x output channels."""
    p = problem
    run = _naive_serial if threads == 1 else _naive_parallel
    run(src, packed[0], bia, dst, p.g, p.sh, p.sw, p.ph, p.pw, p.dh, p.dw)
