"""What an algorithm is: what it is bound to, what it packs, and what the rest of the project asks of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernels.costs.amounts import Amounts, no_amounts
from kernels.epilogue import Epilogue
from kernels.machine.workspace import workspace_bytes
from kernels.problem import Conv2dProblem, UnsupportedProblem

__all__ = ["Algorithm", "Packed", "Packing", "Run", "Scratch", "Setup", "weight_elements"]

#: Arrays that weights and biases are packed to; only the algorithm knows their layout.
Packed = tuple[Any, ...]
#: Shapes of the arrays of scratch, by name.
Scratch = Mapping[str, tuple[int, ...]]
#: ``run(src, dst, residual)``: convolves; see `Algorithm.bind`.
Run = Callable[[np.ndarray, np.ndarray, np.ndarray], None]


@dataclass(frozen=True)
class Setup:
    """What stays the same from one run to the next.

    Attributes
    ----------
    problem : Conv2dProblem
    packed : Packed
        Of the weights and biases.
    epilogue : Epilogue
    scratch : mapping of name to ndarray
        What ``scratch`` asked for, of ``problem.dtype``, each array on a cache line of its own.
    threads : int
    """

    problem: Conv2dProblem
    packed: Packed
    epilogue: Epilogue
    scratch: Mapping[str, np.ndarray]
    threads: int


@dataclass(frozen=True)
class Packing:
    """Packs weights and biases, as often as it is called.

    Attributes
    ----------
    packed : Packed
        What it packs to. It does not depend on the number of threads.
    weights, biases : callable
        Pack weights (oc, ic // g, kh, kw) and biases (oc,), both C-contiguous.
    unscaled : callable, optional
        Packs weights as a linear function of them, if ``weights`` brings them into range before.
    """

    packed: Packed
    weights: Callable[[np.ndarray], None]
    biases: Callable[[np.ndarray], None]
    unscaled: Callable[[np.ndarray], None] | None = None

    @property
    def nbytes(self) -> int:
        """What the packed arrays take."""
        return sum(each.nbytes for each in self.packed if isinstance(each, np.ndarray))

    def __call__(self, wei: np.ndarray, bia: np.ndarray) -> Packed:
        """Pack; biases are zeros if the problem has none."""
        self.weights(wei)
        self.biases(bia)
        return self.packed

    def linearly(self, wei: np.ndarray, bia: np.ndarray) -> Packed:
        """Pack so that sums of weights are packed to sums of what each is packed to."""
        (self.unscaled or self.weights)(wei)
        self.biases(bia)
        return self.packed


def weight_elements(problem: Conv2dProblem) -> float:
    """How many weights there are; they are packed as they are, by default."""
    return float(math.prod(problem.weight_shape))


@dataclass(frozen=True)
class Algorithm:
    """One way to compute a convolution.

    Attributes
    ----------
    name, family : str
        Unique name, and the family (one file) that it belongs to.
    summary : str
        One line for people.
    bind : callable
        ``bind(setup) -> run``: all that is done once. ``run(src, dst, residual)`` then is the
        timed path. Its arrays are C-contiguous and of ``problem.dtype``: ``src (mb, ic, ih, iw)``,
        ``dst`` and ``residual (mb, oc, oh, ow)``, which do not overlap; if the epilogue adds no
        residual, ``dst`` stands in for it. Backward data, ``src`` is the gradient of the output, and ``dst`` that of
        the input. Backward weights, ``residual`` is the gradient of the output, nothing is packed, and ``dst`` is
        of ``problem.result_shape``. Writes every byte of ``dst``, allocates nothing, and
        gives the same bits for any number of threads.
    unsupported : callable
        ``unsupported(problem) -> str | None``: why the problem is refused.
    packing : callable
        ``packing(problem, threads) -> Packing``: arrays for packed weights, and what packs into them; copies of
        weights and biases by default, and nothing backward weights.
    scratch : callable
        ``scratch(problem, threads) -> Scratch``: the arrays that ``run`` writes to beside ``dst``.
    amounts : callable
        ``amounts(problem, threads) -> Amounts | None``: what a call does, for `kernels.select` to compare;
        without it ``"auto"`` takes the algorithm only where it was measured.
    packing_elements : callable
        ``packing_elements(problem) -> float``: elements that weights are packed to, those that take longer than a
        copied one counted as often; what packing takes, for `kernels.select` to add to single calls.
    error_factor : float
        The promise on accuracy: on normal values the relative L2 error is at most this many times
        `kernels.error_unit`, and on others at most this many times NumPy's own error, if that is more.
    exact_on_integers : bool
        Whether integer-valued inputs with sums below 2**24 give the exact result.
    window_only : bool
        Whether each output depends on its own window of the input alone. A transform computes outputs in tiles: what
        is huge, infinite or NaN in the window of one spoils those beside it.
    directions : tuple of str
        What it computes, of `kernels.problem.DIRECTIONS`.
    companion : str
        Backward data, the algorithm of the parts of a gradient that this one refuses; empty for none.
    """

    name: str
    family: str
    summary: str
    bind: Callable[[Setup], Run]
    unsupported: Callable[[Conv2dProblem], str | None]
    packing: Callable[[Conv2dProblem, int], Packing]
    scratch: Callable[[Conv2dProblem, int], Scratch]
    error_factor: float
    exact_on_integers: bool
    amounts: Callable[[Conv2dProblem, int], Amounts | None] = no_amounts
    packing_elements: Callable[[Conv2dProblem], float] = weight_elements
    window_only: bool = False
    directions: tuple[str, ...] = ("fwd", "bwd_d")
    companion: str = ""

    def prepare(self, problem: Conv2dProblem, wei: np.ndarray, bia: np.ndarray, threads: int = 1) -> Packed:
        """Weights and biases, packed to arrays of their own."""
        return self.packing(problem, threads)(wei, bia)

    def workspace_bytes(self, problem: Conv2dProblem, threads: int) -> int:
        """Bytes of scratch memory that one run of ``problem`` needs."""
        return workspace_bytes(self.scratch(problem, threads), problem.dtype)

    def require(self, problem: Conv2dProblem) -> None:
        """Raise `UnsupportedProblem` with the reason if ``problem`` is refused."""
        reason = self.unsupported(problem)
        if reason is not None:
            raise UnsupportedProblem(f"{self.name} does not support {problem}: {reason}")
