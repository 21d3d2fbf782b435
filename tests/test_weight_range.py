"""Weights that are tiny, huge, or either by output channel: each channel is as exact as its weights are."""

from __future__ import annotations

import numpy as np
import pytest

from kernels import Algorithm, Conv2dProblem, algorithms, conv2d_reference, plan

_TEXTS = "ic12ih17oc10kh3ph1", "ic8ih9iw20oc9kh1kw7ph0pw3", "ic5ih12oc6kh5ph2", "ic12ih12oc9kh2", "g9ic9ih14oc9kh5ph2"

#: What weights of the first output channel are multiplied by, those of the last one, and pixels. Weights of 5e-39 have
#: 22 bits.
_RANGES = {"tiny": (5e-39, 5e-39, 1.0), "huge": (2.5e37, 2.5e37, 1e-6), "either": (5e-39, 1e30, 1.0)}


@pytest.mark.parametrize("kind", _RANGES)
@pytest.mark.parametrize("algorithm", algorithms("fwd"), ids=lambda each: each.name)
def test_channels_are_as_exact_as_their_weights(algorithm: Algorithm, kind: str) -> None:
    p = next(each for each in map(Conv2dProblem.parse, _TEXTS) if algorithm.unsupported(each) is None)
    first, last, pixels = _RANGES[kind]
    rng = np.random.default_rng(0)
    scales = np.geomspace(first, last, p.oc)[:, None, None, None]
    src = (rng.standard_normal(p.input_shape) * pixels).astype(p.dtype)
    wei = (rng.uniform(-1, 1, p.weight_shape) * scales).astype(p.dtype)
    exact = conv2d_reference(p, src, wei)
    found = plan(p, wei, algorithm=algorithm.name, threads=1)(src).astype(np.float64)
    errors = np.linalg.norm(found - exact, axis=(2, 3)) / np.linalg.norm(exact, axis=(2, 3))
    assert errors.max() < 1e-5


@pytest.mark.parametrize("algorithm", ["winograd_f4x3", "fft_tile16", "direct_tiled"])
def test_what_is_infinite_or_zero_stays_so(algorithm: str) -> None:
    p = Conv2dProblem.parse("ic8ih10oc4kh3ph1")
    wei = np.ones(p.weight_shape, "f4")
    wei[0], wei[1, 0, 0, 0], wei[2, 0, 0, 0], wei[3] = 0, np.inf, np.nan, 1e-40
    result = plan(p, wei, algorithm=algorithm, threads=1)(np.ones(p.input_shape, "f4"))[0]
    assert not result[0].any()
    assert not np.isfinite(result[1:3]).all(axis=(1, 2)).any()
    np.testing.assert_allclose(result[3, 1:-1, 1:-1], 72e-40, rtol=1e-4)
