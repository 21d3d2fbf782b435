"""Backward weights: exact on integers against NumPy, the same bits for any number of threads, poison, errors."""

import numpy as np
import pytest

from kernels import Conv2dProblem, algorithms, get_algorithm
from kernels.plan import plan_backward_weights

#: Edges of tiles, panels, blocks of pixels, groups, strides, dilations and paddings.
PROBLEMS = (
    "ic16ih14oc40kh1mb3",
    "ic17ih8oc33kh1sh2mb2b1",
    "ic3ih23oc20kh7sh2ph3pb2pr2mb3b1",
    "ic5ih9iw11oc7kh3kw2sh2sw3ph2pw1pb0pr1dh2dw1mb2b1",
    "ic2ih5iw600oc9kh3ph1",
    "ic40ih7oc50kh3ph1mb6",
    "ic8ih16oc8kh1mb2",
    "ic130ih9oc34kh3ph1",
    "ic4ih5oc4kh3ph1mb0b1",
    "ic4ih1oc5kh1mb8",
    "ic3ih2iw1oc2kh2pr1mb3",
    "g3ic12ih9oc15kh3ph1mb2",
    "g8ic8ih17oc8kh3ph1mb2b1",
    "g6ic6ih40iw41oc6kh3sh2ph1pb0pr0mb2",
    "g64ic64ih7oc64kh3ph1mb3b1",
    "g6ic6ih12oc6kh3dh2ph2mb2",
    "g4ic4ih130oc8kh5ph2",
    "g5ic5ih35oc10kh13ph6",
    "g5ic5ih5iw70oc5kh1kw19pw9mb2",
    "g2ic40ih11iw30oc70kh3ph1pb0pr2mb3b1",
    "ic20ih14iw31oc18kh5ph2mb2b1",
    "ic18ih9iw150oc17kh1kw7pw3mb2",
    "ic16ih17oc36kh7kw1ph3pw0mb3",
    "ic16ih6oc16kh3kw1ph9mb2",
    "ic64ih30oc96kh3ph1mb3",
    "ic4ih9iw38oc3kh1mb2b1",
    "g7ic7ih21iw19oc14kh3mb2b1",
    "g3ic6ih600iw301oc9kh1kw3mb2",
)
NAMES = [each.name for each in algorithms("bwd_w")]


def _arrays(p, rng, integers):
    shapes = p.input_shape, p.output_shape
    draw = (lambda s: rng.integers(-4, 5, s)) if integers else rng.standard_normal
    return [draw(shape).astype(p.dtype) for shape in shapes]


def _expected(p, src, grad):
    """The sum as it is written, tap by tap, in float64."""
    wide = np.pad(src.astype(np.float64), ((0, 0), (0, 0), (p.ph, p.pb), (p.pw, p.pr)))
    wei = np.zeros((p.g, p.oc // p.g, p.ic // p.g, p.kh, p.kw))
    split = grad.astype(np.float64).reshape(p.mb, p.g, p.oc // p.g, p.oh, p.ow)
    for kh in range(p.kh):
        for kw in range(p.kw):
            rows = slice(kh * p.dh, kh * p.dh + (p.oh - 1) * p.sh + 1, p.sh)
            columns = slice(kw * p.dw, kw * p.dw + (p.ow - 1) * p.sw + 1, p.sw)
            seen = wide[:, :, rows, columns].reshape(p.mb, p.g, p.ic // p.g, p.oh, p.ow)
            wei[..., kh, kw] = np.einsum("ngohw,ngihw->goi", split, seen)
    bias = [split.sum((0, 3, 4)).reshape(-1)] if p.bias else []
    return np.concatenate([wei.reshape(-1), *bias])


def _computed(p, name, threads, src, grad):
    plan = plan_backward_weights(p, algorithm=name, threads=threads)
    plan.poison()
    out = np.full(p.result_shape, np.nan, p.dtype)
    return plan(src, grad, out).reshape(-1)


@pytest.mark.parametrize("dtype", ["", "f64"])
@pytest.mark.parametrize("text", PROBLEMS)
def test_exact_and_the_same_for_any_number_of_threads(text, dtype):
    p = Conv2dProblem.parse(f"bwd_w:{text}{dtype}")
    rng = np.random.default_rng(0)
    whole, normal = _arrays(p, rng, True), _arrays(p, rng, False)
    expected, close = _expected(p, *whole), _expected(p, *normal)
    scale = np.linalg.norm(close) or 1.0
    for each in algorithms("bwd_w"):
        if each.unsupported(p) is not None:
            continue
        found = _computed(p, each.name, 1, *whole)
        np.testing.assert_array_equal(found if each.exact_on_integers else np.rint(found), expected, err_msg=each.name)
        one, two = (_computed(p, each.name, threads, *normal) for threads in (1, 2))
        assert one.tobytes() == two.tobytes(), each.name
        assert np.linalg.norm(one - close) <= 4 * each.error_factor * np.finfo(p.dtype).eps * scale, each.name


def test_what_planes_refuses_is_told():
    reasons = {
        "g2ic2ih30oc2kh3sh5": "the stride between columns is 5, expected at most 4",
        "g2ic2ih30oc2kh3dh5": "the dilation between columns is 5, expected at most 4",
    }
    (planes,) = (each for each in algorithms("bwd_w") if each.name == "bwd_w_planes")
    assert {text: planes.unsupported(Conv2dProblem.parse(f"bwd_w:{text}")) for text in reasons} == reasons


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("mb8ic64ih56oc64kh3ph1", "bwd_w_f3x4"),
        ("mb8ic48ih35oc64kh5ph2", "bwd_w_f5x4"),
        ("mb8ic192ih17oc192kh7kw1ph3pw0", "bwd_w_f7x4"),
        ("mb8ic64ih56oc256kh1", "bwd_w_direct"),
        ("mb8ic3ih224oc64kh7sh2ph3pb2pr2", "bwd_w_direct"),
        ("g128mb8ic128ih56oc128kh3ph1", "bwd_w_planes"),
    ],
)
def test_auto_takes_the_loops_that_are_made_for_a_problem(text, name):
    assert plan_backward_weights(Conv2dProblem.parse(f"bwd_w:{text}"), threads=1).algorithm.name == name


def test_what_winograd_refuses_is_told():
    reasons = {
        "ic8ih9oc8kh5": "the kernel is 5x5, expected 3x3 or 1x3 or 3x1",
        "ic8ih9oc8kh3sh2": "the stride is 2x2, expected 1x1",
        "ic8ih9oc8kh3dh2": "the dilation is 2x2, expected 1x1",
        "ic3ih9oc8kh3": "a group has 3 channels, expected at least 4: a vector is mostly empty",
    }
    winograd = get_algorithm("bwd_w_f3x4")
    assert {text: winograd.unsupported(Conv2dProblem.parse(f"bwd_w:{text}")) for text in reasons} == reasons
    assert winograd.unsupported(Conv2dProblem.parse("bwd_w:ic8ih9oc8kh3kw1dw2")) is None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("mb4ic16ih224oc16kh3ph1", "bwd_w_direct"),
        ("g16mb4ic16ih224oc16kh3ph1", "bwd_w_planes"),
        ("mb4ic16ih224oc16kh3ph1", "bwd_w_f3x4"),
    ],
)
def test_errors_of_long_sums_stay_small(text, name):
    p = Conv2dProblem.parse(f"bwd_w:{text}")
    src, grad = _arrays(p, np.random.default_rng(1), False)
    expected = _expected(p, src, grad)
    error = np.linalg.norm(_computed(p, name, 1, src, grad) - expected) / np.linalg.norm(expected)
    # 200,704 products in blocks: of one sum after another the error would be ten times as large.
    assert error <= 16 * np.finfo(np.float32).eps
