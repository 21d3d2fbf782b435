"""Backward data at a stride as one convolution: its geometry, edges of what stores results in turn, refusals."""

import numpy as np
import pytest

from kernels import Conv2dProblem, conv2d_reference, get_algorithm, plan
from kernels.algorithms.stencil.subpixel import dense_weights, reason_against, subpixel
from kernels.machine.cpu import lanes_of

#: Maps that end within a vector or a pair, rows and columns that no tap meets, strides of one axis, groups, blocks of
#: channels, biases.
PROBLEMS = (
    "g8mb2ic8ih28oc8kh3sh2ph1pb0pr0",
    "g3mb2ic3ih9iw71oc3kh3sh2ph1b1",
    "g4ic8ih14oc4kh3sh2ph1pb0pr0b1",
    "ic3ih40oc6kh4sh1sw3ph1b1",
    "mb2ic7ih18iw37oc5kh4sh2ph1b1",
    "mb2ic20ih10iw26oc33kh2sh2b1",
    "ic18ih9oc70kh1sh2b1",
    "ic5ih13oc7kh2sh3b1",
    "g2ic6ih12iw17oc4kh3kw5sh3sw2ph1b1",
)


def test_rows_that_end_more_than_a_vector_before_a_tile_does_are_refused() -> None:
    p = Conv2dProblem(
        mb=1, g=2, ic=2, oc=2, ih=3, iw=28, kh=1, kw=9, sh=1, sw=9, dtype="float64", direction="bwd_d"
    )  # fmt: skip
    reason = get_algorithm("subpixel_stencil").unsupported(p)
    if lanes_of("float64") == 8:
        assert reason == "the stride between columns is 9, expected at most 5"
    else:
        assert reason is not None
    # What is not refused writes its own plane alone: every result is of whole numbers, and exact.
    for sw in range(2, 10):
        q = p.replace(sw=sw, kw=sw)
        if get_algorithm("subpixel_stencil").unsupported(q) is None:
            rng = np.random.default_rng(7)
            grad, wei = (rng.integers(-3, 4, shape).astype(q.dtype) for shape in q.operand_shapes)
            found = plan(q, wei, algorithm="subpixel_stencil", threads=1)(grad)
            np.testing.assert_array_equal(found, conv2d_reference(q, grad, wei))


def _drawn(rng):
    while True:
        kh, kw, sh, sw, ph, pw = (int(rng.integers(*each)) for each in ((1, 8), (1, 8), (1, 5), (1, 5), (0, 4), (0, 4)))
        ih, iw = (int(each) for each in rng.integers(1, 20, 2))
        if kh > ih + 2 * ph or kw > iw + 2 * pw:
            continue
        p = Conv2dProblem(
            mb=2, g=2, ic=4, oc=6, ih=ih, iw=iw, kh=kh, kw=kw, sh=sh, sw=sw, ph=ph, pw=pw, dtype="float64", bias=True,
            direction="bwd_d",
        )  # fmt: skip
        if sh * sw > 1:
            return p


def test_the_dense_convolution_is_the_gradient() -> None:
    rng = np.random.default_rng(5)
    compared = 0
    for _ in range(400):
        p = _drawn(rng)
        grad, wei, bia = (rng.standard_normal(shape) for shape in (*p.operand_shapes, p.bias_shape))
        if reason_against(p, 16) is not None:
            continue
        q, down, across = subpixel(p)
        dense = conv2d_reference(q, grad, dense_weights(p, wei), np.repeat(bia, p.sh * p.sw))
        assert dense.shape == (p.mb, p.ic * p.sh * p.sw, down.extent, across.extent)
        parts = dense.reshape(p.mb, p.ic, p.sh, p.sw, down.extent, across.extent).transpose(0, 1, 4, 2, 5, 3)
        found = parts.reshape(p.mb, p.ic, down.extent * p.sh, across.extent * p.sw)[:, :, : p.ih, : p.iw]
        np.testing.assert_allclose(found, conv2d_reference(p, grad, wei, bia), rtol=1e-12, atol=1e-12)
        compared += 1
    assert compared > 200


@pytest.mark.parametrize("text", PROBLEMS)
def test_exact_and_the_same_for_any_number_of_threads(text: str) -> None:
    p = Conv2dProblem.parse(f"bwd_d:{text}")
    rng = np.random.default_rng(0)
    grad, wei, bia = (rng.integers(-4, 5, shape).astype(p.dtype) for shape in (*p.operand_shapes, p.bias_shape))
    expected = conv2d_reference(p, grad, wei, bia if p.bias else None)
    for threads in (1, 2):
        bound = plan(p, wei, bia if p.bias else None, algorithm="subpixel_stencil", threads=threads)
        bound.poison()
        found = bound(grad, np.full(p.result_shape, np.nan, p.dtype))
        np.testing.assert_array_equal(found, expected)


def test_refusals_are_told() -> None:
    reasons = {
        "bwd_d:ic4ih9oc4kh3ph1": "the stride is 1, expected more",
        "bwd_d:ic4ih20oc4kh3sh5": "strides make 25 remainders, expected at most 9",
        "bwd_d:ic4ih9oc4kh3sh2dh2ph2": "the dilation is 2 x 2, expected 1",
        "bwd_d:ic8ih9oc4kh1sh3sw2ph1": "some of the gradient counts nowhere, expected all of it to",
        "bwd_d:ic8ih40oc4kh15sh2ph7": "the kernel has 64 taps, expected at most 49",
        "ic4ih9oc4kh3sh2ph1": "direction is fwd, expected bwd_d",
    }
    stencil = get_algorithm("subpixel_stencil")
    assert {text: stencil.unsupported(Conv2dProblem.parse(text)) for text in reasons} == reasons


@pytest.mark.parametrize(
    "text", ["g64mb8ic64ih112oc64kh3sh2ph1pb0pr0", "g512mb8ic512ih14oc512kh3sh2ph1pb0pr0", "mb8ic3ih64oc64kh4sh2ph1"]
)
def test_auto_takes_stencils_of_few_channels(text: str) -> None:
    p = Conv2dProblem.parse(f"bwd_d:{text}")
    # Of dense ones, stencils of the parts are as fast, within a few per cent.
    names = {"subpixel_stencil"} if p.g > 1 else {"subpixel_stencil", "grouped_stencil"}
    assert plan(p, np.zeros(p.weight_shape, p.dtype), threads=1).algorithm.name in names
