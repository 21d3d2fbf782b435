"""Direct convolution as it is written: seven loops.

- ``direct_naive``: parallel over images x output channels. The yardstick that every other kernel
  is compared with, and readable beside the formula.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from kernels.costs.direct import naive_amounts
from kernels.machine.jit import kernel, parallel_kernel
from kernels.machine.launch import Launch
from kernels.registry import Run, Setup, algorithm


@kernel
def _naive_plane(epilogue, src, wei, bia, dst, residual, n, oc, G, SH, SW, PH, PW, DH, DW):
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
                    out = dst[n, oc, oh, begin : max(begin, end)]
                    if SW == 1:
                        # A step that the compiler knows, and no index that could be negative:
                        # the loop becomes vectors.
                        row = src[n, first + ic, ih, begin + shift :]
                        for i in range(out.size):
                            out[i] += w * row[i]
                    else:
                        for i in range(out.size):
                            out[i] += w * src[n, first + ic, ih, (begin + i) * SW + shift]
    if not (epilogue.residual or epilogue.relu):
        return
    slope = dst.dtype.type(epilogue.slope)
    for oh in range(OH):
        for ow in range(OW):
            value = dst[n, oc, oh, ow]
            if epilogue.residual and not epilogue.residual_last:
                value += residual[n, oc, oh, ow]
            if epilogue.relu and value < 0:
                # Not a product with zero, which is NaN for infinity.
                value = slope * value if epilogue.slope else dst.dtype.type(0)
            if epilogue.residual_last:
                value += residual[n, oc, oh, ow]
            dst[n, oc, oh, ow] = value


@parallel_kernel
def _naive_parallel(epilogue, src, wei, bia, dst, residual, G, SH, SW, PH, PW, DH, DW):
    MB, OC = dst.shape[0], dst.shape[1]
    for plane in prange(MB * OC):
        _naive_plane(epilogue, src, wei, bia, dst, residual, plane // OC, plane % OC, G, SH, SW, PH, PW, DH, DW)


@kernel
def _naive_serial(epilogue, src, wei, bia, dst, residual, G, SH, SW, PH, PW, DH, DW):
    MB, OC = dst.shape[0], dst.shape[1]
    for plane in range(MB * OC):
        _naive_plane(epilogue, src, wei, bia, dst, residual, plane // OC, plane % OC, G, SH, SW, PH, PW, DH, DW)


@algorithm("direct_naive", family="direct", error_factor=8.0, exact_on_integers=True, amounts=naive_amounts)
def direct_naive(setup: Setup) -> Run:
    """The seven loops, parallel over images x output channels."""
    p, (wei,), bia, epilogue = setup.problem, setup.packed, setup.bia, setup.epilogue
    launch = Launch(_naive_serial if setup.threads == 1 else _naive_parallel)

    def run(src: np.ndarray, dst: np.ndarray, residual: np.ndarray) -> None:
        launch(epilogue, src, wei, bia, dst, residual, p.g, p.sh, p.sw, p.ph, p.pw, p.dh, p.dw)

    return run
