"""Plans that single calls of `conv2d` share: found by shapes and arguments, never by an array.

A call packs the weights that it is given. What does not depend on them is kept from call to call, shape by shape: the
problem, the choice of an algorithm by the time of a whole call, and plans that are not in use, with the memory that
weights are packed to and scratch. A plan serves one call at a time: calls that overlap, from several Python threads,
have a plan each, of which those that are idle later count among the others.

The least recently used shapes go once there are too many of them, or their idle plans take too much memory.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock

import numpy as np

from kernels.plan import Plan
from kernels.problem import Conv2dProblem
from kernels.select import choice_of

__all__ = ["OneCalls", "Shape"]


class Shape:
    """What is known of calls of one shape.

    Attributes
    ----------
    problem : Conv2dProblem or None
        None if the result is empty.
    output_shape : tuple of int
    idle : list of Plan
        Plans that no call uses.
    """

    __slots__ = ("_choice", "_threads", "idle", "output_shape", "problem")

    def __init__(
        self,
        problem: Conv2dProblem | None,
        output_shape: tuple[int, ...],
        algorithm: str,
        threads: int,
        max_error: float | None,
        max_workspace: int | None,
    ) -> None:
        self.problem, self.output_shape = problem, output_shape
        self.idle: list[Plan] = []
        if problem is None:
            return
        self._choice, self._threads = choice_of(algorithm, problem, threads, max_error, max_workspace, packing=True)

    def plan(self, weight: np.ndarray, bias: np.ndarray | None) -> Plan:
        """A new plan."""
        assert self.problem is not None
        return Plan(self.problem, self._choice, weight, bias, self._threads, repackable=True)


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
        self.clear()
        # A fork while another thread holds the lock would leave it locked in the child.
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.clear)

    def clear(self) -> None:
        """Forget all shapes."""
        self._lock = Lock()
        self._shapes: OrderedDict[Hashable, Shape] = OrderedDict()
        self.nbytes = 0

    def __len__(self) -> int:
        return len(self._shapes)

    def take(
        self, key: Hashable, make: Callable[[], Shape], weight: np.ndarray, bias: np.ndarray | None
    ) -> tuple[Shape, Plan | None]:
        """The shape under ``key``, made if there is none, and a plan of these weights that no other call uses.

        There is no plan if the result is empty.
        """
        bound = None
        with self._lock:
            shape = self._shapes.get(key)
            if shape is not None:
                self._shapes.move_to_end(key)
                if shape.idle:
                    bound = shape.idle.pop()
                    self.nbytes -= bound.nbytes
        if bound is not None:
            bound.repack(weight, bias)
            return shape, bound  # type: ignore[return-value]
        if shape is None:
            made = make()
            with self._lock:
                shape = self._shapes.setdefault(key, made)
                while len(self._shapes) > self._most_shapes:
                    self._drop()
        return shape, None if shape.problem is None else shape.plan(weight, bias)

    def give(self, key: Hashable, shape: Shape, bound: Plan) -> None:
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
        # Nobody finds what is given back to it.
        oldest.idle = []
