"""PyTorch on blocks: eager, a call a layer, in inference, as blocks are written with ``torch.nn``.

versions:
  torch_eager_nchw           input and weights in NCHW, as they are where nobody asks for anything else
  torch_eager_channels_last  both in channels_last, converted before

What ``torch.nn``'s modules call is called without the modules. Activations and the sum overwrite
their argument, as in torchvision's networks; a value that is not needed any more is let go before
the next layer, as it is by whoever gives one name to all of them. Weights that differ from sample to
sample are a convolution of as many groups more, as in timm's CondConv2d.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from suite.blocks.graph import (
    EPSILON,
    INPUT,
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
from suite.blocks.inputs import BlockInputs
from suite.blocks.peer import BlockPeer
from suite.blocks.problem import Block
from suite.contenders.base import Prepared

__all__ = ["CHANNELS_LAST", "CONTENDERS", "NCHW"]

#: Names of the contenders.
NCHW, CHANNELS_LAST = "torch_eager_nchw", "torch_eager_channels_last"

_Values = dict[str, Any]
_Step = Callable[[_Values], Any]


@dataclass(frozen=True)
class _Torch(BlockPeer):
    channels_last: bool = False

    def load(self, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)

    def prepare(self, problem: Block, inputs: BlockInputs, threads: int) -> Prepared:
        import torch

        layout = torch.channels_last if self.channels_last else torch.contiguous_format

        def tensor(array: np.ndarray) -> Any:
            found = torch.from_numpy(array)
            return found.to(memory_format=layout) if array.ndim == 4 else found

        graph, src = problem.graph, tensor(inputs.src)
        state = {name: tensor(array) for name, array in inputs.state.items()}
        steps = [
            (node.result, _step(node, state, node.src in dead and node.src != INPUT), dead)
            for node, dead in zip(graph.nodes, graph.last_uses, strict=True)
        ]

        def call() -> list[Any]:
            values = {INPUT: src}
            for result, step, dead in steps:
                values[result] = step(values)
                for name in dead:
                    del values[name]
            return [values[name] for name in graph.outputs]

        return Prepared(call, lambda outputs: _joined(graph, outputs))


def _joined(graph: Graph, outputs: list[Any]) -> np.ndarray:
    return graph.joined([each.contiguous().numpy() for each in outputs])


def _step(node: Node, state: _Values, inplace: bool) -> _Step:
    """What one node makes of the values before it; with ``inplace`` it may overwrite its source."""
    import torch
    from torch.nn import functional

    src = node.src
    match node:
        case Conv(weight=name, problem=p):
            weight, stride, padding, dilation = state[name], (p.sh, p.sw), (p.ph, p.pw), (p.dh, p.dw)
            return lambda v: functional.conv2d(v[src], weight, None, stride, padding, dilation, p.g)
        case ConvOfEach():
            return _conv_of_each(node)
        case BatchNorm(layer=layer):
            names = ("running_mean", "running_var", "weight", "bias")
            mean, variance, factor, offset = (state[f"{layer}.{name}"] for name in names)
            return lambda v: functional.batch_norm(v[src], mean, variance, factor, offset, eps=EPSILON)
        case Activate(slope=slope):
            if slope == 0:
                return lambda v: functional.relu(v[src], inplace)
            return lambda v: functional.leaky_relu(v[src], slope, inplace)
        case MaxPool(size=size, stride=step, pad=pad):
            return lambda v: functional.max_pool2d(v[src], size, step, pad)
        case Add(other=other):
            return (lambda v: v[src].add_(v[other])) if inplace else (lambda v: v[src] + v[other])
        case GlobalMean():
            return lambda v: v[src].mean(dim=(2, 3))
        case Linear(layer=layer):
            weights, biases = state[f"{layer}.weight"], state[f"{layer}.bias"]
            return lambda v: functional.linear(v[src], weights, biases)
        case Sigmoid():
            return lambda v: torch.sigmoid(v[src])
        case Mix(experts=name):
            experts = state[name]
            flat = experts.reshape(len(experts), -1)
            return lambda v: torch.matmul(v[src], flat).view(-1, *experts.shape[1:])
    raise TypeError(f"node is {node!r}, expected one of suite.blocks.graph")


def _conv_of_each(node: ConvOfEach) -> _Step:
    from torch.nn import functional

    p = node.problem
    shape, stride, padding, dilation = (1, p.mb * p.ic, p.ih, p.iw), (p.sh, p.sw), (p.ph, p.pw), (p.dh, p.dw)

    def step(v: _Values) -> Any:
        weight, bias = v[node.weight].flatten(0, 1), v[node.bias].flatten()
        result = functional.conv2d(v[node.src].reshape(shape), weight, bias, stride, padding, dilation, p.mb * p.g)
        return result.reshape(p.output_shape)

    return step


_WHO = ("PyTorch", ("torch",))

CONTENDERS = (
    _Torch(NCHW, *_WHO),
    _Torch(CHANNELS_LAST, *_WHO, channels_last=True),
)
