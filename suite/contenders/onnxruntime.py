"""ONNX Runtime, on convolutions and on blocks.

A convolution, or a transposed one, is a session of one node. A block is one model with every layer a node of
its own, all of the library's optimisations on: it folds batch norms into weights, activations and sums into
convolutions, and has its own layout from the first layer to the last. Inputs and outputs are bound to memory once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kernels import Conv2dProblem
from suite.blocks.graph import INPUT as BLOCK_INPUT
from suite.blocks.inputs import BlockInputs
from suite.blocks.problem import Block
from suite.check.inputs import Inputs, result_shape_of
from suite.contenders.base import BlockPeer, Peer, Prepared
from suite.contenders.onnx_model import INPUT, OUTPUT, block_model, onnx_model

__all__ = ["BLOCK_CONTENDERS", "CONTENDERS", "GRAPH", "open_session"]

#: Name of the contender on blocks.
GRAPH = "onnxruntime_graph"


def open_session(model: bytes, threads: int) -> Any:
    """A session for a model on the CPU, with all optimisations of its graph."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


@dataclass(frozen=True)
class _OnnxRuntimeConvolution(Peer):
    directions = ("fwd", "bwd_d")

    def load(self, threads: int) -> None:
        import onnxruntime  # noqa: F401  (a session is given its threads when it is made)

    def prepare(self, problem: Conv2dProblem, inputs: Inputs, threads: int) -> Prepared:
        session = open_session(onnx_model(problem, inputs), threads)
        dst = np.full(result_shape_of(problem), np.nan, problem.dtype)
        binding = session.io_binding()
        binding.bind_input(INPUT, "cpu", 0, inputs.first.dtype, inputs.first.shape, inputs.first.ctypes.data)
        binding.bind_output(OUTPUT, "cpu", 0, dst.dtype, dst.shape, dst.ctypes.data)

        def call() -> np.ndarray:
            session.run_with_iobinding(binding)
            return dst

        return Prepared(call, lambda result: result, spoil=lambda: dst.fill(np.nan))


@dataclass(frozen=True)
class _OnnxRuntimeBlock(BlockPeer):
    def load(self, threads: int) -> None:
        import onnxruntime  # noqa: F401  (a session is given its threads when it is made)

    def prepare(self, problem: Block, inputs: BlockInputs, threads: int) -> Prepared:
        graph = problem.graph
        session = open_session(block_model(graph, inputs), threads)
        outputs = [np.full(graph.shapes[name], np.nan, np.float32) for name in graph.outputs]
        binding = session.io_binding()
        src = inputs.src
        binding.bind_input(BLOCK_INPUT, "cpu", 0, src.dtype, src.shape, src.ctypes.data)
        for name, array in zip(graph.outputs, outputs, strict=True):
            binding.bind_output(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)

        def call() -> list[np.ndarray]:
            session.run_with_iobinding(binding)
            return outputs

        return Prepared(call, graph.joined)


_LIBRARY = ("ONNX Runtime", ("onnxruntime",))

CONTENDERS = (_OnnxRuntimeConvolution("onnxruntime", *_LIBRARY),)

BLOCK_CONTENDERS = (_OnnxRuntimeBlock(GRAPH, *_LIBRARY),)
