"""ncnn: a network of one layer, which may be a transposed convolution; its own Winograd on 3x3, in float32.

It knows no batch: images are convolved one after the other.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kernels import Conv2dProblem
from suite.check.inputs import Inputs, direction_of
from suite.contenders.base import Peer, Prepared, transposed_padding

__all__ = ["CONTENDERS"]

#: Shortcuts in storage and arithmetic that are on by default if the CPU has them.
_SHORTCUTS = (
    "use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_packed", "use_bf16_storage",
    "use_int8_inference",
)  # fmt: skip

#: First word of a file of parameters, and of weights in float32.
_MAGIC, _FLOAT32 = 7767517, bytes(4)


@dataclass(frozen=True)
class _Ncnn(Peer):
    directions = ("fwd", "bwd_d")

    def load(self, threads: int) -> None:
        import ncnn  # noqa: F401  (a network is given its threads when it is made)

    def prepare(self, problem: Conv2dProblem, inputs: Inputs, threads: int) -> Prepared:
        import ncnn

        network = ncnn.Net()
        network.opt.num_threads = threads
        for name in _SHORTCUTS:
            if hasattr(network.opt, name):
                setattr(network.opt, name, False)
        with tempfile.TemporaryDirectory() as folder:
            weights = Path(folder) / "weights.bin"
            bias = b"" if inputs.bia is None else inputs.bia.tobytes()
            weights.write_bytes(_FLOAT32 + _weights(problem, inputs.second).tobytes() + bias)
            if network.load_param_mem(_parameters(problem)) or network.load_model(str(weights)):
                raise RuntimeError("ncnn did not load the layer, expected it to know all its parameters")
        images = [ncnn.Mat(image).clone() for image in inputs.first]

        def call() -> list[Any]:
            results = []
            for image in images:
                extractor = network.create_extractor()
                extractor.input("x", image)
                code, result = extractor.extract("y")
                if code != 0:
                    raise RuntimeError(f"ncnn's extract returned {code}, expected 0")
                results.append(result)
            return results

        return Prepared(call, lambda results: np.stack([np.array(each) for each in results]))


def _weights(p: Conv2dProblem, wei: np.ndarray) -> np.ndarray:
    """Weights in ncnn's order: of a transposed convolution, too, the channels of the result come first."""
    if direction_of(p) != "bwd_d":
        return wei
    return wei.reshape(p.g, p.oc // p.g, p.ic // p.g, p.kh, p.kw).swapaxes(1, 2)


def _parameters(p: Conv2dProblem) -> str:
    """The network's text; what the numbers mean is in ncnn's list of operators."""
    transposed = direction_of(p) == "bwd_d"
    kind = ("Deconvolution" if transposed else "Convolution") + "DepthWise" * (p.g > 1)
    values = {
        0: p.ic if transposed else p.oc,
        1: p.kw, 11: p.kh, 2: p.dw, 12: p.dh, 3: p.sw, 13: p.sh, 4: p.pw, 14: p.ph, 15: p.pr, 16: p.pb,
        5: int(p.bias), 6: int(np.prod(p.weight_shape)),
    }  # fmt: skip
    if p.g > 1:
        values[7] = p.g
    if transposed:
        values[19], values[18] = transposed_padding(p)
    words = " ".join(f"{key}={value}" for key, value in values.items())
    return f"{_MAGIC}\n2 2\nInput x 0 1 x\n{kind} convolution 1 1 x y {words}\n"


CONTENDERS = (_Ncnn("ncnn", "ncnn", ("ncnn",)),)
