"""What is known of convolutions of one shape: found by shapes and arguments, never by an array.

Functions, layers and blocks come in this way. What does not depend on weights is kept from call to call, shape by
shape: the problem, the border of a padding that is not of zeros, the choice of an algorithm, and plans that are not in
use, with the memory that weights are packed to and scratch. A single call packs the weights that it is given into one
of those. A plan serves one call at a time: calls that overlap, from several Python threads, have a plan each, of which
those that are idle later count among the others. Layers keep plans of their own.

The least recently used shapes go once there are too many of them, or their idle plans take too much memory.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

import numpy as np

from kernels.arguments import Asked, check_out
from kernels.geometry import Described, describe
from kernels.machine.threads import new_lock, resolve
from kernels.plan import BackwardWeightsPlan, Plan
from kernels.select import choice_of

__all__ = ["CALLS", "OneCalls", "Shape", "compute_once", "shape_of"]

AnyPlan = Plan | BackwardWeightsPlan


class Shape:
    """What is known of calls of one shape.

    Parameters
    ----------
    described : Described
    asked : Asked
        With a number of threads.
    packing : bool
        Whether each call packs its weights, so that it counts in the choice.

    Attributes
    ----------
    problem : Conv2dProblem or None
        None if the result is empty.
    output_shape : tuple of int
    idle : list of Plan
        Plans that no call uses.
    """

    __slots__ = ("_border", "_choice", "_threads", "idle", "output_shape", "problem")

    def __init__(self, described: Described, asked: Asked, *, packing: bool) -> None:
        self.problem, self.output_shape, self._border = described
        self.idle: list[AnyPlan] = []
        if self.problem is None:
            return
        self._choice, self._threads = choice_of(
            asked.algorithm, self.problem, resolve(asked.threads), asked.budgets, packing=packing
        )

    def source(self, src: np.ndarray) -> np.ndarray:
        """The input as a plan takes it: C-contiguous, with its border."""
        return np.ascontiguousarray(src) if self._border is None else self._border(src)

    def plan(self, weight: np.ndarray, bias: np.ndarray | None, *, repackable: bool = False) -> Plan:
        """A new plan, of another direction than backward weights."""
        assert self.problem is not None
        return Plan(self.problem, self._choice, weight, bias, self._threads, repackable=repackable)

    def plan_backward_weights(self) -> BackwardWeightsPlan:
        """A new plan of backward weights."""
        assert self.problem is not None
        return BackwardWeightsPlan(self.problem, self._choice, self._threads)


class OneCalls:
    """Shapes by key, of which the least recently used go.

    Parameters
    ----------
    most_shapes : int
    most_bytes : int
        What idle plans of all shapes take together at most.

    Attributes
    ----------
    nbytes : int
        What they take.
    """

    def __init__(self, most_shapes: int, most_bytes: int) -> None:
        self._most_shapes, self._most_bytes = most_shapes, most_bytes
        self._lock = new_lock()
        self._shapes: OrderedDict[Hashable, Shape] = OrderedDict()
        self.nbytes = 0

    def clear(self) -> None:
        """Forget all shapes."""
        with self._lock:
            self._shapes.clear()
            self.nbytes = 0

    def __len__(self) -> int:
        return len(self._shapes)

    def find(self, key: Hashable) -> Shape | None:
        """The shape under ``key``, if it is known."""
        with self._lock:
            shape = self._shapes.get(key)
            if shape is not None:
                self._shapes.move_to_end(key)
            return shape

    def keep(self, key: Hashable, made: Shape) -> Shape:
        """Keep what is known of a shape; another thread's that is there already is returned instead."""
        with self._lock:
            shape = self._shapes.setdefault(key, made)
            while len(self._shapes) > self._most_shapes:
                self._drop()
            return shape

    def take(self, shape: Shape) -> AnyPlan | None:
        """A plan that no other call uses, of any weights, if there is one."""
        if not shape.idle:
            return None
        with self._lock:
            if not shape.idle:
                return None
            bound = shape.idle.pop()
            self.nbytes -= bound.nbytes
            return bound

    def give(self, key: Hashable, shape: Shape, bound: AnyPlan) -> None:
        """Take back a plan, unless its shape went meanwhile; what was used longest ago goes for it."""
        with self._lock:
            if self._shapes.get(key) is not shape:
                return
            shape.idle.append(bound)
            self.nbytes += bound.nbytes
            while self.nbytes > self._most_bytes:
                self._drop()

    def _drop(self) -> None:
        _, oldest = self._shapes.popitem(last=False)
        self.nbytes -= sum(each.nbytes for each in oldest.idle)
        # What is given back to it later is found by no call.
        oldest.idle = []


#: Shapes of all calls, and bytes of plans that wait for the next single one.
CALLS = OneCalls(256, 128 * 2**20)


def shape_of(
    first: np.ndarray,
    second: np.ndarray,
    bia: np.ndarray | None,
    asked: Asked,
    *,
    packing: bool,
    how: Callable[[np.ndarray, np.ndarray, np.ndarray | None, Asked], Described] = describe,
) -> tuple[Hashable, Shape]:
    """What is known of a call, and the key that it is found by; checked and chosen the first time.

    Parameters
    ----------
    first, second, bia : ndarray
        Of which no element is read.
    asked : Asked
    packing : bool
        Whether each call packs its weights, so that it counts in the choice.
    how : callable
        Makes a problem of them; equal ones make the same.

    Raises
    ------
    ShapeError, DtypeError
        The first thing that torch would find, in its words.
    UnknownAlgorithm, UnsupportedProblem
        As `kernels.select.choice_of`.
    """
    most = resolve(asked.threads)
    key = (
        first.shape, second.shape, bia if bia is None else (bia.shape, bia.dtype.char), first.dtype.char,
        second.dtype.char, asked, most, packing, how,
    )  # fmt: skip
    known = CALLS.find(key)
    if known is None:
        known = CALLS.keep(key, Shape(how(first, second, bia, asked), asked, packing=packing))
    return key, known


def compute_once(
    known: tuple[Hashable, Shape],
    first: np.ndarray,
    second: np.ndarray,
    bia: np.ndarray | None,
    out: np.ndarray | None,
    names: tuple[str, str],
    function: str,
) -> np.ndarray:
    """Compute a call, by a plan of whichever call used one last.

    Parameters
    ----------
    known
        What `shape_of` found.
    first, second : ndarray
        As for `kernels.reference.conv2d_reference`.
    bia : ndarray or None
    out : ndarray or None
        What is written to, as the user gave it; None for a new array.
    names : pair of str
        What the operands are called in ``function``, whose name is in errors.

    Returns
    -------
    ndarray
        ``out``, or the new array.

    Raises
    ------
    ArgumentError, ShapeError, DtypeError
        The result cannot be written to ``out``.
    """
    key, shape = known
    if out is None:
        out = np.empty(shape.output_shape, first.dtype)
    else:
        inputs = {names[0]: first, names[1]: second, "bias": bia}
        check_out(out, shape.output_shape, first.dtype, inputs, function)
    if shape.problem is None:
        # Of no elements, or sums over none.
        out.fill(0)
    else:
        _compute(key, shape, shape.problem.direction, first, second, bia, out)
    return out


def _compute(
    key: Hashable,
    known: Shape,
    direction: str,
    first: np.ndarray,
    second: np.ndarray,
    bia: np.ndarray | None,
    out: np.ndarray,
) -> None:
    bound = CALLS.take(known)
    if direction == "bwd_w":
        bound = bound or known.plan_backward_weights()
        bound.run(known.source(first), out, np.ascontiguousarray(second))
    else:
        if bound is None:
            bound = known.plan(second, bia, repackable=True)
        else:
            assert isinstance(bound, Plan)
            bound.repack(second, bia)
        bound.run(known.source(first), out, out)
    CALLS.give(key, known, bound)
