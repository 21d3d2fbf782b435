"""SciPy: what people use on a single image with a single kernel.

It correlates planes: one channel in, one out, every pixel, neighbouring taps. The direct method knows no threads.

versions:
  scipy       direct or by one transform of the whole, by SciPy's own estimate
  scipy_fft   ``fftconvolve``, one transform of the whole
  scipy_oa    ``oaconvolve``, transforms of parts that overlap
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kernels import Conv2dProblem
from suite.check.inputs import Inputs
from suite.contenders.base import Peer, Prepared

__all__ = ["CONTENDERS"]


_BOTH = ("float32", "float64")


@dataclass(frozen=True)
class _Scipy(Peer):
    method: str = ""

    def refuses(self, problem: Conv2dProblem, threads: int) -> str | None:
        p = problem
        if (p.ic, p.oc) != (1, 1):
            return f"there are {p.ic} channels in and {p.oc} out, expected 1 and 1"
        if (p.sh, p.sw) != (1, 1):
            return f"the stride is {p.sh}x{p.sw}, expected 1x1"
        if (p.dh, p.dw) != (1, 1):
            return f"the dilation is {p.dh}x{p.dw}, expected 1x1"
        if threads != 1:
            return f"there are {threads} threads, expected 1"
        return None

    def load(self, threads: int) -> None:
        import scipy.signal  # noqa: F401

    def prepare(self, problem: Conv2dProblem, inputs: Inputs, threads: int) -> Prepared:
        from scipy import signal

        p = problem
        kernel = inputs.second[0, 0]
        bias = inputs.second.dtype.type(0 if inputs.bia is None else inputs.bia[0])
        padded = np.zeros((p.mb, *p.padded_shape), p.dtype)
        inside = padded[:, p.ph : p.ph + p.ih, p.pw : p.pw + p.iw]
        method = self.method or signal.choose_conv_method(padded[0], kernel, "valid")
        flipped = np.ascontiguousarray(kernel[::-1, ::-1])

        def correlated(plane: np.ndarray) -> np.ndarray:
            by_transform = signal.oaconvolve if method == "oa" else signal.fftconvolve
            result: np.ndarray = (
                signal.correlate2d(plane, kernel, "valid")
                if method == "direct"
                else by_transform(plane, flipped, "valid")
            )
            return result

        def call() -> np.ndarray:
            # Padding is part of a convolution: the border is there already, the image is copied in.
            inside[...] = inputs.first[:, 0]
            result: np.ndarray = np.stack([correlated(plane) for plane in padded])[:, None] + bias
            return result

        return Prepared(call, lambda result: result)


_WHO = ("SciPy", ("scipy",), _BOTH)

CONTENDERS = (
    _Scipy("scipy", *_WHO),
    _Scipy("scipy_fft", *_WHO, method="fft"),
    _Scipy("scipy_oa", *_WHO, method="oa"),
)
