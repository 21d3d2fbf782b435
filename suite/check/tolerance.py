"""Tolerances: what a contender's results are held to.

Apart from the checker, because a process that times old kernels has what they promise and no oracle.
"""

from __future__ import annotations

from dataclasses import dataclass

from kernels import Algorithm

__all__ = ["Tolerance"]


@dataclass(frozen=True)
class Tolerance:
    """What a contender's results are held to.

    Attributes
    ----------
    integers : {"exact", "rounded", ""}
        How results on whole numbers must agree; empty if they are not asked for.
    error_factor : float or None
        Largest error on normal values, in `kernels.error_unit` ...
    rel_error : float or None
        ... or, if that is None, as a relative L2 error itself.
    """

    integers: str = ""
    error_factor: float | None = None
    rel_error: float | None = None

    @classmethod
    def of(cls, algorithm: Algorithm) -> Tolerance:
        """What an algorithm promises at its registration."""
        return cls("exact" if algorithm.exact_on_integers else "rounded", algorithm.error_factor)
