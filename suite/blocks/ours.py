"""Our own blocks: fused, and the same layers one after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import kernels
from suite.blocks.inputs import BlockInputs
from suite.blocks.problem import Block
from suite.blocks.referee import block_promise
from suite.contenders.base import Own, Prepared
from suite.verify import Standard

__all__ = ["CONTENDERS", "FUSED", "UNFUSED"]

#: Names of the contenders; the first is whom others are compared with.
FUSED, UNFUSED = "block_fused", "block_unfused"

#: By kind: the class of `kernels`, and its arguments.
_CLASSES: dict[str, tuple[str, Callable[[dict[str, int]], tuple[int, ...]]]] = {
    "conv_block": ("ConvBlock", lambda s: (s["ic"], s["oc"], s["kh"], s["kh"] // 2)),
    "resnet_stem": ("ResNetStem", lambda s: (s["ic"], s["oc"])),
    "darknet_residual": ("DarknetResidual", lambda s: (s["ic"],)),
    "unet_down": ("UNetDown", lambda s: (s["ic"], s["oc"])),
    "depthwise_separable": ("DepthwiseSeparable", lambda s: (s["ic"], s["oc"], s["sh"])),
    "dynamic_conv": ("DynamicConv2d", lambda s: (s["ic"], s["oc"], s["kh"], s["sh"], s["kh"] // 2)),
}


@dataclass(frozen=True)
class _Ours(Own):
    fused: bool

    family = "block"

    def unsupported(self, problem: Block, threads: int = 1) -> str | None:
        """See `Contender`; all are computed."""
        return None

    def prepare(self, problem: Block, inputs: BlockInputs, threads: int) -> Prepared:
        """Give the layers their weights; the first call of a shape is what packs them."""
        block = _layers(problem, threads)
        block.load_state_dict(inputs.state)
        call, src = block if self.fused else block.unfused, inputs.src
        call(src)
        return Prepared(lambda: call(src), lambda result: problem.graph.joined(_outputs(result)))

    def standard(self, problem: Block, chosen: str) -> Standard:
        """See `block_promise`."""
        return block_promise(problem)


def _layers(problem: Block, threads: int) -> Any:
    """The block's class of `kernels`, made for it."""
    name, arguments = _CLASSES[problem.kind]
    sizes = dict(problem.sizes)
    options = {"experts": sizes["e"]} if "e" in sizes else {}
    return getattr(kernels, name)(*arguments(sizes), threads=threads, **options)


def _outputs(result: Any) -> list[np.ndarray]:
    return [result] if isinstance(result, np.ndarray) else [*result]


CONTENDERS = (_Ours(FUSED, True), _Ours(UNFUSED, False))
