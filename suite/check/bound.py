"""Plans of our own, bound to the arrays of a problem of any direction."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from kernels import Conv2dProblem, plan
from suite.check.inputs import Inputs, direction_of, result_shape_of

# Old commits, which the gate times, do not export them.
if TYPE_CHECKING:
    from kernels import BackwardWeightsPlan, Plan

__all__ = ["Bound", "bind", "use_plain_calls"]

_plain = False


def use_plain_calls() -> None:
    """Let all plans of this process be called with their arrays: old commits cannot be bound to them.

    The gate compares commits by what all of them have: a bound plan takes a microsecond less.
    """
    global _plain
    _plain = True


class Bound(NamedTuple):
    """A plan and its arrays.

    Attributes
    ----------
    plan : Plan or BackwardWeightsPlan
        Its scratch is poisoned, so that a read of what is not written shows.
    dst : ndarray
        The result, of NaN until it is computed.
    call : callable
        Computes it, into ``dst``, which it returns.
    """

    plan: Plan | BackwardWeightsPlan
    dst: np.ndarray
    call: Callable[[], np.ndarray]


def bind(problem: Conv2dProblem, inputs: Inputs, **asked: Any) -> Bound:
    """Plan a problem and pack what its direction packs.

    Parameters
    ----------
    problem : Conv2dProblem
    inputs : Inputs
    asked
        What `kernels.plan` takes beside weights and bias: ``algorithm``, ``threads``, budgets.
    """
    dst = np.full(result_shape_of(problem), np.nan, problem.dtype)
    if direction_of(problem) == "bwd_w":
        from kernels import plan_backward_weights

        gradient = plan_backward_weights(problem, **asked)
        gradient.poison()
        return Bound(gradient, dst, lambda: gradient(inputs.first, inputs.second, dst))
    bound = plan(problem, inputs.second, inputs.bia, **asked)
    bound.poison()
    return Bound(bound, dst, (lambda: bound(inputs.first, dst)) if _plain else bound.bind(inputs.first, dst))
