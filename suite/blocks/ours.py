"""Our own blocks: fused, and the same layers one after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernels import ConvBlock, DarknetResidual, DepthwiseSeparable, DynamicConv2d, ResNetStem, UNetDown
from suite.blocks.inputs import BlockInputs
from suite.blocks.problem import Block
from suite.blocks.referee import block_promise
from suite.contenders.base import Own, Prepared
from suite.verify import Standard

__all__ = ["CONTENDERS", "FUSED", "UNFUSED", "layers_of"]

#: Names of the contenders; the first is whom others are compared with.
FUSED, UNFUSED = "block_fused", "block_unfused"

#: By kind: the layers of `kernels` for its extents and the options that all have.
_LAYERS: dict[str, Callable[..., Any]] = {
    "conv_block": lambda s, **options: ConvBlock(s["ic"], s["oc"], s["kh"], s["kh"] // 2, **options),
    "resnet_stem": lambda s, **options: ResNetStem(s["ic"], s["oc"], **options),
    "darknet_residual": lambda s, **options: DarknetResidual(s["ic"], **options),
    "unet_down": lambda s, **options: UNetDown(s["ic"], s["oc"], **options),
    "depthwise_separable": lambda s, **options: DepthwiseSeparable(s["ic"], s["oc"], s["sh"], **options),
    "dynamic_conv": lambda s, **options: DynamicConv2d(
        s["ic"], s["oc"], s["kh"], s["sh"], s["kh"] // 2, experts=s["e"], **options
    ),
}


def layers_of(block: Block, threads: int | None = None) -> Any:
    """The block's class of `kernels`, made for its extents, with weights of its own."""
    return _LAYERS[block.kind](dict(block.sizes), threads=threads)


@dataclass(frozen=True)
class _Ours(Own):
    fused: bool

    family = "block"

    def unsupported(self, problem: Block, threads: int = 1) -> str | None:
        """See `Contender`; all are computed."""
        return None

    def prepare(self, problem: Block, inputs: BlockInputs, threads: int) -> Prepared:
        """Give the layers their weights; the first call of a shape is what packs them."""
        block = layers_of(problem, threads)
        block.load_state_dict(inputs.state)
        call, src = block if self.fused else block.unfused, inputs.src
        call(src)
        return Prepared(lambda: call(src), lambda result: problem.graph.joined(_outputs(result)))

    def standard(self, problem: Block, chosen: str) -> Standard:
        """See `block_promise`."""
        return block_promise(problem)


def _outputs(result: Any) -> list[np.ndarray]:
    return [result] if isinstance(result, np.ndarray) else [*result]


CONTENDERS = (_Ours(FUSED, True), _Ours(UNFUSED, False))
