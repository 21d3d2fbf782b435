"""Fourier transforms of a few points, as a sequence of operations on complex numbers.

A number is a pair of real and imaginary part; a part that is None is zero and costs nothing. So transforms of real
numbers, and of numbers of which some are zeros, are those of all numbers. What a part is, and what is done with it,
is the affair of `Operations`: code is emitted by one kind of them, and operations are counted by another.

Sources: Cooley and Tukey, "An Algorithm for the Machine Calculation of Complex Fourier Series" (1965); Good, "The
Interaction Algorithm and Practical Fourier Analysis" (1958), for factors without a common divisor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

__all__ = ["Complex", "Counter", "Operations", "conjugate", "dft", "inverse_dft", "times"]

Part = Any
Complex = tuple[Part, Part]


class Operations(Protocol):
    """Arithmetic of parts that are not zero."""

    def add(self, a: Part, b: Part) -> Part:
        """``a + b``."""

    def subtract(self, a: Part, b: Part) -> Part:
        """``a - b``."""

    def negate(self, a: Part) -> Part:
        """``-a``."""

    def scale(self, a: Part, x: float) -> Part:
        """``a * x``."""

    def add_scaled(self, total: Part, a: Part, x: float) -> Part:
        """``total + a * x``."""


class Counter:
    """Operations that are only counted; a part is anything."""

    def __init__(self) -> None:
        self.count = 0

    def _one(self, *operands: object) -> object:
        self.count += 1
        return self

    add = subtract = scale = add_scaled = _one

    def negate(self, a: Part) -> Part:
        """Nothing: it is part of the operation that follows."""
        return a


def _add(o: Operations, a: Part, b: Part) -> Part:
    if a is None or b is None:
        return b if a is None else a
    return o.add(a, b)


def _subtract(o: Operations, a: Part, b: Part) -> Part:
    if b is None:
        return a
    return o.negate(b) if a is None else o.subtract(a, b)


def _scale(o: Operations, a: Part, x: float) -> Part:
    return None if a is None else o.scale(a, x)


def _add_scaled(o: Operations, total: Part, a: Part, x: float) -> Part:
    if a is None:
        return total
    return o.scale(a, x) if total is None else o.add_scaled(total, a, x)


def conjugate(o: Operations, a: Complex) -> Complex:
    """The number with its imaginary part negated."""
    return a[0], None if a[1] is None else o.negate(a[1])


def _turned(o: Operations, a: Complex, turn: float) -> Complex:
    """``a`` times exp(2 pi i turn)."""
    quarters = turn % 1.0 * 4
    if quarters in (0, 1, 2, 3):
        re, im = a
        for _ in range(int(quarters)):
            re, im = _subtract(o, None, im), re
        return re, im
    c, s = math.cos(2 * math.pi * turn), math.sin(2 * math.pi * turn)
    return _add_scaled(o, _scale(o, a[0], c), a[1], -s), _add_scaled(o, _scale(o, a[1], c), a[0], s)


def _sum(o: Operations, a: Complex, b: Complex) -> Complex:
    return _add(o, a[0], b[0]), _add(o, a[1], b[1])


def _difference(o: Operations, a: Complex, b: Complex) -> Complex:
    return _subtract(o, a[0], b[0]), _subtract(o, a[1], b[1])


def dft(o: Operations, values: Sequence[Complex]) -> list[Complex]:
    """X[k] = sum of x[n] exp(-2 pi i n k / N)."""
    n = len(values)
    if n == 1:
        return list(values)
    if n == 2:
        return [_sum(o, *values), _difference(o, *values)]
    first = next((a for a in (4, 2, 3, 5, 7) if n % a == 0 and n > a), n)
    if n == 8:
        first = 2
    if n == 4:
        first = 2
    if first == n:
        return _odd(o, values)
    second = n // first
    if math.gcd(first, second) == 1:
        return _good(o, values, first, second)
    columns = [dft(o, values[n2::second]) for n2 in range(second)]
    found: list[Complex] = [(None, None)] * n
    for k1 in range(first):
        line = [_turned(o, columns[n2][k1], -n2 * k1 / n) for n2 in range(second)]
        found[k1::first] = dft(o, line)
    return found


def inverse_dft(o: Operations, values: Sequence[Complex]) -> list[Complex]:
    """N times the inverse of `dft`: the same with real and imaginary parts swapped."""
    return [(re, im) for im, re in dft(o, [(im, re) for re, im in values])]


def _good(o: Operations, values: Sequence[Complex], first: int, second: int) -> list[Complex]:
    n = first * second
    rows = [dft(o, [values[(second * n1 + first * n2) % n] for n1 in range(first)]) for n2 in range(second)]
    found: list[Complex] = [(None, None)] * n
    one, other = second * pow(second, -1, first), first * pow(first, -1, second)
    for k1 in range(first):
        for k2, value in enumerate(dft(o, [row[k1] for row in rows])):
            found[(one * k1 + other * k2) % n] = value
    return found


def _odd(o: Operations, values: Sequence[Complex]) -> list[Complex]:
    """An odd prime number of points: sums and differences of those that are as far from the first."""
    n, half = len(values), len(values) // 2
    sums = [_sum(o, values[j], values[n - j]) for j in range(1, half + 1)]
    differences = [_difference(o, values[j], values[n - j]) for j in range(1, half + 1)]
    total = values[0]
    for each in sums:
        total = _sum(o, total, each)
    found: list[Complex] = [total] + [(None, None)] * (n - 1)
    for k in range(1, half + 1):
        even, odd = values[0], (None, None)
        for j, (s, d) in enumerate(zip(sums, differences, strict=True), 1):
            c, x = math.cos(2 * math.pi * j * k / n), math.sin(2 * math.pi * j * k / n)
            even = _add_scaled(o, even[0], s[0], c), _add_scaled(o, even[1], s[1], c)
            odd = _add_scaled(o, odd[0], d[0], x), _add_scaled(o, odd[1], d[1], x)
        # X[k] = even - i odd, X[n - k] = even + i odd.
        found[k] = _add(o, even[0], odd[1]), _subtract(o, even[1], odd[0])
        found[n - k] = _subtract(o, even[0], odd[1]), _add(o, even[1], odd[0])
    return found


def times(o: Any, a: Complex, c: Part, s: Part) -> Complex:
    """``a`` times the number of the parts c and s; ``o`` also multiplies parts by one another."""
    re, im = a
    real = None if re is None else o.multiply(re, c)
    imaginary = None if im is None else o.multiply(im, c)
    if im is not None:
        real = o.negate(o.multiply(im, s)) if real is None else o.subtract_product(real, im, s)
    if re is not None:
        imaginary = o.multiply(re, s) if imaginary is None else o.add_product(imaginary, re, s)
    return real, imaginary
