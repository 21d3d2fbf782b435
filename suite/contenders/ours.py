"""Our own algorithms, and the choice among them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kernels import Conv2dProblem, algorithms, get_algorithm, plan
from suite.contenders.base import Contender, Own, Prepared
from suite.inputs import Inputs
from suite.verify import Standard

__all__ = ["Ours", "contenders"]


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


def contenders() -> tuple[Contender, ...]:
    """Every algorithm of the registry, and ``"auto"``."""
    return *(Ours(each.name) for each in algorithms()), Ours("auto")
