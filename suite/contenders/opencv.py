"""OpenCV's dnn: a network of one node on its own CPU backend."""

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
        network.setInput(inputs.src)
        return Prepared(network.forward, np.ascontiguousarray)


CONTENDERS = (
    _OpenCv(
        "opencv",
        "OpenCV",
        ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python"),
    ),
)
