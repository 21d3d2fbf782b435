"""Packed weights that are sums of packed weights.

Packing is linear in the weights, for every algorithm: layouts only move them, Winograd and Fourier
transforms are matrix products. So experts are packed once, and what a plan reads is a sum of what
they were packed to; nothing is packed when the plan is called.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kernels.blocks.experts.blend import blending
from kernels.machine.parallel import Launch
from kernels.plan import Plan
from kernels.problem import Conv2dProblem
from kernels.select import choose

__all__ = ["PackedExperts", "fastest_with_experts"]

#: Packed weights that are summed a second: measured 80 GB/s where experts stay in L3, 43 where not all do.
_BYTES_PER_S = 50e9


def fastest_with_experts(problem: Conv2dProblem, experts: int, threads: int, *, window_only: bool = False) -> str:
    """Name of the algorithm that takes least together with the sum of what ``experts`` were packed to.

    Transformed weights are several times as large: of many channels on small maps it takes longer
    to sum them than they save. (256 channels at 14x14, 4 experts: ``winograd_f4x3`` 0.65 + 1.09 ms,
    ``winograd_f2x3`` 0.96 + 0.31 ms.)
    """
    choice = choose(problem, threads, window_only=window_only)
    candidates = [each for each in choice.candidates if not each.refused]
    timed = [(each.measured_s, each.algorithm) for each in candidates if each.measured_s is not None]
    if not timed:
        timed = [(each.seconds, each.algorithm) for each in candidates if each.seconds is not None]
    least, best = float("inf"), choice.algorithm.name
    for seconds, algorithm in sorted(timed, key=lambda each: each[0]):
        if seconds >= least:
            break
        wei, bia = np.zeros(problem.weight_shape, problem.dtype), np.zeros(problem.oc, problem.dtype)
        packed = algorithm.prepare(problem, wei, bia, threads)
        size = sum(each.nbytes for each in packed if _is_sum(each))
        total = seconds + (experts + 1) * size / _BYTES_PER_S
        if total < least:
            least, best = total, algorithm.name
    return best


def _is_sum(packed_zeros: Any) -> bool:
    """Whether something that zero weights were packed to depends on weights: tables and rows of ones do not."""
    return isinstance(packed_zeros, np.ndarray) and packed_zeros.dtype.kind == "f" and not packed_zeros.any()


class PackedExperts:
    """The weights of a plan, as a sum of experts.

    Parameters
    ----------
    bound : Plan
        Made of weights and biases that are all zero and nobody else's; what it was packed to is written.
    weights : ndarray, shape (K, oc, ic // g, kh, kw)
    biases : ndarray, shape (K, oc)

    Raises
    ------
    ValueError
        What the algorithm packs weights to is no linear function of them.
    """

    def __init__(self, bound: Plan, weights: np.ndarray, biases: np.ndarray) -> None:
        p, biases = bound.problem, np.ascontiguousarray(biases, bound.problem.dtype)
        pairs = zip(weights, biases, strict=True)
        experts = [bound.algorithm.packing(p, bound.threads).linearly(wei, bia) for wei, bia in pairs]
        self._factors = np.zeros(len(weights), p.dtype)
        #: What sums a stack of arrays, the stack, and the sum.
        self._sums: list[tuple[Launch, np.ndarray, np.ndarray]] = []
        for target, *each in zip(bound.setup.packed, *experts, strict=True):
            if _is_sum(target):
                self._sums.append((blending(self._factors, target.size, bound.threads), np.stack(each), target))
            elif not all(_is_same(target, other) for other in each):
                raise ValueError(f"{bound.algorithm.name} packs weights not linearly, expected what sums are made of")

    def blend(self, factors: np.ndarray) -> None:
        """Give the plan the sum of experts times ``factors`` (K,)."""
        self._factors[:] = factors
        for launch, stack, target in self._sums:
            launch(stack, target, target)


def _is_same(one: Any, other: Any) -> bool:
    return np.array_equal(one, other) if isinstance(one, np.ndarray) else bool(one == other)
