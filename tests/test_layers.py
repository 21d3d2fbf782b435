"""`Conv2d` and `LazyConv2d`: torch.nn's constructor, weights, words and results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch_cases import fill

from kernels import ArgumentError, Conv2d, DtypeError, LazyConv2d, ShapeError, StateDictError, conv2d

_LAYERS: tuple[dict[str, Any], ...] = (
    {},
    {"padding": 1},
    {"padding": "same", "dilation": 2},
    {"padding": (1, 2), "dilation": 2, "bias": False, "padding_mode": "circular"},
    {"padding": "same", "padding_mode": "reflect"},
    {"padding": "valid", "padding_mode": "replicate", "stride": (2, 1)},
    {"groups": 2, "stride": 2, "dtype": "float64"},
)


def _layer(**numbers: Any) -> Conv2d:
    return Conv2d(4, 6, (3, 2), rng=1, algorithm="direct_naive", threads=1, **numbers)


@pytest.mark.parametrize("numbers", _LAYERS, ids=str)
@pytest.mark.parametrize("shape", [(2, 4, 9, 8), (4, 9, 8), (0, 4, 9, 8)], ids=str)
def test_a_layer_is_torchs(numbers: dict[str, Any], shape: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    ours = _layer(**numbers)
    dtype = numbers.get("dtype", "float32")
    theirs = torch.nn.Conv2d(4, 6, (3, 2), **(numbers | {"dtype": getattr(torch, dtype)}))
    assert repr(ours) == repr(theirs)
    assert str(ours.load_state_dict(theirs.state_dict())) == "<All keys matched successfully>"
    src = fill(list(shape), dtype, 1)
    expected = theirs(torch.from_numpy(src)).detach().numpy()
    for _ in range(2):  # the second from the plan that was kept
        np.testing.assert_allclose(ours(src), expected, atol=1e-5)
    assert ours.output_shape(shape) == expected.shape
    theirs.load_state_dict({name: torch.from_numpy(each.copy()) for name, each in ours.state_dict().items()})


@pytest.mark.parametrize(
    "numbers",
    [{"groups": 0}, {"groups": 3}, {"groups": 4}, {"padding": "same", "stride": 2}],
    ids=str,
)
def test_a_constructor_refuses_in_torchs_words(numbers: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(ValueError) as theirs:
        torch.nn.Conv2d(4, 6, (3, 2), **numbers)
    with pytest.raises(ShapeError) as ours:
        _layer(**numbers)
    assert str(ours.value) == str(theirs.value)


_STATES: tuple[dict[str, tuple[int, ...]], ...] = (
    {"weight": (6, 4, 3, 2)},
    {"weight": (6, 4, 3, 2), "bias": (6,), "foo": (1,), "bar.x": (2,)},
    {"weight": (6, 4, 2, 2), "bias": (3,)},
    {"weight": (6, 4, 2, 2), "foo": (3,)},
    {"weight": (6, 4, 3, 2), "bias": ()},
    {},
)


@pytest.mark.parametrize("shapes", _STATES, ids=str)
def test_a_state_that_does_not_fit_is_refused_in_torchs_words_and_changes_nothing(
    shapes: dict[str, tuple[int, ...]],
) -> None:
    torch = pytest.importorskip("torch")
    state = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    with pytest.raises(RuntimeError) as theirs:
        torch.nn.Conv2d(4, 6, (3, 2)).load_state_dict({name: torch.from_numpy(each) for name, each in state.items()})
    layer = _layer()
    before = layer.weight.copy()
    with pytest.raises(StateDictError) as ours:
        layer.load_state_dict(state)
    assert str(ours.value) == str(theirs.value)
    np.testing.assert_array_equal(layer.weight, before)


def test_a_state_may_be_loaded_in_part() -> None:
    keys = _layer().load_state_dict({"weight": np.ones((6, 4, 3, 2), np.float32), "foo": np.ones(1)}, strict=False)
    assert keys.missing_keys == ["bias"] and keys.unexpected_keys == ["foo"]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_weights_come_from_a_safetensors_file(tmp_path: Path, dtype: str) -> None:
    numpy_files = pytest.importorskip("safetensors.numpy")
    drawn = np.random.default_rng(0)
    state = {"weight": drawn.normal(size=(6, 4, 3, 2)).astype(dtype), "bias": drawn.normal(size=6).astype(dtype)}
    numpy_files.save_file(state, tmp_path / "layer.safetensors")
    layer = _layer()
    keys = layer.load_state_dict(numpy_files.load_file(tmp_path / "layer.safetensors"))
    assert str(keys) == "<All keys matched successfully>"
    for name, array in layer.state_dict().items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, state[name].astype(np.float32))


@pytest.mark.parametrize(
    ("foreign", "said"),
    [
        (np.zeros(6, "V2"), r"bias has dtype \|V2, expected real numbers, such as float16 or float32"),
        (np.zeros(6, "S1"), "bias has dtype"),
        (np.zeros(6, object), "bias has dtype object"),
        (np.zeros(6, np.complex64), "bias has dtype complex64"),
    ],
)
def test_weights_that_are_no_real_numbers_are_refused_and_change_nothing(foreign: np.ndarray, said: str) -> None:
    layer = _layer()
    before = layer.weight.copy()
    with pytest.raises(DtypeError, match=said):
        layer.load_state_dict({"weight": np.ones((6, 4, 3, 2)), "bias": foreign})
    np.testing.assert_array_equal(layer.weight, before)
    with pytest.raises(DtypeError, match=said):
        layer.bias = foreign


def test_bfloat16_is_refused_in_a_sentence() -> None:
    torch = pytest.importorskip("torch")
    state = {"weight": torch.ones(6, 4, 3, 2, dtype=torch.bfloat16), "bias": torch.ones(6)}
    with pytest.raises(ArgumentError, match=r"weight cannot be read as a NumPy array: .*BFloat16"):
        _layer().load_state_dict(state)


def test_weights_are_drawn_within_torchs_bounds_and_by_a_seed() -> None:
    layer, same, other = (Conv2d(16, 64, 5, rng=seed) for seed in (3, 3, 4))
    bound = 1 / np.sqrt(16 * 25)
    for drawn in (layer.weight, layer.bias):
        assert drawn is not None and np.abs(drawn).max() <= bound and np.abs(drawn).max() > 0.9 * bound
    assert layer.weight.std() == pytest.approx(bound / np.sqrt(3), rel=0.02)
    np.testing.assert_array_equal(layer.weight, same.weight)
    assert not np.array_equal(layer.weight, other.weight)


@pytest.mark.parametrize(
    ("arguments", "deviation"),
    [({}, np.sqrt(2 / 400)), ({"a": 1.0}, np.sqrt(1 / 400)), 
     ({"mode": "fan_out", "nonlinearity": "relu"}, np.sqrt(2 / 1600))],
)  # fmt: skip
def test_kaiming_normal(arguments: dict[str, Any], deviation: float) -> None:
    assert Conv2d(16, 64, 5, rng=3).kaiming_normal_(**arguments).weight.std() == pytest.approx(deviation, rel=0.02)
    with pytest.raises(ValueError, match="mode is 'fan', expected"):
        Conv2d(1, 1, 1).kaiming_normal_(mode="fan")
    with pytest.raises(ValueError, match="nonlinearity is 'selu', expected one of"):
        Conv2d(1, 1, 1).kaiming_normal_(nonlinearity="selu")


def test_new_weights_are_used_at_once_and_old_ones_cannot_be_written() -> None:
    layer, src = _layer(), fill([1, 4, 9, 8], "float32", 1)
    layer(src)
    layer.weight = 2 * layer.weight
    layer.bias = np.zeros(6, np.float32)
    expected = conv2d(src, layer.weight, algorithm="direct_naive", threads=1)
    np.testing.assert_array_equal(layer(src), expected)
    with pytest.raises(ValueError, match="read-only"):
        layer.weight[0] = 0
    with pytest.raises(ShapeError, match=r"weight has shape \(1,\), expected \(6, 4, 3, 2\)"):
        layer.weight = np.zeros(1)


def test_many_shapes_of_input_keep_few_plans() -> None:
    layer = _layer()
    for height in range(5, 25):
        assert layer(fill([1, 4, height, 5], "float32", 1)).shape == layer.output_shape((1, 4, height, 5))
    assert len(layer._plans) == 8


def test_out_and_faults_of_a_call() -> None:
    layer, src = _layer(), fill([1, 4, 9, 8], "float32", 1)
    out = np.empty(layer.output_shape(src.shape), np.float32)
    assert layer(src, out) is out
    np.testing.assert_array_equal(out, layer(src))
    with pytest.raises(ShapeError, match=r"out has shape .3,., expected"):
        layer(src, np.empty(3, np.float32))
    for _ in range(2):
        with pytest.raises(DtypeError, match=r"Input type .double. and bias type .float. should be the same"):
            layer(src.astype(np.float64))
    with pytest.raises(ShapeError, match="to have 4 channels, but got 5 channels instead"):
        layer(fill([1, 5, 9, 8], "float32", 1))


def test_a_lazy_layer_takes_its_channels_from_the_first_input() -> None:
    lazy = LazyConv2d(6, 3, padding=1, rng=1, algorithm="direct_naive", threads=1)
    assert repr(lazy) == "LazyConv2d(0, 6, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))"
    with pytest.raises(ShapeError, match=r"input to LazyConv2d, but got input of size: torch.Size\(\[3, 8\]\)"):
        lazy(np.zeros((3, 8), np.float32))
    src = fill([3, 8, 8], "float32", 1)
    result = lazy(src)
    assert repr(lazy) == "Conv2d(3, 6, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))"
    expected = conv2d(src, lazy.weight, lazy.bias, padding=1, algorithm="direct_naive", threads=1)
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize(
    "ask",
    [
        LazyConv2d.state_dict,
        LazyConv2d.kaiming_normal_,
        lambda lazy: lazy.weight,
        lambda lazy: lazy.bias,
        lambda lazy: lazy.output_shape((1, 2, 8, 8)),
        lambda lazy: setattr(lazy, "weight", np.ones((6, 2, 3, 3))),
        lambda lazy: setattr(lazy, "bias", np.ones(6)),
    ],
)
def test_a_lazy_layer_says_that_it_has_no_weights_yet(ask: Callable[[LazyConv2d], object]) -> None:
    lazy = LazyConv2d(6, 3)
    lazy.reset_parameters()
    expected = r"^LazyConv2d has no weights yet, expected a call or load_state_dict before$"
    with pytest.raises(StateDictError, match=expected):
        ask(lazy)
    lazy.load_state_dict({"weight": np.ones((6, 2, 3, 3)), "bias": np.zeros(6)})
    ask(lazy)


def test_a_lazy_layer_takes_its_channels_from_weights() -> None:
    state = {"weight": np.ones((6, 2, 3, 3), np.float32)}
    lazy = LazyConv2d(6, 3, groups=2, bias=False)
    with pytest.raises(StateDictError, match="Unexpected key"):
        lazy.load_state_dict(state | {"bias": np.ones(6, np.float32)})
    with pytest.raises(DtypeError):
        lazy.load_state_dict({"weight": state["weight"].astype(object)})
    assert type(lazy) is LazyConv2d and lazy.in_channels == 0
    lazy.load_state_dict(state)
    assert type(lazy) is Conv2d and lazy.in_channels == 4
    with pytest.raises(ShapeError, match="in_channels must be divisible by groups"):
        LazyConv2d(6, 3, groups=2)(np.zeros((3, 8, 8), np.float32))
