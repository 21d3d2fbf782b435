"""Our own algorithms, and the choice among them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kernels import Conv2dProblem, algorithms, conv2d, get_algorithm, plan
from suite.contenders.base import Contender, Own, Prepared
from suite.inputs import Inputs
from suite.verify import Standard

__all__ = ["OneCall", "Ours", "contenders"]


@dataclass(frozen=True)
class Ours(Own):
    """One algorithm of the registry, or ``"auto"``: whichever `kernels.plan` chooses."""

    @property
    def family(self) -> str:
        """The algorithm's family."""
        return "auto" if self.name == "auto" else get_algorithm(self.name).family

    def unsupported(self, problem: Conv2dProblem, threads: int = 1) -> str | None:
        """The algorithm's own reason."""
        return None if self.name == "auto" else get_algorithm(self.name).unsupported(problem)

    def prepare(self, problem: Conv2dProblem, inputs: Inputs, threads: int) -> Prepared:
        """Pack the weights; result and scratch are poisoned, so that what is not written shows."""
        bound = plan(problem, inputs.wei, inputs.bia, algorithm=self.name, threads=threads)
        bound.poison()
        dst = np.full(problem.output_shape, np.nan, problem.dtype)
        chosen = bound.algorithm.name if self.name == "auto" else ""
        return Prepared(lambda: bound(inputs.src, out=dst), lambda result: result, chosen, bound.workspace_bytes)

    def standard(self, problem: Conv2dProblem, chosen: str) -> Standard:
        """What the algorithm promises at its registration."""
        return Standard.of(get_algorithm(chosen or self.name))


@dataclass(frozen=True)
class OneCall(Own):
    """`kernels.conv2d`, as a user calls it who prepares nothing: each call checks, chooses and packs."""

    family = "one_call"
    apart = True

    def unsupported(self, problem: Conv2dProblem, threads: int = 1) -> str | None:
        """Nothing: "auto" takes everything."""
        return None

    def prepare(self, problem: Conv2dProblem, inputs: Inputs, threads: int) -> Prepared:
        """Nothing; the result is poisoned. Padding that is not the same on both sides is a copy in each call."""
        p, dst = problem, np.full(problem.output_shape, np.nan, problem.dtype)
        is_even = (p.pb, p.pr) == (p.ph, p.pw)
        numbers = (p.sh, p.sw), (p.ph, p.pw) if is_even else 0, (p.dh, p.dw), p.g

        def padded() -> np.ndarray:
            whole = np.zeros((p.mb, p.ic, *p.padded_shape), p.dtype)
            whole[:, :, p.ph : p.ph + p.ih, p.pw : p.pw + p.iw] = inputs.src
            return whole

        def call() -> np.ndarray:
            src = inputs.src if is_even else padded()
            return conv2d(src, inputs.wei, inputs.bia, *numbers, threads=threads, out=dst)

        return Prepared(call, lambda result: result)

    def standard(self, problem: Conv2dProblem, chosen: str) -> Standard:
        """That of the algorithm that promises least of those that may be chosen."""
        able = (each for each in algorithms() if each.unsupported(problem) is None)
        return Standard.of(max(able, key=lambda each: each.error_factor))


def contenders() -> tuple[Contender, ...]:
    """Every algorithm of the registry, ``"auto"``, and the plain function."""
    return *(Ours(each.name) for each in algorithms()), Ours("auto"), OneCall("one_call")
