"""OpenCV: its networks, and what people filter images with.

versions:
  opencv           dnn: a network of one node on its own CPU backend
  opencv_filter    ``filter2D`` of one plane, as large as the image
  opencv_separate  ``sepFilter2D`` of one plane, of kernels of one row or one column
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kernels import Conv2dProblem
from suite.check.inputs import Inputs
from suite.contenders.base import Peer, Prepared
from suite.contenders.onnx_model import onnx_model

__all__ = ["CONTENDERS"]


@dataclass(frozen=True)
class _OpenCv(Peer):
    def load(self, threads: int) -> None:
        import cv2

        cv2.setNumThreads(threads)

    def prepare(self, problem: Conv2dProblem, inputs: Inputs, threads: int) -> Prepared:
        import cv2

        network = cv2.dnn.readNetFromONNX(np.frombuffer(onnx_model(problem, inputs), np.uint8))
        network.setInput(inputs.first)
        return Prepared(network.forward, np.ascontiguousarray)


@dataclass(frozen=True)
class _Filter(_OpenCv):
    separate: bool = False

    def refuses(self, problem: Conv2dProblem, threads: int) -> str | None:
        p = problem
        if (p.ic, p.oc) != (1, 1):
            return f"there are {p.ic} channels in and {p.oc} out, expected 1 and 1"
        if (p.sh, p.sw, p.dh, p.dw) != (1, 1, 1, 1):
            return f"stride and dilation are {p.sh}x{p.sw} and {p.dh}x{p.dw}, expected 1x1"
        if (p.oh, p.ow) != (p.ih, p.iw) or p.ph >= p.kh or p.pw >= p.kw:
            return f"the result is {p.oh}x{p.ow} of {p.ih}x{p.iw}, expected the same extents"
        if self.separate and min(p.kh, p.kw) > 1:
            return f"the kernel is {p.kh}x{p.kw}, expected one row or one column"
        return None

    def prepare(self, problem: Conv2dProblem, inputs: Inputs, threads: int) -> Prepared:
        import cv2

        p = problem
        kernel, planes = np.ascontiguousarray(inputs.second[0, 0]), inputs.first[:, 0]
        bias = 0.0 if inputs.bia is None else float(inputs.bia[0])
        anchor, border, one = (p.pw, p.ph), cv2.BORDER_CONSTANT, np.ones(1, p.dtype)
        rows, columns = (kernel[0], one) if p.kh == 1 else (one, kernel[:, 0])

        def filtered(plane: np.ndarray) -> np.ndarray:
            result: np.ndarray = (
                cv2.sepFilter2D(plane, -1, rows, columns, None, anchor, bias, border)
                if self.separate
                else cv2.filter2D(plane, -1, kernel, None, anchor, bias, border)
            )
            return result

        return Prepared(lambda: [filtered(plane) for plane in planes], lambda result: np.stack(result)[:, None])


_WHO = (
    "OpenCV",
    ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python"),
)
_BOTH = ("float32", "float64")

CONTENDERS = (
    _OpenCv("opencv", *_WHO),
    _Filter("opencv_filter", *_WHO, _BOTH),
    _Filter("opencv_separate", *_WHO, _BOTH, separate=True),
)
