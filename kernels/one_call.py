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
    is_kept : bool
        Whether calls find it.
    """

    __slots__ = ("_border", "_choice", "_threads", "idle", "is_kept", "output_shape", "problem")

    def __init__(self, described: Described, asked: Asked, *, packing: bool) -> None:
        self.problem, self.output_shape, self._border = described
        self.idle: list[AnyPlan] = []
        self.is_kept = False
        if self.problem is None:
            return
        self._choice, self._threads = choice_of(
            asked.algorithm, self.problem, resolve(asked.threads), asked.budgets, packing=packing
        )

    def source(self, src: np.ndarray) -> np.ndarray:
        """The input as a plan takes it: C-contiguous, with its border."""
        if self._border is not None:
            return self._border(src)
        return src if src.flags.c_contiguous else np.ascontiguousarray(src)

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
        # The one that was used last, whose place need not be looked for.
        self._latest: Shape | None = None
        self.nbytes = 0

    def clear(self) -> None:
        """Forget all shapes."""
        with self._lock:
            while self._shapes:
                self._drop()

    def __len__(self) -> int:
        return len(self._shapes)

    def find(self, key: Hashable) -> Shape | None:
        """The shape under ``key``, if it is known."""
        with self._lock:
            shape = self._shapes.get(key)
            if shape is not None and shape is not self._latest:
                self._shapes.move_to_end(key)
                self._latest = shape
            return shape

    def keep(self, key: Hashable, made: Shape) -> Shape:
        """Keep what is known of a shape; another thread's that is there already is returned instead."""
        with self._lock:
            shape = self._latest = self._shapes.setdefault(key, made)
            self._shapes.move_to_end(key)
            shape.is_kept = True
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

    def give(self, shape: Shape, bound: AnyPlan) -> None:
        """Take back a plan, unless its shape went meanwhile; what was used longest ago goes for it."""
        with self._lock:
            if not shape.is_kept:
                return
            shape.idle.append(bound)
            self.nbytes += bound.nbytes
            while self.nbytes > self._most_bytes:
                self._drop()

    def _drop(self) -> None:
        _, oldest = self._shapes.popitem(last=False)
        self.nbytes -= sum(each.nbytes for each in oldest.idle)
        # What would be given back to it later is found by no call.
        oldest.idle, oldest.is_kept = [], False
        if oldest is self._latest:
            self._latest = None


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
) -> Shape:
    """What is known of a call; checked and chosen the first time.

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
    return known


def compute_once(
    shape: Shape,
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
    shape : Shape
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
    if out is None:
        out = np.empty(shape.output_shape, first.dtype)
    else:
        inputs = {names[0]: first, names[1]: second, "bias": bia}
        check_out(out, shape.output_shape, first.dtype, inputs, function)
    if shape.problem is None:
        # Of no elements, or sums over none.
        out.fill(0)
    else:
        _compute(shape, shape.problem.direction, first, second, bia, out)
    return out


def _compute(
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
    CALLS.give(known, bound)
