"""Layers and blocks whose arguments and weights change, are copied, pickled and called at the same time."""

from __future__ import annotations

import copy
import pickle
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kernels import (
    ArgumentError,
    Conv2d,
    Conv2dProblem,
    ConvBlock,
    DynamicConv2d,
    Plan,
    ShapeError,
    UNetDown,
    UnknownAlgorithm,
    conv2d,
    plan,
)
from kernels.one_call import Shape

_SRC = np.random.default_rng(0).standard_normal((1, 4, 9, 8)).astype("f4")

_COPIES: tuple[Callable[[Any], Any], ...] = (copy.copy, copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each)))
each_copy = pytest.mark.parametrize("copied", _COPIES, ids=("copy", "deepcopy", "pickle"))


def _layer(**others: Any) -> Conv2d:
    return Conv2d(4, 6, 3, **{"padding": 1, "rng": 1, "algorithm": "direct_naive", "threads": 1, **others})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("stride", 2), ("stride", [2, 1]), ("padding", (2, 0)), ("padding", "same"), ("dilation", 2),
        ("padding_mode", "circular"), ("algorithm", "direct_tiled"), ("max_error", 1.0), ("window_only", True),
    ],
)  # fmt: skip
def test_an_argument_that_is_set_counts_from_the_next_call_on(name: str, value: Any) -> None:
    layer = _layer()
    before = layer(_SRC)
    setattr(layer, name, value)
    fresh = _layer(**{name: value})
    fresh.load_state_dict(layer.state_dict())
    np.testing.assert_array_equal(layer(_SRC), fresh(_SRC))
    assert layer(_SRC).shape == layer.output_shape(_SRC.shape)
    assert repr(layer) == repr(fresh) and getattr(layer, name) == getattr(fresh, name)
    setattr(layer, name, getattr(_layer(), name))
    np.testing.assert_array_equal(layer(_SRC), before)


def test_arguments_that_cannot_be_are_refused_when_they_are_set() -> None:
    layer = _layer()
    for name, value, error in (
        ("algorithm", "direct_naiv", UnknownAlgorithm), ("algorithm", None, ArgumentError), ("stride", 1.5, TypeError),
        ("threads", 0, ValueError), ("padding", "valide", ShapeError), ("groups", 4, ShapeError),
        ("max_error", float("nan"), ValueError), ("kernel_size", 5, ShapeError), ("in_channels", 3, ShapeError),
        ("window_only", "no", ArgumentError),
    ):  # fmt: skip
        with pytest.raises(error):
            setattr(layer, name, value)
    layer.kernel_size, layer.in_channels, layer.out_channels = (3, 3), 4, 6
    with pytest.raises(TypeError, match="does not support item assignment"):
        layer.stride[0] = 2
    layer.groups = 2
    # As in torch, weights stay, and the input has as many channels as they ask for.
    assert layer(np.ones((1, 8, 9, 8), "f4")).shape == (1, 6, 9, 8) and layer.in_channels == 8
    np.testing.assert_array_equal(_layer()(_SRC), _layer()(_SRC))


def test_weights_cannot_be_made_writeable() -> None:
    for layer in (_layer(), copy.deepcopy(_layer()), pickle.loads(pickle.dumps(_layer()))):
        with pytest.raises(ValueError, match="read-only"):
            layer.weight[:] = 0
        if layer.weight.base is not None:
            with pytest.raises(ValueError, match="cannot set WRITEABLE flag"):
                layer.weight.flags.writeable = True


@each_copy
@pytest.mark.parametrize("called", [False, True], ids=["fresh", "called"])
@pytest.mark.parametrize(
    "make",
    [
        _layer,
        lambda: ConvBlock(4, 6, algorithm="direct_naive", threads=1, rng=1),
        lambda: UNetDown(4, 6, algorithm="direct_naive", threads=1, rng=1),
        lambda: DynamicConv2d(4, 6, 3, algorithm="direct_naive", threads=1, rng=1),
    ],
    ids=["Conv2d", "ConvBlock", "UNetDown", "DynamicConv2d"],
)
def test_copies_compute_the_same_and_change_alone(make: Callable[[], Any], called: bool, copied: Any) -> None:
    made = make()
    if called:
        made(_SRC)
    twin = copied(made)
    first = made(_SRC)
    np.testing.assert_array_equal(twin(_SRC)[0], first[0])
    own = twin if hasattr(twin, "weight") else copied(twin.conv if hasattr(twin, "conv") else twin.conv1)
    own.weight = np.zeros_like(own.weight)
    np.testing.assert_array_equal(made(_SRC)[0], first[0])
    if own is twin:
        assert not np.array_equal(twin(_SRC), first)


@each_copy
def test_plans_and_problems_are_copied(copied: Any) -> None:
    p = Conv2dProblem.parse("ic4ih9iw8oc6kh3ph1b1")
    rng = np.random.default_rng(2)
    wei, bia = (rng.standard_normal(shape).astype("f4") for shape in (p.weight_shape, (p.oc,)))
    assert copied(p) == p
    for name in ("direct_naive", "direct_tiled", "winograd_f4x3", "auto"):
        bound = plan(p, wei, bia, algorithm=name, threads=1)
        twin = copied(bound)
        assert twin.setup.packed[-1] is not bound.setup.packed[-1] and twin.choice.why == bound.choice.why
        np.testing.assert_array_equal(twin(_SRC), bound(_SRC))


def test_a_plan_of_other_code_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    p = Conv2dProblem.parse("ic4ih9oc6kh3")
    state = pickle.dumps(plan(p, np.ones(p.weight_shape, "f4"), algorithm="direct_naive", threads=1))
    monkeypatch.setattr(sys.modules["kernels.plan"], "code_digest", lambda module: "other")
    with pytest.raises(ValueError, match="pickled by another version or for another CPU"):
        pickle.loads(state)


def test_weights_that_are_set_while_a_plan_is_made_count(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = _layer(bias=False)
    begun, go_on = threading.Event(), threading.Event()
    make = Shape.plan

    def slow(*arguments: Any, **others: Any) -> Plan:
        made = make(*arguments, **others)
        begun.set()
        assert go_on.wait(30)
        return made

    monkeypatch.setattr(Shape, "plan", slow)
    caller = threading.Thread(target=layer, args=(_SRC,))
    caller.start()
    assert begun.wait(30)
    layer.weight = np.zeros_like(layer.weight)
    go_on.set()
    caller.join()
    assert not layer(_SRC).any()


def test_what_is_set_in_a_layer_of_a_block_counts() -> None:
    block = ConvBlock(4, 6, algorithm="direct_naive", threads=1, rng=1)
    first = block(_SRC)
    block.bn.eps = 1.0
    assert not np.allclose(block(_SRC), first)
    np.testing.assert_allclose(block(_SRC), block.unfused(_SRC), rtol=1e-5, atol=1e-6)
    block.bn.eps = 1e-5
    np.testing.assert_array_equal(block(_SRC), first)
    block.conv.stride = 2
    assert block(_SRC).shape == block.unfused(_SRC).shape != first.shape
    block.algorithm = "direct_tiled"
    np.testing.assert_allclose(block(_SRC), block.unfused(_SRC), rtol=1e-5, atol=1e-6)
    with pytest.raises(UnknownAlgorithm):
        block.algorithm = "none"


def test_a_layer_sees_the_same_arguments_as_the_function() -> None:
    for arguments in (
        {"stride": 2, "padding": (2, 1)},
        {"padding_mode": "reflect"},
        {"padding": "same", "dilation": 2},
    ):
        layer = _layer(**arguments)
        given = {"padding": 1, **arguments}
        expected = conv2d(_SRC, layer.weight, layer.bias, **given, algorithm="direct_naive", threads=1)
        np.testing.assert_array_equal(layer(_SRC), expected)
