"""A convolution, or a block, as an ONNX model: every layer a node of its own, every shape fixed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kernels import Conv2dProblem
from suite.blocks.graph import (
    EPSILON,
    Activate,
    Add,
    BatchNorm,
    Conv,
    ConvOfEach,
    GlobalMean,
    Graph,
    Linear,
    MaxPool,
    Mix,
    Node,
    Sigmoid,
)
from suite.blocks.graph import INPUT as BLOCK_INPUT
from suite.blocks.inputs import BlockInputs
from suite.check.inputs import Inputs, direction_of, result_shape_of
from suite.contenders.base import transposed_padding
from suite.contenders.onnx_wire import model_bytes, node_bytes

__all__ = ["INPUT", "OUTPUT", "block_model", "onnx_model"]

#: Names of a convolution's input and output.
INPUT, OUTPUT = "x", "y"


def onnx_model(problem: Conv2dProblem, inputs: Inputs) -> bytes:
    """The file of a model with one ``Conv`` or ``ConvTranspose`` node, weights and bias as initializers."""
    weights: dict[str, np.ndarray] = {"w": inputs.second} | ({} if inputs.bia is None else {"b": inputs.bia})
    attributes = _conv_attributes(problem)
    if direction_of(problem) == "bwd_d":
        attributes["output_padding"] = transposed_padding(problem)
    operator = "ConvTranspose" if direction_of(problem) == "bwd_d" else "Conv"
    node = node_bytes(operator, (INPUT, *weights), OUTPUT, attributes)
    shapes = (INPUT, inputs.first.shape), (OUTPUT, result_shape_of(problem))
    return model_bytes((node,), weights, shapes[:1], shapes[1:], problem.dtype)


def _conv_attributes(problem: Conv2dProblem) -> dict[str, int | tuple[int, ...]]:
    """The attributes that ``Conv`` and ``ConvTranspose`` nodes have both."""
    p = problem
    assert p.pb is not None and p.pr is not None
    return {
        "kernel_shape": (p.kh, p.kw),
        "strides": (p.sh, p.sw),
        "pads": (p.ph, p.pw, p.pb, p.pr),
        "dilations": (p.dh, p.dw),
        "group": p.g,
    }


def block_model(graph: Graph, inputs: BlockInputs) -> bytes:
    """The file of a model whose input and outputs are called as the graph's values are."""
    writing = _Writing(inputs.state)
    for node in graph.nodes:
        writing.add(node, graph.shapes[node.result])
    outputs = [(name, graph.shapes[name]) for name in graph.outputs]
    return model_bytes(writing.nodes, writing.initializers, [(BLOCK_INPUT, graph.shapes[BLOCK_INPUT])], outputs)


class _Writing:
    """Nodes and initializers of a model that is being written."""

    def __init__(self, state: Mapping[str, np.ndarray]) -> None:
        self._state = state
        self.nodes: list[bytes] = []
        self.initializers: dict[str, np.ndarray] = {}

    def add(self, node: Node, shape: tuple[int, ...]) -> None:
        """Write the node whose value has ``shape``."""
        src, result = node.src, node.result
        match node:
            case Conv(weight=name, problem=problem):
                self._write("Conv", (src, self._weight(name)), result, _conv_attributes(problem))
            case ConvOfEach():
                self._conv_of_each(node)
            case BatchNorm(layer=layer):
                names = (f"{layer}.{name}" for name in ("weight", "bias", "running_mean", "running_var"))
                arrays = [self._weight(name) for name in names]
                self._write("BatchNormalization", (src, *arrays), result, {"epsilon": EPSILON})
            case Activate(slope=slope):
                if slope == 0:
                    self._write("Relu", (src,), result)
                else:
                    self._write("LeakyRelu", (src,), result, {"alpha": slope})
            case MaxPool(size=size, stride=stride, pad=pad):
                extents = {"kernel_shape": (size,) * 2, "strides": (stride,) * 2, "pads": (pad,) * 4}
                self._write("MaxPool", (src,), result, extents)
            case Add(other=other):
                self._write("Add", (src, other), result)
            case GlobalMean():
                self._write("GlobalAveragePool", (src,), f"{result}/pixel")
                self._write("Flatten", (f"{result}/pixel",), result, {"axis": 1})
            case Linear(layer=layer):
                arrays = [self._weight(f"{layer}.{name}") for name in ("weight", "bias")]
                self._write("Gemm", (src, *arrays), result, {"transB": 1})
            case Sigmoid():
                self._write("Sigmoid", (src,), result)
            case Mix(experts=name):
                experts = self._state[name]
                self.initializers[name] = experts.reshape(len(experts), -1)
                self._write("MatMul", (src, name), f"{result}/flat")
                self._reshape(f"{result}/flat", result, shape)
            case _:
                raise TypeError(f"node is {node!r}, expected one of suite.blocks.graph")

    def _conv_of_each(self, node: ConvOfEach) -> None:
        """ONNX has no such node: a convolution of as many groups more as there are samples is the same."""
        p = node.problem
        merged = p.replace(mb=1, g=p.mb * p.g, ic=p.mb * p.ic, oc=p.mb * p.oc)
        names = [f"{node.result}/{what}" for what in ("input", "weight", "bias", "output")]
        shapes = merged.input_shape, merged.weight_shape, (merged.oc,)
        for source, name, shape in zip(node.sources, names, shapes, strict=False):
            self._reshape(source, name, shape)
        self._write("Conv", names[:3], names[3], _conv_attributes(merged))
        self._reshape(names[3], node.result, p.output_shape)

    def _reshape(self, src: str, result: str, shape: tuple[int, ...]) -> None:
        self.initializers[f"{result}/shape"] = np.array(shape, np.int64)
        self._write("Reshape", (src, f"{result}/shape"), result)

    def _write(
        self, operator: str, sources: tuple[str, ...] | list[str], result: str,
        attributes: Mapping[str, int | float | tuple[int, ...]] = {},
    ) -> None:  # fmt: skip
        self.nodes.append(node_bytes(operator, sources, result, attributes))

    def _weight(self, name: str) -> str:
        """Have weights in the model."""
        self.initializers[name] = self._state[name]
        return name
