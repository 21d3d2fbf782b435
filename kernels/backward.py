"""Gradients of a layer's input, weights and bias, by plans that the layer keeps."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from kernels.arguments import Asked, as_array
from kernels.border import Border
from kernels.errors import DtypeError
from kernels.geometry import Described, check_gradient
from kernels.machine.threads import resolve
from kernels.plan import BackwardWeightsPlan, Plan
from kernels.problem import Conv2dProblem
from kernels.recent import Recent, Same
from kernels.registry import get_algorithm
from kernels.select import choice_of

__all__ = ["Gradients", "PlanOf", "gradients_of_convolution", "gradients_of_transposed", "known_gradient", "plan_of"]


class Gradients(NamedTuple):
    """What `backward` of a layer returns.

    Attributes
    ----------
    input, weight : ndarray
        Of the shapes of the layer's.
    bias : ndarray or None
        None if the layer has no bias.
    """

    input: np.ndarray
    weight: np.ndarray
    bias: np.ndarray | None


#: ``plan_of(problem, weight)``: a plan of weights, or of backward weights if there are none.
PlanOf = Callable[[Conv2dProblem, np.ndarray | None], Plan | BackwardWeightsPlan]


def plan_of(plans: Recent[Plan | BackwardWeightsPlan], asked: Asked) -> PlanOf:
    """What finds plans of gradients among those that a layer keeps, or makes them.

    The algorithm that the layer asks for is taken if it computes the gradient, and else ``"auto"``.
    """

    def found(p: Conv2dProblem, wei: np.ndarray | None) -> Plan | BackwardWeightsPlan:
        most = resolve(asked.threads)
        key = p, Same(wei), asked.algorithm, most, asked.budgets
        known = plans.get(key)
        if known is None:
            is_able = asked.algorithm == "auto" or get_algorithm(asked.algorithm).unsupported(p) is None
            choice, threads = choice_of(asked.algorithm if is_able else "auto", p, most, asked.budgets)
            made = BackwardWeightsPlan(p, choice, threads) if wei is None else Plan(p, choice, wei, None, threads)
            known = plans.keep(key, made, made.nbytes)
        return known

    return found


def known_gradient(grad_output: object, described: Described, dtype: np.dtype) -> np.ndarray:
    """The gradient of an output, checked.

    Raises
    ------
    ShapeError, DtypeError, ArgumentError
        It is of another shape or dtype than the output, or no array.
    """
    grad = as_array("grad_output", grad_output, "backward")
    check_gradient(grad, described)
    if grad.dtype != dtype:
        raise DtypeError(f"grad_output has dtype {grad.dtype}, expected {dtype}")
    return np.ascontiguousarray(grad)


def gradients_of_convolution(
    found: PlanOf, described: Described, src: np.ndarray, wei: np.ndarray, has_bias: bool, grad: np.ndarray
) -> Gradients:
    """Gradients of a convolution of ``src`` with ``wei``.

    Parameters
    ----------
    found : callable
        See `plan_of`.
    described : Described
        Of the forward convolution.
    src, wei, grad : ndarray
        Input, weights and gradient of the output, of the layer's dtype.
    has_bias : bool
    """
    p, _, border = described
    if p is None:
        return Gradients(
            np.zeros_like(src), np.zeros_like(wei), np.zeros(wei.shape[0], wei.dtype) if has_bias else None
        )
    given = np.ascontiguousarray(src) if border is None else border(src)
    of_input: np.ndarray = np.empty(p.input_shape, p.dtype)
    found(p.replace(direction="bwd_d", bias=False), wei).run(grad, of_input, of_input)
    of_weights = p.replace(direction="bwd_w")
    sums = np.empty(of_weights.result_shape, p.dtype)
    found(of_weights, None).run(given, sums, grad)
    rows = sums.reshape(-1)
    of_input = of_input.reshape(given.shape)
    return Gradients(
        border.folded(of_input) if isinstance(border, Border) else of_input,
        rows[: wei.size].reshape(wei.shape),
        rows[wei.size :] if has_bias else None,
    )


def gradients_of_transposed(
    found: PlanOf, described: Described, src: np.ndarray, wei: np.ndarray, has_bias: bool, grad: np.ndarray
) -> Gradients:
    """Gradients of a transposed convolution; parameters as for `gradients_of_convolution`.

    That of its input is a convolution of ``grad``, and that of its weights has the part of input and of gradient
    exchanged.
    """
    p, _, border = described
    of_bias = None
    if has_bias:
        axes = tuple(axis for axis in range(grad.ndim) if axis != grad.ndim - 3)
        of_bias = grad.sum(axes, dtype=np.float64).astype(grad.dtype)
    if p is None:
        return Gradients(np.zeros_like(src), np.zeros_like(wei), of_bias)
    given = np.ascontiguousarray(src) if border is None else border(src)
    of_input = np.empty(p.output_shape, p.dtype)
    found(p.replace(direction="fwd", bias=False), wei).run(grad, of_input, of_input)
    of_weights = np.empty(p.weight_shape, p.dtype)
    found(p.replace(direction="bwd_w", bias=False), None).run(grad, of_weights, given)
    # Rows and columns that were put behind the input are none of it.
    inside = of_input.reshape(given.shape)[..., : src.shape[-2], : src.shape[-1]]
    return Gradients(np.ascontiguousarray(inside), of_weights, of_bias)
