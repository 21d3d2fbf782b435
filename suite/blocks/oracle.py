"""A block in NumPy: slow, plain, in float64 the judge of all others and in float32 their yardstick."""

from __future__ import annotations

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
from suite.blocks.inputs import BlockInputs

__all__ = ["block_reference"]


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
    match node:
        case Conv():
            return conv2d_reference(node.problem, src, state[node.weight], dtype=dtype)
        case ConvOfEach():
            one = node.problem.replace(mb=1)
            weights, biases = values[node.weight], values[node.bias]
            return np.concatenate(
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
            return (src - mean) / np.sqrt(variance + src.dtype.type(EPSILON)) * weight + bias
        case Activate():
            return np.where(src < 0, src.dtype.type(node.slope) * src, src)
        case MaxPool():
            return _largest(src, node)
        case Add():
            return src + values[node.other]
        case GlobalMean():
            return src.mean(axis=(2, 3))
        case Linear():
            return src @ state[f"{node.layer}.weight"].T + state[f"{node.layer}.bias"]
        case Sigmoid():
            return 1 / (1 + np.exp(-src))
        case Mix():
            return np.tensordot(src, state[node.experts], 1)
    raise TypeError(f"node is {node!r}, expected one of suite.blocks.graph")


def _largest(src: np.ndarray, pool: MaxPool) -> np.ndarray:
    around = ((0, 0), (0, 0), (pool.pad, pool.pad), (pool.pad, pool.pad))
    padded = np.pad(src, around, constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (pool.size, pool.size), (2, 3))
    return windows[:, :, :: pool.stride, :: pool.stride].max(axis=(4, 5))
