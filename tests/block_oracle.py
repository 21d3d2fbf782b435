"""Blocks with weights that are not the initial ones, and what they should give, composed in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

import kernels
from kernels import Conv2dProblem, conv2d_reference

__all__ = ["BLOCKS", "exact", "filled", "max_pool", "results"]

#: By name: the class, its arguments, an input of one image at odd sizes.
BLOCKS: dict[str, tuple[str, tuple[Any, ...], dict[str, Any], tuple[int, int, int]]] = {
    "ConvBlock": ("ConvBlock", (5, 17), {}, (5, 13, 11)),
    "ConvBlock without pool": ("ConvBlock", (5, 17), {"kernel_size": 1, "padding": 0, "pool": False}, (5, 7, 9)),
    "ResNetStem": ("ResNetStem", (3, 17), {}, (3, 37, 41)),
    "DarknetResidual": ("DarknetResidual", (34,), {}, (34, 7, 9)),
    "UNetDown": ("UNetDown", (5, 17), {}, (5, 13, 11)),
    "DepthwiseSeparable": ("DepthwiseSeparable", (17, 20), {"stride": 2}, (17, 13, 11)),
    "DynamicConv2d": ("DynamicConv2d", (8, 6, 3), {"padding": 1, "groups": 2, "experts": 3}, (8, 9, 7)),
}


def filled(name: str, **settings: Any) -> Any:
    """The block of that name; variances are positive, and the rest is normal."""
    kind, arguments, keywords, _ = BLOCKS[name]
    block = getattr(kernels, kind)(*arguments, **keywords, rng=1, **settings)
    rng = np.random.default_rng(3)
    state = {}
    for key, array in block.state_dict().items():
        values = rng.normal(0, 0.5, array.shape)
        state[key] = np.abs(values) + 0.3 if key.endswith("running_var") else values
    block.load_state_dict(state)
    return block


def results(result: Any) -> tuple[np.ndarray, ...]:
    """What a block gives, as a tuple whether it is one array or two."""
    return result if isinstance(result, tuple) else (result,)


def exact(name: str, state: dict[str, np.ndarray], src: np.ndarray) -> tuple[np.ndarray, ...]:
    """The block of that name in float64, step by step."""
    weights = {key: array.astype(np.float64) for key, array in state.items()}
    return _ORACLES[name.split()[0]](weights, src.astype(np.float64), name)


def _conv(
    src: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None, stride: int = 1, pad: int = 0, g: int = 1
) -> np.ndarray:
    (mb, ic, ih, iw), (oc, _, kh, kw) = src.shape, weight.shape
    problem = Conv2dProblem(
        mb=mb, ic=ic, ih=ih, iw=iw, oc=oc, kh=kh, kw=kw, g=g, sh=stride, sw=stride, ph=pad, pw=pad,
        bias=bias is not None, dtype="float64",
    )  # fmt: skip
    return conv2d_reference(problem, src, weight, bias)


def _norm(src: np.ndarray, weights: dict[str, np.ndarray], layer: str) -> np.ndarray:
    factor, offset, mean, variance = (
        weights[f"{layer}.{name}"][:, None, None] for name in ("weight", "bias", "running_mean", "running_var")
    )
    return (src - mean) / np.sqrt(variance + 1e-5) * factor + offset


def max_pool(src: np.ndarray, kernel_size: int, stride: int, padding: int) -> np.ndarray:
    """Greatest elements of windows; NaN is the greatest."""
    edge = (padding, padding)
    padded = np.pad(src, ((0, 0), (0, 0), edge, edge), constant_values=-np.inf)
    return sliding_window_view(padded, (kernel_size, kernel_size), (2, 3))[:, :, ::stride, ::stride].max((-2, -1))


def _relu(values: np.ndarray, slope: float = 0.0) -> np.ndarray:
    return np.where(values < 0, slope * values, values)


def _pooled(weights: dict[str, np.ndarray], src: np.ndarray, name: str) -> tuple[np.ndarray, ...]:
    if name == "ResNetStem":
        return (max_pool(_relu(_norm(_conv(src, weights["conv1.weight"], None, 2, 3), weights, "bn1")), 3, 2, 1),)
    pad = weights["conv.weight"].shape[-1] // 2
    result = _relu(_norm(_conv(src, weights["conv.weight"], None, 1, pad), weights, "bn"))
    return (result if name.endswith("without pool") else max_pool(result, 2, 2, 0),)


def _darknet(weights: dict[str, np.ndarray], src: np.ndarray, name: str) -> tuple[np.ndarray, ...]:
    narrow = _relu(_norm(_conv(src, weights["conv1.weight"]), weights, "bn1"), 0.1)
    return (_relu(_norm(_conv(narrow, weights["conv2.weight"], None, 1, 1), weights, "bn2"), 0.1) + src,)


def _unet(weights: dict[str, np.ndarray], src: np.ndarray, name: str) -> tuple[np.ndarray, ...]:
    for layer in ("1", "2"):
        src = _relu(_norm(_conv(src, weights[f"conv{layer}.weight"], None, 1, 1), weights, f"bn{layer}"))
    return src, max_pool(src, 2, 2, 0)


def _separable(weights: dict[str, np.ndarray], src: np.ndarray, name: str) -> tuple[np.ndarray, ...]:
    own = _relu(_norm(_conv(src, weights["conv1.weight"], None, 2, 1, src.shape[1]), weights, "bn1"))
    return (_relu(_norm(_conv(own, weights["conv2.weight"]), weights, "bn2")),)


def _dynamic(weights: dict[str, np.ndarray], src: np.ndarray, name: str) -> tuple[np.ndarray, ...]:
    asked = src.mean((2, 3)) @ weights["routing.weight"].T + weights["routing.bias"]
    results = []
    for image, factors in zip(src, 1 / (1 + np.exp(-asked)), strict=True):
        weight, bias = (np.tensordot(factors, weights[key], 1) for key in ("weight", "bias"))
        results.append(_conv(image[None], weight, bias, 1, 1, 2)[0])
    return (np.stack(results),)


_ORACLES: dict[str, Callable[[dict[str, np.ndarray], np.ndarray, str], tuple[np.ndarray, ...]]] = {
    "ConvBlock": _pooled,
    "ResNetStem": _pooled,
    "DarknetResidual": _darknet,
    "UNetDown": _unet,
    "DepthwiseSeparable": _separable,
    "DynamicConv2d": _dynamic,
}
