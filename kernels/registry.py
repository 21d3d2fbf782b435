"""What an algorithm is, and the list of those there are."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernels.problem import Conv2dProblem, UnsupportedProblem

__all__ = ["Algorithm", "UnknownAlgorithm", "algorithm", "algorithms", "get_algorithm"]

#: Arrays that ``prepare`` makes of the weights; only the algorithm knows their layout.
Packed = tuple[Any, ...]


class UnknownAlgorithm(ValueError):
    """No algorithm of that name is registered."""


@dataclass(frozen=True)
class Algorithm:
    """One way to compute a convolution.

    Attributes
    ----------
    name, family : str
        Unique name, and the family (one file) that it belongs to.
    summary : str
        One line for people.
    run : callable
        ``run(problem, packed, src, bia, dst, workspace, threads)``. Arrays are
        C-contiguous and of ``problem.dtype``: ``src (mb, ic, ih, iw)``, ``bia (oc,)``
        (zeros where the problem has none), ``dst (mb, oc, oh, ow)``; ``workspace`` is
        a 64-byte aligned uint8 array of ``workspace_bytes``. Writes every byte of
        ``dst``, allocates nothing, and gives the same bits for any ``threads``.
    unsupported : callable
        ``unsupported(problem) -> str | None``: why the problem is refused.
    prepare : callable
        ``prepare(problem, wei) -> Packed``: weights packed for ``run``; timed apart.
    workspace : callable
        ``workspace(problem, threads) -> int``: bytes of scratch that ``run`` needs.
    error_factor : float
        The promise on accuracy: relative L2 error against float64 at most this many
        times the error of NumPy's own arithmetic of the same precision.
    exact_on_integers : bool
        Whether integer-valued inputs with sums below 2**24 give the exact result.
    """

    name: str
    family: str
    summary: str
    run: Callable[..., None]
    unsupported: Callable[[Conv2dProblem], str | None]
    prepare: Callable[[Conv2dProblem, np.ndarray], Packed]
    workspace: Callable[[Conv2dProblem, int], int]
    error_factor: float
    exact_on_integers: bool

    def workspace_bytes(self, problem: Conv2dProblem, threads: int) -> int:
        """Bytes of scratch memory that one run of ``problem`` needs."""
        return self.workspace(problem, threads)

    def require(self, problem: Conv2dProblem) -> None:
        """Raise `UnsupportedProblem` with the reason if ``problem`` is refused."""
        reason = self.unsupported(problem)
        if reason is not None:
            raise UnsupportedProblem(f"{self.name} does not support {problem}: {reason}")


_REGISTRY: dict[str, Algorithm] = {}


def _supports_everything(problem: Conv2dProblem) -> str | None:
    return None


def _weights_as_they_are(problem: Conv2dProblem, wei: np.ndarray) -> Packed:
    return (wei,)


def _no_workspace(problem: Conv2dProblem, threads: int) -> int:
    return 0


def algorithm(
    name: str,
    *,
    family: str,
    error_factor: float,
    exact_on_integers: bool = False,
    unsupported: Callable[[Conv2dProblem], str | None] = _supports_everything,
    prepare: Callable[[Conv2dProblem, np.ndarray], Packed] = _weights_as_they_are,
    workspace: Callable[[Conv2dProblem, int], int] = _no_workspace,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register the decorated ``run`` function as an algorithm; see `Algorithm`.

    Raises
    ------
    ValueError
        The name is taken.
    """

    def register(run: Callable[..., None]) -> Callable[..., None]:
        if name in _REGISTRY:
            raise ValueError(f"an algorithm named {name!r} is registered already, expected a new name")
        summary = (run.__doc__ or "").strip().splitlines()[0] if run.__doc__ else ""
        _REGISTRY[name] = Algorithm(
            name, family, summary, run, unsupported, prepare, workspace, error_factor, exact_on_integers
        )
        return run

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
    except KeyError:
        near = difflib.get_close_matches(name, _REGISTRY, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"expected one of {', '.join(_REGISTRY)}"
        raise UnknownAlgorithm(f"unknown algorithm {name!r}, {hint}") from None
