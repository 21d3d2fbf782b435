"""``window_only``: an output depends on its own window of the input alone, whatever stands beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kernels import (
    Algorithm,
    ArgumentError,
    Conv2d,
    Conv2dProblem,
    UnsupportedProblem,
    algorithms,
    blocks,
    choose,
    conv2d,
    conv2d_reference,
    plan,
)

_TEXTS = (
    "mb2ic20ih13iw37oc21kh3ph1b1",
    "ic5ih19iw22oc7kh3sh2ph1",
    "g2mb2ic10ih9oc14kh5ph2dh2",
    "g6ic6ih21iw40oc6kh3ph1",
    "ic9ih13oc18kh1",
    "ic3ih11oc33kh1kw7ph0pw3f64",
    "g3ic12ih9iw50oc12kh3ph1",
    "g8ic8ih40iw41oc8kh13ph6",
    "mb2g40ic40ih7oc40kh3ph1",
)


@pytest.mark.parametrize("value", [np.nan, np.inf, -9999.0, 1e30])
@pytest.mark.parametrize(
    "algorithm", [each for each in algorithms("fwd") if each.window_only], ids=lambda each: each.name
)
def test_what_lies_beside_a_window_changes_no_bit(algorithm: Algorithm, value: float) -> None:
    tried = 0
    for p in map(Conv2dProblem.parse, _TEXTS):
        if algorithm.unsupported(p) is not None:
            continue
        rng = np.random.default_rng(0)
        src, wei, bia = (rng.standard_normal(s).astype(p.dtype) for s in (p.input_shape, p.weight_shape, (p.oc,)))
        bound = plan(p, wei, bia if p.bias else None, algorithm=algorithm.name, threads=1)
        before = bound(src)
        spoilt = src.copy()
        n, c, h, w = p.mb - 1, p.ic - 1, 1, p.iw // 3
        spoilt[n, c, h, w] = value
        # Outputs whose window holds that pixel: those that a convolution of ones sees it by.
        ones = np.zeros_like(src)
        ones[n, c, h, w] = 1
        touched = conv2d_reference(p, ones, np.ones_like(wei)) != 0
        assert touched.any() and not touched.all()
        np.testing.assert_array_equal(bound(spoilt)[~touched], before[~touched])
        tried += 1
    assert tried


def test_a_raster_with_missing_cells() -> None:
    """The example of the documentation: four cells of -9999, and values about 1."""
    rng = np.random.default_rng(0)
    src = rng.standard_normal((1, 64, 56, 56)).astype("f4")
    wei = rng.standard_normal((64, 64, 3, 3)).astype("f4") / 24
    src[0, :, 20:22, 30:32] = -9999.0
    p = Conv2dProblem.parse("ic64ih56oc64kh3ph1")
    exact = conv2d_reference(p, src, wei)
    missing = (src == np.float32(-9999)).any(1, keepdims=True).astype("f4")
    near = conv2d_reference(Conv2dProblem.parse("ic1ih56oc1kh3ph1"), missing, np.ones((1, 1, 3, 3), "f4")) != 0
    keep = np.broadcast_to(~near, exact.shape)

    def worst(result: np.ndarray) -> float:
        return float(np.abs(result - exact)[keep].max())

    layer = Conv2d(64, 64, 3, padding=1, bias=False, threads=1, window_only=True)
    layer.weight = wei
    assert worst(conv2d(src, wei, padding=1, threads=1, window_only=True)) < 2e-5
    assert worst(layer(src)) < 2e-5
    assert worst(conv2d(src, wei, padding=1, threads=1, algorithm="winograd_f6x3")) > 1e-3


@pytest.mark.parametrize(
    "make",
    [
        lambda **asked: blocks.ConvBlock(64, 32, pool=False, **asked),
        lambda **asked: blocks.DepthwiseSeparable(64, 32, **asked),
        lambda **asked: blocks.DarknetResidual(64, **asked),
        lambda **asked: blocks.ResNetStem(64, 32, **asked),
        lambda **asked: blocks.UNetDown(64, 32, **asked),
    ],
    ids=["conv", "separable", "darknet", "stem", "unet"],
)
def test_blocks_take_it_as_layers_do(make: Callable[..., Any]) -> None:
    src = np.random.default_rng(0).standard_normal((1, 64, 40, 40)).astype("f4")
    spoilt = src.copy()
    spoilt[..., 0, 0] = np.nan

    def result(block: Any, values: np.ndarray) -> np.ndarray:
        found = block(values)
        return found[0] if isinstance(found, tuple) else found

    block = make(rng=0, threads=1, window_only=True)
    # No window reaches as far as 9 pixels.
    kept = (..., slice(5, None), slice(5, None))
    np.testing.assert_array_equal(result(block, spoilt)[kept], result(block, src)[kept])
    assert block.window_only and not make(rng=0).window_only
    # What is set counts from the next call on, and only what is no bool is refused.
    block.window_only = False
    plans = block.made_of()
    block.window_only = True
    assert block.made_of() != plans
    with pytest.raises(ArgumentError, match="window_only is 1, expected True or False"):
        block.window_only = 1


def test_a_block_spoils_tiles_without_it() -> None:
    src = np.random.default_rng(0).standard_normal((1, 64, 40, 40)).astype("f4")
    src[..., 0, 0] = np.nan
    block = blocks.ConvBlock(64, 32, pool=False, rng=0, threads=1, algorithm="winograd_f6x3")
    assert np.isnan(block(src)[..., 5, 5]).any()


def test_others_are_refused_and_never_chosen() -> None:
    p = Conv2dProblem.parse("ic64ih56oc64kh3ph1")
    assert choose(p, 1, window_only=True, tuned=False).algorithm.window_only
    # Planes side by side leave out what is beside them by factors of zero, which infinity is not.
    sums = {each.name for each in algorithms("fwd") if each.exact_on_integers} - {"small_planes"}
    assert {each.name for each in algorithms("fwd") if each.window_only} == sums
    wei = np.ones(p.weight_shape, "f4")
    with pytest.raises(UnsupportedProblem, match=r"winograd_f4x3 does not suit .*: its outputs depend on more than"):
        plan(p, wei, algorithm="winograd_f4x3", window_only=True)
    with pytest.raises(UnsupportedProblem, match=r"the least error is .* \((direct|im2col|grouped)\w*\)"):
        choose(p, 1, window_only=True, max_workspace=-1)
