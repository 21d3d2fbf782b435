"""MNN: a module of one layer, converted from ONNX by its own converter.

versions:
  mnn                 as it comes; its Winograd over large tiles can err by more than 1e-4
  mnn_small_winograd  told to keep Winograd's memory small, which keeps its tiles and errors small
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kernels import Conv2dProblem
from suite.check.inputs import Inputs
from suite.contenders.base import Peer, Prepared
from suite.contenders.onnx_model import INPUT, OUTPUT, onnx_model

__all__ = ["CONTENDERS"]

#: The hint ``WINOGRAD_MEMORY_LEVEL``, and the value under which tiles are small.
_WINOGRAD_MEMORY_LEVEL, _SMALL = 3, 1


@dataclass(frozen=True)
class _Mnn(Peer):
    small_winograd: bool = False

    def load(self, threads: int) -> None:
        import MNN  # noqa: F401  (a module is given its threads when it is loaded)

    def prepare(self, problem: Conv2dProblem, inputs: Inputs, threads: int) -> Prepared:
        from MNN import expr, nn

        settings = {"backend": expr.Backend.CPU, "numThread": threads, "precision": "high"}
        manager = nn.create_runtime_manager((settings,))
        if self.small_winograd:
            manager.set_hint(_WINOGRAD_MEMORY_LEVEL, _SMALL)
        with tempfile.TemporaryDirectory() as folder:
            path = str(_convert(onnx_model(problem, inputs), Path(folder)))
            module = nn.load_module_from_file(path, [INPUT], [OUTPUT], runtime_manager=manager, shape_mutable=False)
        src = expr.placeholder(list(problem.input_shape), expr.NCHW)
        src.write(inputs.first)
        return Prepared(lambda: module.onForward([src]), lambda results: np.array(results[0].read()))


def _convert(model: bytes, folder: Path) -> Path:
    # Not through MNN.tools, which installs a package and reports to its makers when imported.
    import _tools

    source, target = folder / "model.onnx", folder / "model.mnn"
    source.write_bytes(model)
    _tools.mnnconvert(
        ["mnnconvert", "-f", "ONNX", "--modelFile", str(source), "--MNNModel", str(target), "--bizCode", "convmark"]
    )
    return target


CONTENDERS = (
    _Mnn("mnn", "MNN", ("MNN",)),
    _Mnn("mnn_small_winograd", "MNN", ("MNN",), small_winograd=True),
)
