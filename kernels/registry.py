"""What an algorithm is, and the list of those there are."""

from __future__ import annotations

import difflib
import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernels.costs.amounts import Amounts, no_amounts
from kernels.epilogue import Epilogue
from kernels.machine.workspace import workspace_bytes
from kernels.problem import Conv2dProblem, UnsupportedProblem

__all__ = [
    "Algorithm",
    "Packed",
    "Packing",
    "Run",
    "Scratch",
    "Setup",
    "UnknownAlgorithm",
    "algorithm",
    "algorithms",
    "get_algorithm",
]

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
    """

    packed: Packed
    weights: Callable[[np.ndarray], None]
    biases: Callable[[np.ndarray], None]

    @property
    def nbytes(self) -> int:
        """What the packed arrays take."""
        return sum(each.nbytes for each in self.packed if isinstance(each, np.ndarray))

    def __call__(self, wei: np.ndarray, bia: np.ndarray) -> Packed:
        """Pack; biases are zeros if the problem has none."""
        self.weights(wei)
        self.biases(bia)
        return self.packed


class UnknownAlgorithm(ValueError):
    """No algorithm of that name is registered."""


def _weights(problem: Conv2dProblem) -> float:
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
        ``dst`` and ``residual (mb, oc, oh, ow)``, which do not overlap; where the epilogue adds no
        residual, ``dst`` stands in for it. Writes every byte of ``dst``, allocates nothing, and
        gives the same bits for any number of threads.
    unsupported : callable
        ``unsupported(problem) -> str | None``: why the problem is refused.
    packing : callable
        ``packing(problem, threads) -> Packing``: arrays for packed weights, and what packs into them; copies of
        weights and biases by default.
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
    packing_elements: Callable[[Conv2dProblem], float] = _weights
    window_only: bool = False

    def __reduce__(self) -> tuple[Callable[[str], Algorithm], tuple[str]]:
        # Copied and pickled by name: there is one of each.
        return get_algorithm, (self.name,)

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


_REGISTRY: dict[str, Algorithm] = {}


def _supports_everything(problem: Conv2dProblem) -> str | None:
    return None


def _copies(problem: Conv2dProblem, threads: int) -> Packing:
    # What the user writes to the arrays later is none of a plan's.
    wei, bia = np.empty(problem.weight_shape, problem.dtype), np.empty(problem.oc, problem.dtype)
    return Packing((wei, bia), functools.partial(np.copyto, wei), functools.partial(np.copyto, bia))


def _no_scratch(problem: Conv2dProblem, threads: int) -> Scratch:
    return {}


def algorithm(
    name: str,
    *,
    family: str,
    error_factor: float,
    packing: Callable[[Conv2dProblem, int], Packing] = _copies,
    exact_on_integers: bool = False,
    unsupported: Callable[[Conv2dProblem], str | None] = _supports_everything,
    scratch: Callable[[Conv2dProblem, int], Scratch] = _no_scratch,
    amounts: Callable[[Conv2dProblem, int], Amounts | None] = no_amounts,
    packing_elements: Callable[[Conv2dProblem], float] = _weights,
    window_only: bool = False,
) -> Callable[[Callable[[Setup], Run]], Callable[[Setup], Run]]:
    """Register the decorated function, ``bind``, as an algorithm; see `Algorithm`.

    Raises
    ------
    ValueError
        The name is taken.
    """

    def register(bind: Callable[[Setup], Run]) -> Callable[[Setup], Run]:
        if name in _REGISTRY:
            raise ValueError(f"an algorithm named {name!r} is registered already, expected a new name")
        summary = (bind.__doc__ or "").strip().splitlines()[0] if bind.__doc__ else ""
        _REGISTRY[name] = Algorithm(
            name,
            family,
            summary,
            bind,
            unsupported,
            packing,
            scratch,
            error_factor,
            exact_on_integers,
            amounts,
            packing_elements,
            window_only,
        )
        return bind

    return register


def algorithms() -> tuple[Algorithm, ...]:
    """Every registered algorithm, in order of registration."""
    return tuple(_REGISTRY.values())


def get_algorithm(name: str) -> Algorithm:
    """The algorithm called ``name``.

    Raises
    ------
    UnknownAlgorithm
        There is none; the message suggests near matches.
    """
    try:
        return _REGISTRY[name]
    except (KeyError, TypeError):
        # Whatever is no string is near to none.
        near = difflib.get_close_matches(name, _REGISTRY, n=3) if isinstance(name, str) else []
        hint = f"did you mean {' or '.join(near)}?" if near else f"expected one of {', '.join(_REGISTRY)}"
        raise UnknownAlgorithm(f"unknown algorithm {name!r}, {hint}") from None
