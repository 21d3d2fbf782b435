"""ONNX Runtime: a session of one node, its input and output bound to memory once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kernels import Conv2dProblem
from suite.contenders.base import Peer, Prepared
from suite.contenders.onnx_model import INPUT, OUTPUT, onnx_model
from suite.inputs import Inputs

__all__ = ["CONTENDERS", "open_session"]


def open_session(model: bytes, threads: int) -> Any:
    """A session for a model on the CPU, with all optimisations of its graph."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


@dataclass(frozen=True)
class _OnnxRuntime(Peer):
    def load(self, threads: int) -> None:
        import onnxruntime  # noqa: F401  (a session is given its threads when it is made)

    def prepare(self, problem: Conv2dProblem, inputs: Inputs, threads: int) -> Prepared:
        session = open_session(onnx_model(problem, inputs), threads)
        dst = np.full(problem.output_shape, np.nan, problem.dtype)
        binding = session.io_binding()
        binding.bind_input(INPUT, "cpu", 0, inputs.src.dtype, inputs.src.shape, inputs.src.ctypes.data)
        binding.bind_output(OUTPUT, "cpu", 0, dst.dtype, dst.shape, dst.ctypes.data)

        def call() -> np.ndarray:
            session.run_with_iobinding(binding)
            return dst

        return Prepared(call, lambda result: result)


CONTENDERS = (_OnnxRuntime("onnxruntime", "ONNX Runtime", ("onnxruntime",)),)
