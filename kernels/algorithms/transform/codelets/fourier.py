"""Fourier transforms of powers of two points over vectors, unrolled while their IR is emitted.

Complex numbers are bundles of two vectors, real part first. Spectra of real data keep only
n / 2 + 1 bundles. Source of the recursions: radix-2 decimation in time (Cooley and Tukey,
1965) and its real-data form (Sorensen et al., "Real-Valued Fast Fourier Transform
Algorithms", 1987, section II).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from kernels.machine.ir import fma
from kernels.machine.matrix_codelet import constant

__all__ = ["FftCodelet"]

Value = Any  # an llvmlite value of vector type
Complex = tuple[Value, Value]


@dataclass(frozen=True)
class FftCodelet:
    """A Fourier transform of ``n`` points, n a power of two, without the factor 1 / n.

    ``kind`` is ``"r2c"`` (n real -> n / 2 + 1 complex), ``"c2r"`` (its inverse),
    ``"c2c"`` or ``"c2c_inverse"``.
    """

    n: int
    kind: str

    @property
    def widths(self) -> tuple[int, int]:
        """Vectors a bundle, in and out."""
        return {"r2c": (1, 2), "c2r": (2, 1)}.get(self.kind, (2, 2))

    @property
    def inputs(self) -> int:
        """Bundles read."""
        return self.n // 2 + 1 if self.kind == "c2r" else self.n

    @property
    def outputs(self) -> int:
        """Bundles written."""
        return self.n // 2 + 1 if self.kind == "r2c" else self.n

    def emit(self, builder: ir.IRBuilder, values: Sequence[Value]) -> list[Value]:
        """Emit the transform of ``values``."""
        if self.kind == "r2c":
            return [part for pair in _real_forward(builder, list(values)) for part in pair]
        pairs = list(zip(values[::2], values[1::2], strict=True))
        if self.kind == "c2r":
            return _real_inverse(builder, pairs)
        sign = 1 if self.kind == "c2c_inverse" else -1
        return [part for pair in _complex(builder, pairs, sign) for part in pair]


def _twiddle(builder: Any, value: Complex, turn: float) -> Complex:
    """Multiply by exp(2 pi i turn), a sixteenth at a time where that is cheap."""
    re, im = value
    eighth = turn % 1.0 * 8
    if eighth == 0:
        return value
    if eighth == 4:
        return builder.fneg(re), builder.fneg(im)
    if eighth == 2:
        return builder.fneg(im), re
    if eighth == 6:
        return im, builder.fneg(re)
    cosine, sine = math.cos(2 * math.pi * turn), math.sin(2 * math.pi * turn)
    c, s = constant(re, cosine), constant(re, sine)
    minus = constant(re, -sine)
    return fma(builder, minus, im, builder.fmul(c, re)), fma(builder, s, re, builder.fmul(c, im))


def _add(builder: Any, a: Complex, b: Complex) -> Complex:
    return builder.fadd(a[0], b[0]), builder.fadd(a[1], b[1])


def _subtract(builder: Any, a: Complex, b: Complex) -> Complex:
    return builder.fsub(a[0], b[0]), builder.fsub(a[1], b[1])


def _conjugate(builder: Any, a: Complex) -> Complex:
    return a[0], builder.fneg(a[1])


def _complex(builder: Any, values: list[Complex], sign: int) -> list[Complex]:
    """X[k] = E[k] + w^k O[k], X[k + n/2] = E[k] - w^k O[k]."""
    n = len(values)
    if n == 1:
        return values
    even, odd = _complex(builder, values[::2], sign), _complex(builder, values[1::2], sign)
    turned = [_twiddle(builder, odd[k], sign * k / n) for k in range(n // 2)]
    return [_add(builder, e, o) for e, o in zip(even, turned, strict=True)] + [
        _subtract(builder, e, o) for e, o in zip(even, turned, strict=True)
    ]


def _real_forward(builder: Any, values: list[Value]) -> list[Complex]:
    """The half spectrum: X[k] = E[k] + w^k O[k], X[n/2 - k] = conj(E[k] - w^k O[k])."""
    n = len(values)
    zero = constant(values[0], 0.0)
    if n == 2:
        return [(builder.fadd(*values), zero), (builder.fsub(*values), zero)]
    even, odd = _real_forward(builder, values[::2]), _real_forward(builder, values[1::2])
    spectrum: dict[int, Complex] = {}
    for k in range(n // 4 + 1):
        turned = _twiddle(builder, odd[k], -k / n)
        spectrum[n // 2 - k] = _conjugate(builder, _subtract(builder, even[k], turned))
        spectrum[k] = _add(builder, even[k], turned)
    return [spectrum[k] for k in range(n // 2 + 1)]


def _real_inverse(builder: Any, spectrum: list[Complex]) -> list[Value]:
    """The reverse of `_real_forward`, every step times two."""
    n = 2 * (len(spectrum) - 1)
    if n == 2:
        first, second = spectrum[0][0], spectrum[1][0]
        return [builder.fadd(first, second), builder.fsub(first, second)]
    even, odd = [], []
    for k in range(n // 4 + 1):
        mirror = _conjugate(builder, spectrum[n // 2 - k])
        even.append(_add(builder, spectrum[k], mirror))
        odd.append(_twiddle(builder, _subtract(builder, spectrum[k], mirror), k / n))
    pairs = zip(_real_inverse(builder, even), _real_inverse(builder, odd), strict=True)
    return [value for pair in pairs for value in pair]
