"""What a convolution takes of memory: its arrays, and what a plan holds beside them."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

from kernels.machine import threads as threading
from kernels.problem import Conv2dProblem
from kernels.registry import get_algorithm

__all__ = ["Memory", "memory_of"]


class Memory(NamedTuple):
    """Bytes that one convolution takes.

    Attributes
    ----------
    input_bytes, output_bytes : int
        The arrays that are read and written.
    weight_bytes : int
        Weights as their user has them, and the bias. Backward weights: the gradient of the output.
    packed_bytes : int
        Weights as a plan holds them, as long as it lives; 0 where it uses the user's.
    workspace_bytes : int
        Scratch memory of a plan. Its contents are of no use between two calls.
    """

    input_bytes: int
    output_bytes: int
    weight_bytes: int
    packed_bytes: int
    workspace_bytes: int

    @property
    def activation_bytes(self) -> int:
        """Input and output together: they are there at the same time."""
        return self.input_bytes + self.output_bytes


def memory_of(problem: Conv2dProblem, algorithm: str, threads: int | None = None) -> Memory:
    """What a plan of ``problem`` takes, without making one.

    Arrays for packed weights are made, which nothing is written to.

    Parameters
    ----------
    problem : Conv2dProblem
    algorithm : str
        A name from `algorithms`.
    threads : int, optional
        Defaults to every core that Numba may use; each has scratch of its own.

    Returns
    -------
    Memory

    Raises
    ------
    UnknownAlgorithm, UnsupportedProblem
        There is no such algorithm, or it refuses the problem.
    ValueError
        ``threads`` is out of range.
    """
    chosen = get_algorithm(algorithm)
    chosen.require(problem)
    source, weights, result = (
        problem.itemsize * math.prod(shape) for shape in (*problem.operand_shapes, problem.result_shape)
    )
    added = math.prod(problem.bias_shape) if problem.bias and problem.direction != "bwd_w" else 0
    return Memory(
        source,
        result,
        weights + problem.itemsize * added,
        _packed_bytes(problem, algorithm),
        chosen.workspace_bytes(problem, threading.resolve(threads)),
    )


@functools.lru_cache(maxsize=1024)
def _packed_bytes(problem: Conv2dProblem, algorithm: str) -> int:
    return get_algorithm(algorithm).packing(problem, 1).nbytes
