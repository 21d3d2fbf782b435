"""Small constant matrices times vectors of vectors, unrolled while their IR is emitted.

Two families stand on it: `kernels.algorithms.transform`, and filtering along one side alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, SupportsFloat

import numpy as np
from llvmlite import ir

from kernels.machine.ir import fma

__all__ = ["MatrixCodelet", "constant", "identity", "matrix_codelet"]

Value = Any  # an llvmlite value of vector type


@dataclass(frozen=True)
class MatrixCodelet:
    """A small constant matrix times a vector of vectors.

    Zeros cost nothing. Points +p and -p of a Cook-Toom transform share their arithmetic: two
    rows that agree in even columns and are opposite in odd ones are even + odd and even - odd;
    two columns that agree in even rows and are opposite in odd ones are read as their sum and
    their difference.
    """

    rows: tuple[tuple[float, ...], ...]
    #: Vectors a bundle, in and out.
    widths = (1, 1)

    @property
    def inputs(self) -> int:
        """Bundles read."""
        return len(self.rows[0])

    @property
    def outputs(self) -> int:
        """Bundles written."""
        return len(self.rows)

    def emit(self, builder: ir.IRBuilder, values: Sequence[Value]) -> list[Value]:
        """Emit the transform of ``values``."""
        rows, values = self._paired_columns(builder, list(values))
        outputs: dict[int, Value] = {}
        for i, row in enumerate(rows):
            if i in outputs:
                continue
            mirrored = _mirrored(row)
            later = range(i + 1, len(rows))
            twin = next((k for k in later if rows[k] == mirrored != row), None)
            if twin is None:
                outputs[i] = _dot(builder, row, values)
                continue
            even = _dot(builder, [0.0 if j % 2 else x for j, x in enumerate(row)], values)
            # The odd half by its leading coefficient, which the last step multiplies by.
            scale = next(x for x in reversed(row[1::2]) if x != 0.0)
            odd = _dot(builder, [x / scale if j % 2 else 0.0 for j, x in enumerate(row)], values)
            if scale in (1.0, -1.0):
                outputs[i], outputs[twin] = builder.fadd(even, odd), builder.fsub(even, odd)
                if scale < 0:
                    outputs[i], outputs[twin] = outputs[twin], outputs[i]
            else:
                outputs[i] = fma(builder, constant(odd, scale), odd, even)
                outputs[twin] = fma(builder, constant(odd, -scale), odd, even)
        return [outputs[i] for i in range(len(rows))]

    def _paired_columns(
        self, builder: ir.IRBuilder, values: list[Value]
    ) -> tuple[list[tuple[float, ...]], list[Value]]:
        """The matrix for sums and differences of the values of twin columns, and those."""
        columns = list(zip(*self.rows, strict=True))
        paired: set[int] = set()
        for j, column in enumerate(columns):
            mirrored = _mirrored(column)
            later = range(j + 1, len(columns))
            twin = next((k for k in later if k not in paired and columns[k] == mirrored), None)
            if j in paired or twin is None or len(column) < 2 or mirrored == column:
                continue
            paired |= {j, twin}
            values[j], values[twin] = builder.fadd(values[j], values[twin]), builder.fsub(values[j], values[twin])
            columns[j] = tuple(0.0 if i % 2 else x for i, x in enumerate(column))
            columns[twin] = tuple(x if i % 2 else 0.0 for i, x in enumerate(column))
        return list(zip(*columns, strict=True)), values


def matrix_codelet(matrix: Sequence[Sequence[SupportsFloat]] | np.ndarray) -> MatrixCodelet:
    """The codelet of a matrix."""
    return MatrixCodelet(tuple(tuple(map(float, row)) for row in matrix))


def identity(size: int) -> MatrixCodelet:
    """The codelet that changes nothing."""
    return matrix_codelet(np.eye(size))


def _mirrored(numbers: Sequence[float]) -> tuple[float, ...]:
    return tuple(-x if i % 2 else x for i, x in enumerate(numbers))


def _dot(builder: Any, row: Sequence[float], values: Sequence[Value]) -> Value:
    total = None
    # Coefficients of one first: the sum then starts without a multiplication.
    for x, value in sorted(zip(row, values, strict=True), key=lambda pair: pair[0] != 1.0):
        if x == 0.0:
            continue
        if total is None:
            total = value if x == 1.0 else builder.fmul(constant(value, x), value)
        elif x == 1.0:
            total = builder.fadd(total, value)
        elif x == -1.0:
            total = builder.fsub(total, value)
        else:
            total = fma(builder, constant(value, x), value, total)
    return constant(values[0], 0.0) if total is None else total


def constant(like: Value, x: float) -> ir.Constant:
    """A vector of a constant, of another vector's type."""
    return ir.Constant(like.type, [x] * like.type.count)
