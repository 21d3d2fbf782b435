"""A block as a graph: nodes that compute a value of others each, and the shapes of values and weights.

What computes a block goes through its nodes in order and needs nothing else of it: the
oracle, the peers and the model that is written for ONNX are made of the same graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kernels import Conv2dProblem

__all__ = [
    "EPSILON",
    "INPUT",
    "Activate",
    "Add",
    "BatchNorm",
    "Conv",
    "ConvOfEach",
    "GlobalMean",
    "Graph",
    "Linear",
    "MaxPool",
    "Mix",
    "Node",
    "Shape",
    "Sigmoid",
]

#: Name of a graph's input value.
INPUT = "input"

#: What batch norm adds to variances.
EPSILON = 1e-5

#: Shape of a value or of weights.
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Node:
    """Computes the value ``result``; ``src`` is the value that it is computed of."""

    result: str
    src: str

    @property
    def sources(self) -> tuple[str, ...]:
        """All values that it reads."""
        return (self.src,)


@dataclass(frozen=True)
class Conv(Node):
    """A convolution without bias; ``weight`` names its weights."""

    weight: str
    problem: Conv2dProblem


@dataclass(frozen=True)
class ConvOfEach(Node):
    """A convolution of every sample with weights and a bias of its own, which are values.

    Their shapes are ``(mb, oc, ic // g, kh, kw)`` and ``(mb, oc)``.
    """

    weight: str
    bias: str
    problem: Conv2dProblem

    @property
    def sources(self) -> tuple[str, ...]:
        """All values that it reads."""
        return self.src, self.weight, self.bias


@dataclass(frozen=True)
class BatchNorm(Node):
    """Batch norm in inference; ``layer`` names it before torch's ``.weight``, ``.bias``, ``.running_mean``, ..."""

    layer: str


@dataclass(frozen=True)
class Activate(Node):
    """Negative values times ``slope``: ReLU if that is 0."""

    slope: float


@dataclass(frozen=True)
class MaxPool(Node):
    """The largest of windows of ``size`` by ``size``; what ``pad`` adds around is never the largest."""

    size: int
    stride: int
    pad: int


@dataclass(frozen=True)
class Add(Node):
    """The sum of two values."""

    other: str

    @property
    def sources(self) -> tuple[str, ...]:
        """All values that it reads."""
        return self.src, self.other


@dataclass(frozen=True)
class GlobalMean(Node):
    """The mean over all pixels: (N, C, H, W) to (N, C)."""


@dataclass(frozen=True)
class Linear(Node):
    """A linear layer with bias; ``layer`` names it."""

    layer: str


@dataclass(frozen=True)
class Sigmoid(Node):
    """1 / (1 + exp(-x))."""


@dataclass(frozen=True)
class Mix(Node):
    """Mixes experts, whose name is ``experts``, for each sample: (N, K) and (K, ...) to (N, ...)."""

    experts: str


@dataclass(frozen=True)
class Graph:
    """One block with every extent fixed.

    Attributes
    ----------
    nodes : tuple of Node
        Each after those that it reads.
    outputs : tuple of str
        Values that the block returns, in its order.
    shapes : dict
        Of every value, by its name.
    states : dict
        Shapes of weights and of what batch norm knows, by torch's names and in torch's order.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    shapes: dict[str, Shape]
    states: dict[str, Shape]

    @property
    def convolutions(self) -> tuple[Conv2dProblem, ...]:
        """The convolutions, in order."""
        return tuple(node.problem for node in self.nodes if isinstance(node, (Conv, ConvOfEach)))

    @property
    def last_uses(self) -> tuple[tuple[str, ...], ...]:
        """For each node, the values that are not needed any more once it is done."""
        last = {name: i for i, node in enumerate(self.nodes) for name in (node.result, *node.sources)}
        return tuple(
            tuple(name for name, at in last.items() if at == i and name not in self.outputs)
            for i in range(len(self.nodes))
        )

    @property
    def joined_shape(self) -> Shape:
        """Shape of what `joined` returns."""
        shapes = [self.shapes[name] for name in self.outputs]
        return shapes[0] if len(shapes) == 1 else (sum(int(np.prod(shape)) for shape in shapes),)

    def joined(self, outputs: Sequence[np.ndarray]) -> np.ndarray:
        """What a block returned as one array: of several, the elements one after the other."""
        return outputs[0] if len(self.outputs) == 1 else np.concatenate([each.ravel() for each in outputs])

    def split(self, joined: np.ndarray) -> list[np.ndarray]:
        """The inverse of `joined`, for an array of the right size; of a single output, the array as it is."""
        if len(self.outputs) == 1:
            return [joined]
        shapes = [self.shapes[name] for name in self.outputs]
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
        return [part.reshape(shape) for part, shape in zip(np.split(joined, ends[:-1]), shapes, strict=True)]
