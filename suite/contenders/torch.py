"""PyTorch, on convolutions and on blocks.

On convolutions, three ways, all of which call oneDNN:

torch_nchw
    Eager, NCHW: oneDNN brings input and weights into its own layout in every call.
torch_channels_last
    Eager, input and weights in channels_last, as they are inside a network that was converted once.
torch_prepacked
    channels_last with the weights in oneDNN's own layout, packed once for this shape; what freezing a
    compiled network does.
torch_one_call
    As torch_nchw, compared with `one_call`: nothing is prepared. It takes part only if it is named.

Eager mode cannot pad unequally: ``F.pad`` is then part of the call.

torch_nchw and torch_channels_last compute backward data and backward weights as well, by
``aten::convolution_backward`` with one output at a time. Backward data, which is a transposed convolution, has two
ways more, torch_transposed and torch_transposed_channels_last: ``conv_transpose2d``.

On blocks, eager, one call per layer, in inference, as blocks are written with ``torch.nn``:

torch_eager_nchw
    Input and weights in NCHW, the default.
torch_eager_channels_last
    Both in channels_last, converted before.

What ``torch.nn``'s modules call is called without the modules. Activations and the sum overwrite their
argument, as in torchvision's networks; a value that is not needed any more is released before the next
layer. Weights that differ from sample to sample are a convolution of as many groups more, as in timm's
CondConv2d.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernels import Conv2dProblem
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
from suite.blocks.problem import Block
from suite.check.inputs import Inputs, direction_of
from suite.contenders.base import BlockPeer, Peer, Prepared, transposed_padding

__all__ = ["BLOCK_CONTENDERS", "CHANNELS_LAST", "CONTENDERS", "NCHW"]

#: Names of the contenders on blocks.
NCHW, CHANNELS_LAST = "torch_eager_nchw", "torch_eager_channels_last"

_Values = dict[str, Any]
_Step = Callable[[_Values], Any]


def _load(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)


@dataclass(frozen=True)
class _TorchConvolution(Peer):
    channels_last: bool = False
    prepacked: bool = False
    apart: bool = False

    def load(self, threads: int) -> None:
        _load(threads)

    @property
    def directions(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("fwd",) if self.prepacked or self.apart else ("fwd", "bwd_d", "bwd_w")

    def prepare(self, problem: Conv2dProblem, inputs: Inputs, threads: int) -> Prepared:
        import torch

        if direction_of(problem) != "fwd":
            return _gradient(problem, inputs, channels_last=self.channels_last)
        p = problem
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        src = torch.from_numpy(inputs.first).to(memory_format=layout)
        wei = torch.from_numpy(inputs.second).to(memory_format=layout)
        bia = None if inputs.bia is None else torch.from_numpy(inputs.bia)
        axes, rest = _padding(p)
        convolve = (self._packed if self.prepacked else self._eager)(p, wei, bia, axes, rest)

        def call() -> Any:
            return convolve(torch.nn.functional.pad(src, rest) if any(rest) else src)

        return Prepared(call, _to_numpy)

    def _eager(self, p: Conv2dProblem, wei: Any, bia: Any, padding: list[int], rest: list[int]) -> Callable[[Any], Any]:
        from torch.nn.functional import conv2d

        stride, dilation = (p.sh, p.sw), (p.dh, p.dw)
        return lambda src: conv2d(src, wei, bia, stride, padding, dilation, p.g)

    def _packed(
        self, p: Conv2dProblem, wei: Any, bia: Any, padding: list[int], rest: list[int]
    ) -> Callable[[Any], Any]:
        import torch

        stride, dilation = [p.sh, p.sw], [p.dh, p.dw]
        shape = [p.mb, p.ic, p.ih + rest[2] + rest[3], p.iw + rest[0] + rest[1]]
        packed = torch.ops.mkldnn._reorder_convolution_weight(wei, padding, stride, dilation, p.g, shape)
        convolve = torch.ops.mkldnn._convolution_pointwise
        return lambda src: convolve(src, packed, bia, padding, stride, dilation, p.g, "none", [], "")


def _padding(p: Conv2dProblem) -> tuple[list[int], list[int]]:
    """What torch pads, which takes one number per axis, and what is more on one side, which is padded before."""
    axes = [min(p.ph, _other(p.pb)), min(p.pw, _other(p.pr))]
    return axes, [p.pw - axes[1], _other(p.pr) - axes[1], p.ph - axes[0], _other(p.pb) - axes[0]]


def _gradient(p: Conv2dProblem, inputs: Inputs, *, channels_last: bool) -> Prepared:
    """Backward data or backward weights, each by itself, and the gradient of a bias with those of weights."""
    import torch

    layout = torch.channels_last if channels_last else torch.contiguous_format
    first, second = (torch.from_numpy(each).to(memory_format=layout) for each in (inputs.first, inputs.second))
    bia = None if inputs.bia is None else torch.from_numpy(inputs.bia).reshape(1, -1, 1, 1)
    axes, rest = _padding(p)
    numbers = [p.sh, p.sw], axes, [p.dh, p.dw], False, [0, 0], p.g
    backward = torch.ops.aten.convolution_backward
    if direction_of(p) == "bwd_d":
        # Of the input only the shape and the layout count.
        shape = (p.mb, p.ic, p.ih + rest[2] + rest[3], p.iw + rest[0] + rest[1])
        padded = torch.zeros(shape, dtype=first.dtype).to(memory_format=layout)
        inside = (..., slice(rest[2], rest[2] + p.ih), slice(rest[0], rest[0] + p.iw))

        def of_input() -> Any:
            found = backward(first, padded, second, None, *numbers, [True, False, False])[0]
            found = found[inside] if any(rest) else found
            return found if bia is None else found.add_(bia)

        return Prepared(of_input, _to_numpy)
    weights = torch.zeros(p.weight_shape, dtype=first.dtype).to(memory_format=layout)
    sizes = [p.oc] if p.bias else None

    def of_weights() -> Any:
        src = torch.nn.functional.pad(first, rest) if any(rest) else first
        return backward(second, src, weights, sizes, *numbers, [False, True, p.bias])

    return Prepared(of_weights, lambda found: _joined_gradients(found, bias=p.bias))


def _joined_gradients(found: Any, *, bias: bool) -> np.ndarray:
    wei = _to_numpy(found[1])
    return np.concatenate([wei.ravel(), _to_numpy(found[2])]) if bias else wei


@dataclass(frozen=True)
class _TorchTransposed(Peer):
    channels_last: bool = False

    directions = ("bwd_d",)

    def load(self, threads: int) -> None:
        _load(threads)

    def refuses(self, problem: Conv2dProblem, threads: int) -> str | None:
        p, more = problem, transposed_padding(problem)
        if (p.pb, p.pr) != (p.ph, p.pw):
            return f"padding is {p.ph}, {p.pw} before and {p.pb}, {p.pr} after, expected the same"
        if more[0] >= max(p.sh, p.dh) or more[1] >= max(p.sw, p.dw):
            return f"output padding is {more}, expected less than stride or dilation"
        return None

    def prepare(self, problem: Conv2dProblem, inputs: Inputs, threads: int) -> Prepared:
        import torch

        p = problem
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        first, second = (torch.from_numpy(each).to(memory_format=layout) for each in (inputs.first, inputs.second))
        bia = None if inputs.bia is None else torch.from_numpy(inputs.bia)
        numbers = (p.sh, p.sw), (p.ph, p.pw), transposed_padding(p), p.g, (p.dh, p.dw)
        return Prepared(lambda: torch.nn.functional.conv_transpose2d(first, second, bia, *numbers), _to_numpy)


def _other(extent: int | None) -> int:
    assert extent is not None
    return extent


def _to_numpy(result: Any) -> np.ndarray:
    array: np.ndarray = result.contiguous().numpy()
    return array


@dataclass(frozen=True)
class _TorchBlock(BlockPeer):
    channels_last: bool = False

    def load(self, threads: int) -> None:
        _load(threads)

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


_LIBRARY = ("PyTorch", ("torch",))
_BOTH = ("float32", "float64")

CONTENDERS = (
    _TorchConvolution("torch_nchw", *_LIBRARY, _BOTH),
    _TorchConvolution("torch_one_call", *_LIBRARY, _BOTH, apart=True),
    _TorchConvolution("torch_channels_last", *_LIBRARY, _BOTH, channels_last=True),
    _TorchConvolution("torch_prepacked", *_LIBRARY, channels_last=True, prepacked=True),
    _TorchTransposed("torch_transposed", *_LIBRARY, _BOTH),
    _TorchTransposed("torch_transposed_channels_last", *_LIBRARY, _BOTH, channels_last=True),
)

BLOCK_CONTENDERS = (
    _TorchBlock(NCHW, *_LIBRARY),
    _TorchBlock(CHANNELS_LAST, *_LIBRARY, channels_last=True),
)
