"""OpenVINO: a model of one convolution, or of a transposed one, compiled for the CPU in float32."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kernels import Conv2dProblem
from suite.check.inputs import Inputs, direction_of, result_shape_of
from suite.contenders.base import Peer, Prepared, transposed_padding

__all__ = ["CONTENDERS"]


@dataclass(frozen=True)
class _OpenVino(Peer):
    directions = ("fwd", "bwd_d")

    def load(self, threads: int) -> None:
        import openvino  # noqa: F401  (a model is given its threads when it is compiled)

    def prepare(self, problem: Conv2dProblem, inputs: Inputs, threads: int) -> Prepared:
        import openvino

        settings = {
            "INFERENCE_NUM_THREADS": threads,
            # Left to itself it computes in bfloat16 if the CPU has it.
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
            # The process is pinned as a whole.
            "ENABLE_CPU_PINNING": False,
        }
        request = openvino.Core().compile_model(_model(problem, inputs), "CPU", settings).create_infer_request()
        dst = np.full(result_shape_of(problem), np.nan, problem.dtype)
        request.set_input_tensor(openvino.Tensor(inputs.first, shared_memory=True))
        request.set_output_tensor(openvino.Tensor(dst, shared_memory=True))

        def call() -> np.ndarray:
            request.infer(share_outputs=True)
            return dst

        return Prepared(call, lambda result: result, spoil=lambda: dst.fill(np.nan))


def _model(p: Conv2dProblem, inputs: Inputs) -> Any:
    import openvino
    from openvino import opset13 as ops

    src = ops.parameter(list(inputs.first.shape), np.float32)
    geometry = ([p.sh, p.sw], [p.ph, p.pw], [p.pb, p.pr], [p.dh, p.dw])
    wei = inputs.second if p.g == 1 else inputs.second.reshape(p.g, p.oc // p.g, *p.weight_shape[1:])
    if direction_of(p) == "bwd_d":
        transposed = ops.convolution_backprop_data if p.g == 1 else ops.group_convolution_backprop_data
        strides, before, after, dilations = geometry
        dst = transposed(
            src, ops.constant(wei), strides, None, before, after, dilations,
            output_padding=list(transposed_padding(p)),
        )  # fmt: skip
    else:
        dst = (ops.convolution if p.g == 1 else ops.group_convolution)(src, ops.constant(wei), *geometry)
    if inputs.bia is not None:
        dst = ops.add(dst, ops.constant(inputs.bia.reshape(1, -1, 1, 1)))
    return openvino.Model([dst], [src])


CONTENDERS = (_OpenVino("openvino", "OpenVINO", ("openvino",)),)
