"""Drawings of graphs: one method per node, which knows what shape comes of it and what weights it needs."""

from __future__ import annotations

from dataclasses import dataclass, field

from kernels import Conv2dProblem, ProblemError
from suite.blocks.graph import (
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
    Shape,
    Sigmoid,
)

__all__ = ["Drawing"]


@dataclass
class Drawing:
    """A graph that is being drawn: every method adds a node and returns the name of its value.

    Values are called by the layer that they are of, or by what is done and its number.
    """

    input_shape: Shape
    nodes: list[Node] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)
    states: dict[str, Shape] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.shapes[INPUT] = self.input_shape

    def graph(self, *outputs: str) -> Graph:
        """What was drawn."""
        return Graph(tuple(self.nodes), outputs, self.shapes, self.states)

    def conv(self, src: str, layer: str, oc: int, size: int, *, stride: int = 1, pad: int = 0, groups: int = 1) -> str:
        """See `Conv`."""
        problem = self._problem(src, oc, size, stride, pad, groups)
        self.states[f"{layer}.weight"] = problem.weight_shape
        return self._add(Conv(layer, src, f"{layer}.weight", problem), problem.output_shape)

    def conv_of_each(self, src: str, weight: str, bias: str, *, stride: int = 1, pad: int = 0) -> str:
        """See `ConvOfEach`."""
        _, oc, _, size, _ = self.shapes[weight]
        problem = self._problem(src, oc, size, stride, pad, 1)
        return self._add(ConvOfEach(self._name("conv"), src, weight, bias, problem), problem.output_shape)

    def batch_norm(self, src: str, layer: str) -> str:
        """See `BatchNorm`."""
        for name in ("weight", "bias", "running_mean", "running_var"):
            self.states[f"{layer}.{name}"] = self.shapes[src][1:2]
        return self._add(BatchNorm(layer, src, layer), self.shapes[src])

    def activate(self, src: str, slope: float = 0.0) -> str:
        """See `Activate`."""
        return self._add(Activate(self._name("relu"), src, slope), self.shapes[src])

    def max_pool(self, src: str, size: int, *, stride: int, pad: int = 0) -> str:
        """See `MaxPool`."""
        n, c, h, w = self.shapes[src]
        oh, ow = ((extent + 2 * pad - size) // stride + 1 for extent in (h, w))
        if min(oh, ow) < 1:
            raise ProblemError(f"map of {h}x{w} is max-pooled by {size}x{size}, expected a larger one")
        return self._add(MaxPool(self._name("pool"), src, size, stride, pad), (n, c, oh, ow))

    def add(self, src: str, other: str) -> str:
        """See `Add`."""
        return self._add(Add(self._name("sum"), src, other), self.shapes[src])

    def global_mean(self, src: str) -> str:
        """See `GlobalMean`."""
        return self._add(GlobalMean(self._name("mean"), src), self.shapes[src][:2])

    def linear(self, src: str, layer: str, out: int) -> str:
        """See `Linear`."""
        n, features = self.shapes[src]
        self.states |= {f"{layer}.weight": (out, features), f"{layer}.bias": (out,)}
        return self._add(Linear(layer, src, layer), (n, out))

    def sigmoid(self, src: str) -> str:
        """See `Sigmoid`."""
        return self._add(Sigmoid(self._name("sigmoid"), src), self.shapes[src])

    def mix(self, src: str, experts: str, shape: Shape) -> str:
        """See `Mix`; ``shape`` is that of one expert."""
        n, count = self.shapes[src]
        self.states[experts] = (count, *shape)
        return self._add(Mix(f"mixed_{experts}", src, experts), (n, *shape))

    def _problem(self, src: str, oc: int, size: int, stride: int, pad: int, groups: int) -> Conv2dProblem:
        mb, ic, ih, iw = self.shapes[src]
        return Conv2dProblem(
            mb=mb, ic=ic, ih=ih, iw=iw, oc=oc, kh=size, kw=size, sh=stride, sw=stride, ph=pad, pw=pad, g=groups
        )

    def _name(self, word: str) -> str:
        return f"{word}{1 + sum(name.startswith(word) for name in self.shapes)}"

    def _add(self, node: Node, shape: Shape) -> str:
        self.nodes.append(node)
        self.shapes[node.result] = shape
        return node.result
