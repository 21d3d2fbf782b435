"""The transforms of `fft_planes`: against NumPy's, by the laws of Fourier transforms, and the sizes that are chosen."""

from __future__ import annotations

import numpy as np
import pytest

from kernels import Conv2dProblem, conv2d_reference, plan
from kernels.algorithms.fft_planes.dft import Counter, dft, inverse_dft
from kernels.algorithms.fft_planes.sizes import sizes_of


class _Numbers:
    """Operations on Python's numbers."""

    def add(self, a: float, b: float) -> float:
        return a + b

    def subtract(self, a: float, b: float) -> float:
        return a - b

    def negate(self, a: float) -> float:
        return -a

    def scale(self, a: float, x: float) -> float:
        return a * x

    def add_scaled(self, total: float, a: float, x: float) -> float:
        return total + a * x


def _transformed(values: np.ndarray, inverse: bool = False) -> np.ndarray:
    found = (inverse_dft if inverse else dft)(_Numbers(), [(float(x.real), float(x.imag)) for x in values])
    return np.array([complex(re or 0.0, im or 0.0) for re, im in found])


def _drawn(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    found: np.ndarray = rng.standard_normal(n) + 1j * rng.standard_normal(n)
    return found


@pytest.mark.parametrize("n", range(1, 17))
def test_it_is_numpys_and_keeps_the_laws(n: int) -> None:
    x, y = _drawn(n), _drawn(n, 1)
    found = _transformed(x)
    np.testing.assert_allclose(found, np.fft.fft(x), atol=1e-13)
    np.testing.assert_allclose(_transformed(found, inverse=True), n * x, atol=1e-12)
    np.testing.assert_allclose(_transformed(2 * x - 3j * y), 2 * found - 3j * _transformed(y), atol=1e-12)
    assert np.sum(np.abs(found) ** 2) == pytest.approx(n * np.sum(np.abs(x) ** 2))
    turned = found * np.exp(-2j * np.pi * np.arange(n) / n)
    np.testing.assert_allclose(_transformed(np.roll(x, 1)), turned, atol=1e-12)


@pytest.mark.parametrize("n", (4, 6, 8, 10, 12, 16))
def test_what_is_zero_costs_nothing(n: int) -> None:
    everything, real, half = Counter(), Counter(), Counter()
    dft(everything, [(1, 1)] * n)
    dft(real, [(1, None)] * n)
    dft(half, [(1, 1)] * (n // 2) + [(None, None)] * (n // 2))
    assert real.count < everything.count > half.count


@pytest.mark.parametrize(
    ("text", "points"),
    [
        # Zeros before the source stand behind it too: 56 pixels and 15 of padding, not 56 and 30.
        ("g8ic8ih56oc8kh31ph15", 72),
        # Of a kernel as large as all that it can touch, no tap falls on another.
        ("g8ic8ih14oc8kh27ph13", 28),
    ],
)
def test_a_plane_takes_few_points(text: str, points: int) -> None:
    z = sizes_of(Conv2dProblem.parse(text))
    assert z is not None
    assert (z.tiles, z.down.N, z.across.N) == (1, points, points)


def test_errors_are_less_than_those_of_sums() -> None:
    p = Conv2dProblem.parse("g8ic8ih56oc8kh31ph15")
    rng = np.random.default_rng(0)
    src, wei = (rng.standard_normal(shape, np.float32) for shape in (p.input_shape, p.weight_shape))
    exact = conv2d_reference(p, src, wei)
    off, direct = (
        np.linalg.norm(result - exact)
        for result in (
            plan(p, wei, algorithm="fft_planes", threads=1)(src), conv2d_reference(p, src, wei, dtype="float32")
        )
    )  # fmt: skip
    assert off < direct


@pytest.mark.parametrize("text", ["g2ic2ih3iw17oc2kh3ph0pw3f64", "g2ic2ih3iw27oc2kh3kw5ph0pw5", "ic1ih9iw4oc1kh3ph6"])
def test_padding_wider_than_a_kernel_makes_more_outputs_than_the_source_has_pixels(text: str) -> None:
    p, rng = Conv2dProblem.parse(text), np.random.default_rng(0)
    src, wei = (rng.standard_normal(shape).astype(p.dtype) for shape in (p.input_shape, p.weight_shape))
    found = plan(p, wei, algorithm="fft_planes", threads=1)(src)
    np.testing.assert_allclose(found, conv2d_reference(p, src, wei), atol=1e-5)
