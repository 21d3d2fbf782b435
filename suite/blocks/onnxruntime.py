"""ONNX Runtime on blocks: the whole block as one model, all of its optimisations on, memory bound once.

What it fuses is its own choice: it folds batch norms into weights, activations and sums into
convolutions, and has its own layout from the first to the last.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from suite.blocks.graph import INPUT
from suite.blocks.inputs import BlockInputs
from suite.blocks.onnx_model import block_model
from suite.blocks.peer import BlockPeer
from suite.blocks.problem import Block
from suite.contenders.base import Prepared
from suite.contenders.onnxruntime import open_session

__all__ = ["CONTENDERS", "GRAPH"]

#: Name of the contender.
GRAPH = "onnxruntime_graph"


@dataclass(frozen=True)
class _OnnxRuntime(BlockPeer):
    def load(self, threads: int) -> None:
        import onnxruntime  # noqa: F401  (a session is given its threads when it is made)

    def prepare(self, problem: Block, inputs: BlockInputs, threads: int) -> Prepared:
        graph = problem.graph
        session = open_session(block_model(graph, inputs), threads)
        outputs = [np.full(graph.shapes[name], np.nan, np.float32) for name in graph.outputs]
        binding = session.io_binding()
        src = inputs.src
        binding.bind_input(INPUT, "cpu", 0, src.dtype, src.shape, src.ctypes.data)
        for name, array in zip(graph.outputs, outputs, strict=True):
            binding.bind_output(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)

        def call() -> list[np.ndarray]:
            session.run_with_iobinding(binding)
            return outputs

        return Prepared(call, graph.joined)


CONTENDERS = (_OnnxRuntime(GRAPH, "ONNX Runtime", ("onnxruntime",)),)
