"""LiteRT, once TensorFlow Lite: a model of one layer, run by its XNNPACK delegate, in NHWC as it is made for.

Padding that its SAME does not have is an operator before the convolution, which XNNPACK merges into it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kernels import Conv2dProblem
from suite.check.inputs import Inputs
from suite.contenders.base import Peer, Prepared

__all__ = ["CONTENDERS"]

#: Version of the schema, and what a file of it begins with.
_VERSION, _IDENTIFIER = 3, b"TFL3"


@dataclass(frozen=True)
class _LiteRT(Peer):
    def load(self, threads: int) -> None:
        from ai_edge_litert import interpreter  # noqa: F401  (an interpreter is given its threads when it is made)

    def prepare(self, problem: Conv2dProblem, inputs: Inputs, threads: int) -> Prepared:
        from ai_edge_litert.interpreter import Interpreter

        model = Interpreter(model_content=_model(problem, inputs), num_threads=threads)
        model.allocate_tensors()
        model.set_tensor(model.get_input_details()[0]["index"], np.ascontiguousarray(_nhwc(inputs.first)))
        result = model.get_output_details()[0]["index"]
        return Prepared(model.invoke, lambda _: np.moveaxis(model.get_tensor(result), 3, 1))


def _nhwc(array: np.ndarray) -> np.ndarray:
    return np.moveaxis(array, 1, 3)


def _model(p: Conv2dProblem, inputs: Inputs) -> bytes:
    """The file of a model with one convolution, every shape fixed."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model, graph = schema.ModelT(), schema.SubGraphT()
    # The first buffer is empty: that of tensors without values.
    model.buffers, model.operatorCodes, graph.tensors, graph.operators = [schema.BufferT()], [], [], []

    def tensor(name: str, shape: tuple[int, ...], values: np.ndarray | None = None) -> int:
        made = schema.TensorT()
        made.name, made.shape, made.buffer = name, shape, 0
        made.type = schema.TensorType.FLOAT32
        if values is not None:
            stored = schema.BufferT()
            stored.data = np.ascontiguousarray(values).view(np.uint8).reshape(-1)
            made.buffer = len(model.buffers)
            made.type = schema.TensorType.INT32 if values.dtype == np.int32 else schema.TensorType.FLOAT32
            model.buffers.append(stored)
        graph.tensors.append(made)
        return len(graph.tensors) - 1

    def operator(name: str, sources: list[int], result: int, options: Any) -> None:
        code, made = schema.OperatorCodeT(), schema.OperatorT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, name)
        # The second version of these knows dilation.
        code.version = 2 if name == "DEPTHWISE_CONV_2D" else 1
        made.opcodeIndex, made.inputs, made.outputs = len(model.operatorCodes), sources, [result]
        made.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        made.builtinOptions = options
        model.operatorCodes.append(code)
        graph.operators.append(made)

    source = first = tensor("x", (p.mb, p.ih, p.iw, p.ic))
    if not (is_same := _is_same(p)):
        edges = np.array([[0, 0], [p.ph, p.pb], [p.pw, p.pr], [0, 0]], np.int32)
        if edges.any():
            padded = (p.mb, p.ih + edges[1].sum(), p.iw + edges[2].sum(), p.ic)
            source = tensor("padded", padded)
            operator("PAD", [first, tensor("edges", edges.shape, edges)], source, schema.PadOptionsT())
    is_depthwise = p.g == p.ic and p.g > 1
    # OHWI; of a depthwise convolution 1HWO.
    wei = np.moveaxis(_nhwc(inputs.second), 0, 3).reshape(1, p.kh, p.kw, p.oc) if is_depthwise else _nhwc(inputs.second)
    bia = np.zeros(p.oc, np.float32) if inputs.bia is None else inputs.bia
    options = schema.DepthwiseConv2DOptionsT() if is_depthwise else schema.Conv2DOptionsT()
    if is_depthwise:
        options.depthMultiplier = p.oc // p.g
    options.padding = schema.Padding.SAME if is_same else schema.Padding.VALID
    options.strideH, options.strideW, options.dilationHFactor, options.dilationWFactor = p.sh, p.sw, p.dh, p.dw
    result = tensor("y", (p.mb, p.oh, p.ow, p.oc))
    sources = [source, tensor("weights", wei.shape, wei), tensor("bias", bia.shape, bia)]
    operator("DEPTHWISE_CONV_2D" if is_depthwise else "CONV_2D", sources, result, options)
    graph.inputs, graph.outputs = [first], [result]
    model.version, model.subgraphs = _VERSION, [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())


def _is_same(p: Conv2dProblem) -> bool:
    """Whether the padding is what TensorFlow calls SAME: as much as the result takes, the smaller half in front."""

    def both(extent: int, out: int, kernel: int, stride: int) -> tuple[int, int]:
        whole = max(0, (out - 1) * stride + kernel - extent)
        return whole // 2, whole - whole // 2

    def is_rounded_up(extent: int, out: int, stride: int) -> bool:
        return out == -(-extent // stride)

    kh, kw = p.kernel_extent
    return (
        is_rounded_up(p.ih, p.oh, p.sh) and is_rounded_up(p.iw, p.ow, p.sw)
        and (p.ph, p.pb) == both(p.ih, p.oh, kh, p.sh) and (p.pw, p.pr) == both(p.iw, p.ow, kw, p.sw)
    )  # fmt: skip


CONTENDERS = (_LiteRT("litert", "LiteRT", ("ai-edge-litert",)),)
