"""Blocks: fused results are those of the composition, and everything around a call is torch.nn's."""

from __future__ import annotations

import tracemalloc
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from block_oracle import BLOCKS, exact, filled, results

from kernels import (
    ArgumentError,
    ConvBlock,
    DarknetResidual,
    DtypeError,
    DynamicConv2d,
    ShapeError,
    StateDictError,
    UNetDown,
)
from kernels.blocks.batch_norm import BatchNorm2d, fold
from kernels.blocks.block import images_at_once
from kernels.machine.cpu import cache_bytes

each_block = pytest.mark.parametrize("name", BLOCKS)


def _input(name: str, images: int, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(5).normal(size=(images, *BLOCKS[name][3])).astype(dtype)


def _error(result: tuple[np.ndarray, ...], expected: tuple[np.ndarray, ...]) -> float:
    """Greatest relative L2 error of the arrays of a result."""
    assert [each.shape for each in result] == [each.shape for each in expected]
    return max(
        float(np.linalg.norm(one - other) / np.linalg.norm(other)) for one, other in zip(result, expected, strict=True)
    )


@each_block
@pytest.mark.parametrize(("dtype", "limit"), [("float32", 1e-6), ("float64", 1e-14)])
def test_a_block_is_its_layers_one_after_the_other(name: str, dtype: str, limit: float) -> None:
    block = filled(name, dtype=dtype, algorithm="direct_naive", threads=1)
    for images in (1, 3):
        src = _input(name, images, dtype)
        fused, expected = results(block(src)), exact(name, block.state_dict(), src)
        assert all(each.dtype == dtype for each in fused)
        assert _error(fused, expected) < limit
        assert _error(results(block.unfused(src)), expected) < limit


@each_block
def test_a_block_on_two_threads_gives_the_same_bits(name: str) -> None:
    src = _input(name, 3)
    one, two = (filled(name, algorithm="direct_naive", threads=threads)(src) for threads in (1, 2))
    for each, other in zip(results(one), results(two), strict=True):
        np.testing.assert_array_equal(each, other)


def _torch_block(torch: Any, name: str) -> Any:
    """The layers of a block in a row; what has no weights has names of its own."""
    nn = torch.nn
    norm = nn.BatchNorm2d
    rows: dict[str, list[tuple[str, Any]]] = {
        "ConvBlock": [("conv", nn.Conv2d(5, 17, 3, padding=1, bias=False)), ("bn", norm(17)), ("r", nn.ReLU()),
                      ("p", nn.MaxPool2d(2))],
        "ConvBlock without pool": [("conv", nn.Conv2d(5, 17, 1, bias=False)), ("bn", norm(17)), ("r", nn.ReLU())],
        "ResNetStem": [("conv1", nn.Conv2d(3, 17, 7, 2, 3, bias=False)), ("bn1", norm(17)), ("r", nn.ReLU()),
                       ("p", nn.MaxPool2d(3, 2, 1))],
        "DarknetResidual": [("conv1", nn.Conv2d(34, 17, 1, bias=False)), ("bn1", norm(17)), ("r", nn.LeakyReLU(0.1)),
                            ("conv2", nn.Conv2d(17, 34, 3, padding=1, bias=False)), ("bn2", norm(34)),
                            ("s", nn.LeakyReLU(0.1))],
        "UNetDown": [("conv1", nn.Conv2d(5, 17, 3, padding=1, bias=False)), ("bn1", norm(17)), ("r", nn.ReLU()),
                     ("conv2", nn.Conv2d(17, 17, 3, padding=1, bias=False)), ("bn2", norm(17)), ("s", nn.ReLU())],
        "DepthwiseSeparable": [("conv1", nn.Conv2d(17, 17, 3, 2, 1, groups=17, bias=False)), ("bn1", norm(17)),
                               ("r", nn.ReLU()), ("conv2", nn.Conv2d(17, 20, 1, bias=False)), ("bn2", norm(20)),
                               ("s", nn.ReLU())],
    }  # fmt: skip
    return nn.Sequential(OrderedDict(rows[name])).eval()


@pytest.mark.parametrize("name", [name for name in BLOCKS if name != "DynamicConv2d"])
def test_a_block_is_torchs(name: str) -> None:
    torch = pytest.importorskip("torch")
    theirs, source, block = _torch_block(torch, name), filled(name), filled(name, threads=1)
    state = {key: torch.from_numpy(2 * array) for key, array in source.state_dict().items()}
    theirs.load_state_dict(state)
    assert str(block.load_state_dict(theirs.state_dict())) == "<All keys matched successfully>"
    src = torch.from_numpy(_input(name, 3))
    with torch.no_grad():
        expected = theirs(src)
        if name == "DarknetResidual":
            expected = expected + src
        both = (expected, torch.nn.functional.max_pool2d(expected, 2)) if name == "UNetDown" else (expected,)
    assert _error(results(block(src)), tuple(each.numpy() for each in both)) < 1e-5


def test_a_dynamic_convolution_is_what_torch_composes() -> None:
    torch = pytest.importorskip("torch")
    block, src = filled("DynamicConv2d", threads=1), torch.from_numpy(_input("DynamicConv2d", 3))
    state = {key: torch.from_numpy(array.copy()) for key, array in block.state_dict().items()}
    asked = torch.nn.functional.linear(src.mean((2, 3)), state["routing.weight"], state["routing.bias"])
    factors = torch.sigmoid(asked)
    weight = torch.einsum("nk,koihw->noihw", factors, state["weight"]).flatten(0, 1)
    bias = (factors @ state["bias"]).flatten()
    whole = src.reshape(1, -1, *src.shape[2:])
    expected = torch.nn.functional.conv2d(whole, weight, bias, padding=1, groups=6).reshape(3, -1, *src.shape[2:])
    assert _error((block(src),), (expected.numpy(),)) < 1e-5


@pytest.mark.parametrize("name", ["ConvBlock", "ResNetStem", "UNetDown", "DarknetResidual"])
def test_nan_passes_through(name: str) -> None:
    block, src = filled(name, algorithm="direct_naive", threads=1), _input(name, 1)
    src[0, 0, 4, 5] = np.nan
    for each, other in zip(results(block(src)), exact(name, block.state_dict(), src), strict=True):
        assert np.isnan(other).any() and not np.isnan(other).all()
        np.testing.assert_array_equal(np.isnan(each), np.isnan(other))


@each_block
def test_a_state_comes_back_and_counters_are_not_looked_at(name: str) -> None:
    first, second = filled(name), filled(name)
    state = {key: 2 * array for key, array in first.state_dict().items()}
    counters = {f"{key.rpartition('.')[0]}.num_batches_tracked": 7 for key in state if key.endswith("running_var")}
    assert str(second.load_state_dict(state | counters)) == "<All keys matched successfully>"
    back = second.state_dict()
    assert list(back) == list(state)
    for key, array in state.items():
        np.testing.assert_array_equal(back[key], array)


def test_a_state_that_does_not_fit_changes_nothing() -> None:
    block = filled("ConvBlock")
    before = block.state_dict()
    state = {key: np.ones(array.shape) for key, array in before.items()} | {"bn.bias": np.ones(3), "x": np.ones(1)}
    del state["bn.weight"]
    with pytest.raises(StateDictError) as refused:
        block.load_state_dict(state)
    for part in (
        "Error(s) in loading state_dict for ConvBlock:",
        'Missing key(s) in state_dict: "bn.weight". ',
        'Unexpected key(s) in state_dict: "x". ',
        "size mismatch for bn.bias: copying a param with shape torch.Size([3]) from checkpoint, "
        "the shape in current model is torch.Size([17]).",
    ):
        assert part in str(refused.value)
    assert all(array is before[key] for key, array in block.state_dict().items())
    assert block.load_state_dict({"bn.weight": np.ones(17)}, strict=False).missing_keys == [
        "conv.weight", "bn.bias", "bn.running_mean", "bn.running_var"
    ]  # fmt: skip
    with pytest.raises(ArgumentError, match="Expected state_dict to be dict-like"):
        block.load_state_dict([])


def test_new_weights_are_used_at_once_and_old_ones_cannot_be_written() -> None:
    block, src = filled("ConvBlock", algorithm="direct_naive", threads=1), _input("ConvBlock", 1)
    before = block(src)
    for layer, name in (("conv", "weight"), ("bn", "running_mean"), ("conv", "bias")):
        setattr(getattr(block, layer), name, np.full(17, 0.5) if name != "weight" else -block.conv.weight)
        after = block(src)
        assert np.abs(after - before).max() > 1e-2
        assert _error((after,), (block.unfused(src),)) < 1e-5
        before = after
    with pytest.raises(ValueError, match="read-only"):
        block.bn.weight[0] = 0
    with pytest.raises(ShapeError, match=r"running_var has shape \(1,\), expected \(17,\)"):
        block.bn.running_var = np.ones(1)


def test_folding_rounds_once() -> None:
    rng = np.random.default_rng(0)
    norm = BatchNorm2d(4)
    norm.running_mean, norm.running_var = rng.normal(0, 9, 4), rng.uniform(0.01, 9, 4)
    norm.weight, norm.bias = rng.normal(size=4), rng.normal(size=4)
    weight, bias = rng.normal(size=(4, 2, 3, 3)).astype("f4"), rng.normal(size=4).astype("f4")
    gamma, beta, mean, variance = (np.float64(each) for each in norm.state_dict().values())
    factor = gamma / np.sqrt(variance + 1e-5)
    folded, offset = fold(weight, bias, norm)
    np.testing.assert_array_equal(folded, (weight * factor[:, None, None, None]).astype("f4"))
    np.testing.assert_allclose(offset, ((bias - mean) * factor + beta).astype("f4"), rtol=1e-7)
    np.testing.assert_allclose(fold(weight, None, norm)[1], (beta - mean * factor).astype("f4"), rtol=1e-7)


def test_a_call_allocates_nothing_but_the_result() -> None:
    block = ConvBlock(4, 16, algorithm="direct_naive", threads=1)
    src = np.ones((2, 4, 40, 40), np.float32)
    expected = block(src)
    tracemalloc.start()
    try:
        block(src)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert expected.nbytes <= peak < expected.nbytes + 8192


def test_calls_from_several_threads_take_turns_and_few_plans_are_kept() -> None:
    block = filled("UNetDown", algorithm="direct_naive", threads=1)
    inputs = [np.full((1, 5, 6 + height, 7), height + 1.0, np.float32) for height in range(10)]
    expected = [block(src) for src in inputs]
    assert len(block._bound) == 8
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(block, inputs * 8))
    for i, each in enumerate(found):
        for one, other in zip(each, expected[i % len(inputs)], strict=True):
            np.testing.assert_array_equal(one, other)


@each_block
def test_an_empty_batch_has_a_result_of_none(name: str) -> None:
    block = filled(name, algorithm="direct_naive", threads=1)
    for each, one in zip(results(block(_input(name, 0))), results(block(_input(name, 1))), strict=True):
        assert each.shape == (0, *one.shape[1:]) and each.dtype == one.dtype


def test_inputs_that_do_not_fit_are_refused_in_torchs_words() -> None:
    block = ConvBlock(5, 17, threads=1, algorithm="direct_naive")
    for _ in range(2):  # the second time beside a plan that was kept
        with pytest.raises(ShapeError, match="to have 5 channels, but got 4 channels instead"):
            block(np.zeros((1, 4, 13, 11), np.float32))
        with pytest.raises(ShapeError, match=r"expected 4D input \(got 3D input\)"):
            block(np.zeros((5, 13, 11), np.float32))
        with pytest.raises(DtypeError, match="expected scalar type Double but found Float"):
            block(np.zeros((1, 5, 13, 11)))
        with pytest.raises(ArgumentError, match="input is of type list, expected an array"):
            block([[1.0]])
        sentence = r"Given input size: \(17x1x1\). Calculated output size: \(17x0x0\). Output size is too small"
        with pytest.raises(ShapeError, match=sentence):
            block(np.zeros((1, 5, 1, 1), np.float32))
        block(np.zeros((1, 5, 13, 11), np.float32))
    with pytest.raises(ShapeError, match="channels is 5, expected an even number"):
        DarknetResidual(5)
    with pytest.raises(ArgumentError, match="experts is 0, expected a whole number of at least 1"):
        DynamicConv2d(4, 4, 3, experts=0)
    with pytest.raises(DtypeError, match="dtype is int32, expected float32 or float64"):
        UNetDown(4, 4, dtype="int32")


def test_a_dynamic_convolution_without_bias() -> None:
    block = DynamicConv2d(4, 6, 3, bias=False, experts=2, rng=1, algorithm="direct_naive", threads=1)
    assert block.bias is None and list(block.state_dict()) == ["weight", "routing.weight", "routing.bias"]
    src = np.random.default_rng(1).normal(size=(2, 4, 5, 6)).astype("f4")
    assert _error((block(src),), (block.unfused(src),)) < 1e-6
    with pytest.raises(ShapeError, match="bias is given, expected none"):
        block.bias = np.ones((2, 6))


def test_images_that_do_not_fit_l2_pass_one_by_one_and_others_together() -> None:
    L2 = cache_bytes(2)
    assert images_at_once(6, L2 + 1) == 1
    assert images_at_once(6, L2) == 6
    assert images_at_once(12, L2) == 6  # a divisor: the plan is for one number of images
    assert images_at_once(11, L2) == 1
    assert images_at_once(1, 1) == 1
