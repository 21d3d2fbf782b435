"""The rates that amounts of work are divided by."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["REFERENCE", "Limits"]


class Limits(NamedTuple):
    """What one core of a machine does in a second, and what all of them share.

    Attributes
    ----------
    cycles_per_s : float
        Clock.
    fma_per_s : float
        Multiply-adds of whole vectors.
    memory_bytes_per_s : float
        Between memory and one core.
    """

    cycles_per_s: float
    fma_per_s: float
    memory_bytes_per_s: float

    @classmethod
    def measured(cls, fma_per_s: float, memory_bytes_per_s: float) -> Limits:
        """From what can be measured: a core starts one multiply-add a cycle, or two."""
        return cls(fma_per_s if fma_per_s < _FASTEST_CLOCK else fma_per_s / 2, fma_per_s, memory_bytes_per_s)


#: No clock is faster.
_FASTEST_CLOCK = 6.2e9

#: The machine that `kernels.costs.table` was fitted on: Zen 4, 512 bits a vector, one multiply-add a cycle.
REFERENCE = Limits(3.67e9, 3.67e9, 31e9)
