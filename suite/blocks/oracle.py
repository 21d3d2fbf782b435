"""The oracle of blocks: a block in NumPy, in float64 the expected result and in float32 the unit of errors."""

from __future__ import annotations

import functools

import numpy as np

from kernels import conv2d_reference
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
from suite.blocks.inputs import BlockInputs, make_block_inputs
from suite.blocks.problem import Block
from suite.check.checker import LEAST_ERROR, Check, Expected
from suite.check.tolerance import Tolerance

__all__ = ["BlockOracle", "block_reference"]


def block_reference(graph: Graph, inputs: BlockInputs, dtype: str = "float64") -> list[np.ndarray]:
    """Compute a block node by node.

    Parameters
    ----------
    graph : Graph
    inputs : BlockInputs
    dtype : {"float64", "float32"}
        Precision of everything.

    Returns
    -------
    list of ndarray
        The outputs, of ``dtype``.
    """
    state = {name: array.astype(dtype) for name, array in inputs.state.items()}
    values = {INPUT: inputs.src.astype(dtype)}
    for node, dead in zip(graph.nodes, graph.last_uses, strict=True):
        values[node.result] = _computed(node, values, state, dtype)
        for name in dead:
            del values[name]
    return [values[name] for name in graph.outputs]


def _computed(node: Node, values: dict[str, np.ndarray], state: dict[str, np.ndarray], dtype: str) -> np.ndarray:
    src = values[node.src]
    result: np.ndarray
    match node:
        case Conv():
            result = conv2d_reference(node.problem, src, state[node.weight], dtype=dtype)
        case ConvOfEach():
            one = node.problem.replace(mb=1)
            weights, biases = values[node.weight], values[node.bias]
            result = np.concatenate(
                [
                    conv2d_reference(one, src[n : n + 1], wei, bia, dtype)
                    for n, (wei, bia) in enumerate(zip(weights, biases, strict=True))
                ]
            )
        case BatchNorm():
            weight, bias, mean, variance = (
                state[f"{node.layer}.{name}"].reshape(-1, 1, 1)
                for name in ("weight", "bias", "running_mean", "running_var")
            )
            result = (src - mean) / np.sqrt(variance + src.dtype.type(EPSILON)) * weight + bias
        case Activate():
            result = np.where(src < 0, src.dtype.type(node.slope) * src, src)
        case MaxPool():
            result = _largest(src, node)
        case Add():
            result = src + values[node.other]
        case GlobalMean():
            result = src.mean(axis=(2, 3))
        case Linear():
            result = src @ state[f"{node.layer}.weight"].T + state[f"{node.layer}.bias"]
        case Sigmoid():
            result = 1 / (1 + np.exp(-src))
        case Mix():
            result = np.tensordot(src, state[node.experts], 1)
        case _:
            raise TypeError(f"node is {node!r}, expected one of suite.blocks.graph")
    return result


def _largest(src: np.ndarray, pool: MaxPool) -> np.ndarray:
    around = ((0, 0), (0, 0), (pool.pad, pool.pad), (pool.pad, pool.pad))
    padded = np.pad(src, around, constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (pool.size, pool.size), (2, 3))
    largest: np.ndarray = windows[:, :, :: pool.stride, :: pool.stride].max(axis=(4, 5))
    return largest


class BlockOracle:
    """The expected outputs of one block; what `suite.check.checker.Oracle` is to a convolution.

    Parameters
    ----------
    block : Block

    Attributes
    ----------
    fills : tuple of str
        Normal values only: a batch norm leaves no number whole.
    """

    fills = ("normal",)

    def __init__(self, block: Block) -> None:
        self.block = block

    @functools.cached_property
    def expected(self) -> tuple[Expected, ...]:
        """Of every output."""
        exact = block_reference(self.block.graph, make_block_inputs(self.block))
        return tuple(Expected(each) for each in exact)

    @functools.cached_property
    def numpy_error(self) -> float:
        """Relative L2 error of NumPy's float32, the largest of all outputs; one rounding at least."""
        found = block_reference(self.block.graph, make_block_inputs(self.block), "float32")
        errors = [expected.errors(array).relative for expected, array in zip(self.expected, found, strict=True)]
        return max(*errors, LEAST_ERROR["float32"])

    @property
    def most_bytes(self) -> int:
        """Bytes that it holds once it was asked."""
        return 8 * sum(int(np.prod(self.block.graph.shapes[name])) for name in self.block.graph.outputs)

    def compare(self, tolerance: Tolerance, fill: str, dst: np.ndarray) -> Check:
        """Check what was computed of `make_block_inputs`: every output, joined as `Graph.joined` does.

        The check's error is that of the worst output.
        """
        graph = self.block.graph
        if dst.shape != graph.joined_shape:
            return Check("wrong", float("nan"), f"result has shape {dst.shape}, expected {graph.joined_shape}")
        limit = tolerance.rel_error
        if limit is None:
            assert tolerance.error_factor is not None
            limit = tolerance.error_factor * self.numpy_error
        checks = [
            expected.within(array, limit) for expected, array in zip(self.expected, graph.split(dst), strict=True)
        ]
        wrong = [each for each in checks if each.status != "ok"]
        return wrong[0] if wrong else max(checks, key=lambda check: check.rel_error)
