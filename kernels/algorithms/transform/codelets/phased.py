"""One-dimensional transforms of tiles of a filter of stride 2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from kernels.machine.matrix_codelet import MatrixCodelet

__all__ = ["PhasedCodelet"]

Value = Any  # an llvmlite value of vector type


@dataclass(frozen=True)
class PhasedCodelet:
    """One matrix for even samples and one for odd ones, for a filter of stride 2.

    Results of the two alternate; of odd ones there may be fewer: then the last are even ones.
    """

    even: MatrixCodelet
    odd: MatrixCodelet
    #: Vectors a bundle, in and out.
    widths = (1, 1)

    @property
    def inputs(self) -> int:
        """Bundles read."""
        return self.even.inputs + self.odd.inputs

    @property
    def outputs(self) -> int:
        """Bundles written."""
        return self.even.outputs + self.odd.outputs

    def emit(self, builder: ir.IRBuilder, values: Sequence[Value]) -> list[Value]:
        """Emit the transform of ``values``."""
        even, odd = self.even.emit(builder, values[::2]), self.odd.emit(builder, values[1::2])
        pairs = [each for pair in zip(even, odd, strict=False) for each in pair]
        return pairs + even[len(odd) :]
