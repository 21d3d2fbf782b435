"""One convolution as an ONNX model."""

from __future__ import annotations

import numpy as np

from kernels import Conv2dProblem
from suite.contenders.onnx_wire import model_bytes, node_bytes
from suite.inputs import Inputs

__all__ = ["INPUT", "OUTPUT", "conv_attributes", "onnx_model"]

#: Names of the model's input and output.
INPUT, OUTPUT = "x", "y"


def onnx_model(problem: Conv2dProblem, inputs: Inputs) -> bytes:
    """The file of a model with one ``Conv`` node, its weights and bias as initializers, every shape fixed."""
    weights: dict[str, np.ndarray] = {"w": inputs.wei} | ({} if inputs.bia is None else {"b": inputs.bia})
    node = node_bytes("Conv", (INPUT, *weights), OUTPUT, conv_attributes(problem))
    shapes = (INPUT, problem.input_shape), (OUTPUT, problem.output_shape)
    return model_bytes((node,), weights, shapes[:1], shapes[1:], problem.dtype)


def conv_attributes(problem: Conv2dProblem) -> dict[str, int | tuple[int, ...]]:
    """The attributes of a ``Conv`` node."""
    p = problem
    assert p.pb is not None and p.pr is not None
    return {
        "kernel_shape": (p.kh, p.kw),
        "strides": (p.sh, p.sw),
        "pads": (p.ph, p.pw, p.pb, p.pr),
        "dilations": (p.dh, p.dw),
        "group": p.g,
    }
