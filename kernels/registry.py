"""The list of algorithms, and how one is added to it."""

from __future__ import annotations

import copyreg
import difflib
import functools
from collections.abc import Callable

import numpy as np

from kernels.backward_data import with_directions
from kernels.contract import Algorithm, Packed, Packing, Run, Scratch, Setup, weight_elements
from kernels.costs.amounts import Amounts, no_amounts
from kernels.problem import Conv2dProblem

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


class UnknownAlgorithm(ValueError):
    """No algorithm of that name is registered."""


_REGISTRY: dict[str, Algorithm] = {}


def _supports_everything(problem: Conv2dProblem) -> str | None:
    return None


def _copies(problem: Conv2dProblem, threads: int) -> Packing:
    if problem.direction == "bwd_w":
        # Both operands change from call to call.
        return Packing((), lambda wei: None, lambda bia: None)
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
    packing_elements: Callable[[Conv2dProblem], float] = weight_elements,
    window_only: bool = False,
    directions: tuple[str, ...] = ("fwd", "bwd_d"),
    companion: str = "",
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
        made = Algorithm(
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
            directions,
            companion,
        )
        _REGISTRY[name] = with_directions(made, get_algorithm)
        return bind

    return register


# Copied and pickled by name: there is one of each.
copyreg.pickle(Algorithm, lambda each: (get_algorithm, (each.name,)))


def algorithms(direction: str | None = None) -> tuple[Algorithm, ...]:
    """Registered algorithms, in order of registration.

    Parameters
    ----------
    direction : {"fwd", "bwd_d", "bwd_w"}, optional
        Those that compute it, instead of all.
    """
    return tuple(each for each in _REGISTRY.values() if direction is None or direction in each.directions)


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
