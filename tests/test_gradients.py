"""Gradients and transposed convolutions: drawn arguments against PyTorch, adjoint identities, faults."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from conftest import GRADIENT_EDGES

from kernels import (
    ArgumentError,
    Conv2d,
    Conv2dProblem,
    ConvTranspose2d,
    DtypeError,
    ShapeError,
    algorithms,
    conv2d,
    conv2d_input,
    conv2d_weight,
    conv_transpose2d,
    plan,
    plan_backward_weights,
)

_DRAWN = 1600


def _drawn(rng: np.random.Generator) -> dict[str, Any]:
    """Arguments of one convolution, with an output that has elements."""
    while True:
        g = int(rng.choice([1, 1, 1, 2, 3, 8]))
        two = rng.random() < 0.5

        def pair(low: int, high: int, two: bool = two) -> Any:
            values = rng.integers(low, high, 2)
            return tuple(map(int, values)) if two else int(values[0])

        asked = {"stride": pair(1, 5), "padding": pair(0, 4), "dilation": pair(1, 4), "groups": g}
        size = (int(rng.integers(1, 4)), g * int(rng.integers(1, 5)), *map(int, rng.integers(1, 20, 2)))
        weight = (g * int(rng.integers(1, 5)), size[1] // g, *map(int, rng.integers(1, 6, 2)))
        sides = [np.broadcast_to(asked[name], 2) for name in ("stride", "padding", "dilation")]
        out = [
            (size[2 + i] + 2 * p[i] - d[i] * (weight[2 + i] - 1) - 1) // s[i] + 1
            for i in range(2)
            for s, p, d in [sides]
        ]
        if min(out) > 0:
            return {**asked, "size": size, "weight": weight, "output": (size[0], weight[0], *map(int, out))}


def _close(found: np.ndarray, expected: np.ndarray, error: float = 2e-5) -> None:
    assert found.shape == expected.shape
    assert np.linalg.norm(found - expected) <= error * max(1.0, float(np.linalg.norm(expected)))


def test_drawn_arguments_give_torchs_numbers() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(7)
    counts: Counter[str] = Counter()
    for i in range(_DRAWN):
        asked = _drawn(rng)
        size, weight, output = asked.pop("size"), asked.pop("weight"), asked.pop("output")
        dtype = "float64" if i % 8 == 0 else "float32"
        src, wei, grad = (rng.standard_normal(shape).astype(dtype) for shape in (size, weight, output))
        theirs = [torch.from_numpy(each.astype(np.float64)) for each in (src, wei, grad)]
        # One algorithm compiles little for many shapes; others are tested on few.
        of_input = conv2d_input(size, wei, grad, **asked, algorithm="direct_naive", threads=1 + i % 2)
        _close(of_input, torch.nn.grad.conv2d_input(size, theirs[1], theirs[2], **asked).numpy())
        of_weight = conv2d_weight(src, weight, grad, **asked, algorithm="bwd_w_naive", threads=1 + i % 2)
        _close(of_weight, torch.nn.grad.conv2d_weight(theirs[0], weight, theirs[2], **asked).numpy())
        counts["gradients"] += 2
        most = np.maximum(np.broadcast_to(asked["stride"], 2), np.broadcast_to(asked["dilation"], 2))
        asked["output_padding"] = tuple(int(rng.integers(0, each)) for each in most)
        bia = rng.standard_normal(weight[1] * asked["groups"]).astype(dtype) if i % 3 else None
        given = theirs[2], theirs[1], None if bia is None else torch.from_numpy(bia.astype(np.float64))
        try:
            expected = torch.nn.functional.conv_transpose2d(*given, **asked).numpy()
        except RuntimeError as said:
            with pytest.raises(ShapeError) as refused:
                conv_transpose2d(grad, wei, bia, **asked)
            assert str(refused.value) == str(said)
            counts["sentences"] += 1
        else:
            _close(conv_transpose2d(grad, wei, bia, **asked, algorithm="direct_naive"), expected)
            counts["transposed"] += 1
    assert counts["gradients"] == 2 * _DRAWN and counts["transposed"] > 1000 and counts["sentences"] > 20, counts


def test_torchs_own_samples_of_transposed_convolutions_give_its_numbers() -> None:
    torch = pytest.importorskip("torch")
    # What torch's list of operators imports.
    pytest.importorskip("expecttest")
    from torch.testing._internal.common_methods_invocations import op_db

    (operator,) = (each for each in op_db if each.name == "nn.functional.conv_transpose2d")
    compared = 0
    for dtype in (torch.float32, torch.float64):
        for each in operator.sample_inputs("cpu", dtype):
            given = [None if array is None else array.detach() for array in (each.input, *each.args)]
            expected = operator(*(None if array is None else array.double() for array in given), **each.kwargs)
            for name in ("direct_naive", "direct_tiled", "im2col_gemm"):
                _close(conv_transpose2d(*given, **each.kwargs, algorithm=name, threads=1), expected.numpy(), 2e-6)
            compared += 1
    assert compared >= 20


def test_gradients_are_adjoint() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        asked = _drawn(rng)
        size, weight, output = asked.pop("size"), asked.pop("weight"), asked.pop("output")
        src, wei, grad = (rng.standard_normal(shape) for shape in (size, weight, output))
        products = (
            np.vdot(grad, conv2d(src, wei, **asked, algorithm="direct_naive")),
            np.vdot(conv2d_input(size, wei, grad, **asked, algorithm="direct_naive"), src),
            np.vdot(conv2d_weight(src, weight, grad, **asked, algorithm="bwd_w_naive"), wei),
        )
        np.testing.assert_allclose(products, products[0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "algorithm",
    [pytest.param(each, marks=pytest.mark.xdist_group(each.name), id=each.name) for each in algorithms("bwd_d")],
)
def test_backward_data_is_exact_or_close(algorithm: Any) -> None:
    from suite.check.checker import Oracle

    problems = [Conv2dProblem.parse(f"bwd_d:{text}") for text in GRADIENT_EDGES]
    # Transforms of any stride compile what they have for stride 1 as well.
    taken = [each for each in problems if algorithm.unsupported(each) is None][:5]
    for problem in taken:
        check = Oracle(problem).check(algorithm, 2)
        assert check.status == "ok", f"{problem}: {check.reason}"


@pytest.mark.parametrize("algorithm", algorithms("bwd_w"), ids=lambda each: each.name)
def test_backward_weights_are_exact_and_close(algorithm: Any) -> None:
    from suite.check.checker import Oracle

    tried = 0
    for text in GRADIENT_EDGES:
        problem = Conv2dProblem.parse(f"bwd_w:{text}")
        for dtype in ("float32", "float64"):
            check = Oracle(problem.replace(dtype=dtype)).check(algorithm, 2)
            assert check.status in ("ok", "skipped"), f"{problem}: {check.reason}"
            tried += check.status == "ok"
    assert tried


_THREADED = ("direct", "grouped", "backward_weights")


@pytest.mark.parametrize("text", ["bwd_d:ic4ih9oc6kh3sh2ph1mb2", "bwd_w:ic4ih9oc6kh3sh2ph1mb3b1"])
def test_bits_do_not_depend_on_threads(text: str) -> None:
    p = Conv2dProblem.parse(text)
    rng = np.random.default_rng(0)
    first, second = (rng.standard_normal(shape).astype(np.float32) for shape in p.operand_shapes)
    for each in algorithms(p.direction):
        if each.unsupported(p) is None and each.family in _THREADED:
            results = []
            for threads in (1, 2):
                if p.direction == "bwd_w":
                    results.append(plan_backward_weights(p, algorithm=each.name, threads=threads)(first, second))
                else:
                    results.append(plan(p, second, algorithm=each.name, threads=threads)(first))
            assert np.array_equal(*results), each.name


def test_faults_are_one_sentence() -> None:
    wei, grad = np.ones((2, 4, 3, 3), np.float32), np.ones((1, 2, 3, 3), np.float32)
    with pytest.raises(ShapeError, match=r"grad_output has shape \(1, 2, 3, 3\), expected \(1, 2, 4, 4\)"):
        conv2d_input((1, 4, 6, 6), wei, grad)
    with pytest.raises(ShapeError, match=r"Given groups=1, weight of size \[2, 4, 3, 3\], expected input"):
        conv2d_input((1, 5, 5, 5), wei, grad)
    with pytest.raises(ValueError, match=r"bwd_w_naive does not support .*: direction is bwd_d, expected bwd_w"):
        conv2d_input((1, 4, 5, 5), wei, grad, algorithm="bwd_w_naive")
    with pytest.raises(ShapeError, match="out overlaps grad_output"):
        conv2d_weight(
            np.ones((1, 2, 3, 3), np.float32), (2, 2, 1, 1), grad, out=grad.reshape(-1)[:4].reshape(2, 2, 1, 1)
        )


def test_transposed_faults_are_torchs() -> None:
    torch = pytest.importorskip("torch")
    weight = (4, 2, 3, 3)
    faults: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
        ((1, 3, 5, 5), weight, {}), ((1, 4, 5, 5), weight, {"bias": (3,)}), ((1, 4, 5, 5), weight, {"stride": 0}),
        ((1, 4, 5, 5), weight, {"output_padding": 1}), ((1, 4, 5, 5), weight, {"output_padding": -1, "stride": 2}),
        ((1, 4, 5, 5), weight, {"padding": -1}), ((1, 4, 5, 5), weight, {"dilation": 0}),
        ((1, 4, 5, 5), weight, {"groups": 3}), ((1, 4, 5, 5), weight, {"groups": 0}),
        ((1, 4, 5, 5), weight, {"groups": 8}), ((1, 4, 1, 1), weight, {"padding": 2}), ((5, 5), weight, {}),
        ((1, 4, 5, 5), weight, {"stride": (1, 2, 3)}), ((1, 4, 5, 5), weight, {"output_padding": (1, 2, 3)}),
        ((1, 0, 5, 5), (0, 2, 3, 3), {}), ((1, 4, 0, 5), weight, {}), ((1, 4, 5, 5), (4, 2, 0, 3), {}),
        ((1, 4, 5, 5), (4, 0, 3, 3), {}), ((1, 4, 5, 5), (4, 2, 3), {}),
    ]  # fmt: skip
    for src, wei, asked in faults:
        bias = asked.pop("bias", None)
        arrays = [None if each is None else np.zeros(each, np.float32) for each in (src, wei, bias)]
        with pytest.raises(RuntimeError) as theirs:
            torch.nn.functional.conv_transpose2d(*[None if a is None else torch.from_numpy(a) for a in arrays], **asked)
        with pytest.raises(ShapeError) as ours:
            conv_transpose2d(*arrays, **asked)
        assert str(ours.value) == str(theirs.value)


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("transposed", [False, True])
def test_layers_have_torchs_gradients(mode: str, transposed: bool) -> None:
    torch = pytest.importorskip("torch")
    if transposed and mode != "zeros":
        with pytest.raises(ShapeError, match='Only "zeros" padding mode is supported for ConvTranspose2d'):
            ConvTranspose2d(2, 3, 3, padding_mode=mode)
        return
    for asked in ({}, {"stride": 2, "groups": 2}, {"dilation": (2, 1), "bias": False}):
        asked = {
            **asked,
            "padding": 1,
            **({"output_padding": 1, "stride": 2} if transposed else {"padding_mode": mode}),
        }
        name = "ConvTranspose2d" if transposed else "Conv2d"
        ours = {"Conv2d": Conv2d, "ConvTranspose2d": ConvTranspose2d}[name](4, 6, 3, **asked, dtype="float64", rng=0)
        theirs = getattr(torch.nn, name)(4, 6, 3, **asked, dtype=torch.float64)
        theirs.load_state_dict({key: torch.from_numpy(each.copy()) for key, each in ours.state_dict().items()})
        src = np.random.default_rng(1).standard_normal((2, 4, 9, 8))
        given = torch.from_numpy(src).requires_grad_()
        result = theirs(given)
        with pytest.raises(ArgumentError, match="no input is remembered"):
            ours.backward(result.detach().numpy())
        np.testing.assert_allclose(ours.train()(src), result.detach().numpy(), rtol=1e-10, atol=1e-12)
        grad = np.random.default_rng(2).standard_normal(tuple(result.shape))
        with torch.enable_grad():
            theirs(given).backward(torch.from_numpy(grad))
        found = ours.backward(grad)
        np.testing.assert_allclose(found.input, given.grad.numpy(), rtol=1e-9, atol=1e-10)
        np.testing.assert_allclose(found.weight, theirs.weight.grad.numpy(), rtol=1e-9, atol=1e-10)
        if found.bias is not None:
            np.testing.assert_allclose(found.bias, theirs.bias.grad.numpy(), rtol=1e-9, atol=1e-10)
        assert (found.bias is None) == (theirs.bias is None)


@pytest.mark.parametrize("kind", [Conv2d, ConvTranspose2d])
def test_gradients_of_another_dtype_or_shape_are_refused(kind: type[Conv2d] | type[ConvTranspose2d]) -> None:
    layer, src = kind(2, 3, 3, rng=0), np.ones((1, 2, 5, 5), np.float32)
    shape = layer(src).shape
    with pytest.raises(DtypeError, match="grad_output has dtype float64, expected float32"):
        layer.backward(np.ones(shape), src)
    with pytest.raises(ShapeError):
        layer.backward(np.ones((*shape[:3], shape[3] + 1), np.float32), src)


def test_an_output_size_stands_for_an_output_padding() -> None:
    layer = ConvTranspose2d(2, 3, 3, stride=2, padding=1, rng=0)
    src = np.ones((1, 2, 5, 5), np.float32)
    assert layer(src).shape == (1, 3, 9, 9) and layer(src, output_size=(10, 9)).shape == (1, 3, 10, 9)
    assert layer.output_padding == (0, 0)
    with pytest.raises(ShapeError, match=r"requested an output size of \[11, 9\], but valid sizes range from \[9, 9\]"):
        layer(src, output_size=(11, 9))
