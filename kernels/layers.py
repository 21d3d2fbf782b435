"""`Conv2d` and `LazyConv2d`: torch.nn's layers of these names on NumPy arrays, with a plan for each shape of input."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np

from kernels.arguments import Ints, as_array, check_out, read_groups, read_ints, read_padding, read_padding_mode
from kernels.errors import ArgumentError, DtypeError, ShapeError, StateDictError
from kernels.functional import padded_and_described
from kernels.geometry import check_channels, check_same_strides
from kernels.parameters import IncompatibleKeys, own_array, read_state
from kernels.plan import Plan, plan
from kernels.problem import Conv2dProblem

__all__ = ["Conv2d", "LazyConv2d"]


#: Plans that a layer keeps, each with packed weights and scratch: shapes of input that take turns.
_PLANS = 8


class Conv2d:
    """A convolution with weights of its own and the constructor of ``torch.nn.Conv2d``.

    Weights start as torch's do: uniform within 1 / sqrt(fan_in), and so does the bias. The arrays
    are read-only: assign other ones (or `load_state_dict`), and the plans are made anew.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size : int or pair of int
    stride, padding, dilation, groups, padding_mode
        As for `conv2d`.
    bias : bool
    dtype : {"float32", "float64"} or the NumPy dtype
    rng : numpy.random.Generator or int, optional
        Draws the weights; an int seeds a new one.
    algorithm, threads, max_error, max_workspace
        As for `conv2d`.

    Raises
    ------
    ShapeError
        Channels are no multiples of ``groups``, or padding and stride do not go together; torch
        raises ValueErrors of the same words.
    DtypeError, ArgumentError
        As for `conv2d`.
    """

    #: Whether weights wait for the first input.
    _lazy = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Ints | str = 0,
        dilation: Ints = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        dtype: Any = "float32",
        *,
        rng: np.random.Generator | int | None = None,
        algorithm: str = "auto",
        threads: int | None = None,
        max_error: float | None = None,
        max_workspace: int | None = None,
    ) -> None:
        self.groups = read_groups(groups)
        if self.groups <= 0:
            raise ShapeError("groups must be a positive integer")
        check_channels("in_channels", in_channels, self.groups)
        check_channels("out_channels", out_channels, self.groups)
        self.stride, self.dilation = read_ints("stride", stride), read_ints("dilation", dilation)
        self.padding = read_padding(padding)
        if isinstance(self.padding, str):
            if self.padding not in ("same", "valid"):
                raise ShapeError(f"Invalid padding string '{padding!s}', should be one of {{'same', 'valid'}}")
            if self.padding == "same":
                check_same_strides(self.stride)
        self.padding_mode = read_padding_mode(padding_mode)
        self.kernel_size = read_ints("kernel_size", kernel_size)
        if len(self.kernel_size) != 2 or min(self.kernel_size) < 0:
            raise ArgumentError(f"kernel_size is {kernel_size!r}, expected an int or a pair of ints, not negative")
        self.dtype = np.dtype(dtype)
        if self.dtype.name not in ("float32", "float64"):
            raise DtypeError(f"dtype is {self.dtype}, expected float32 or float64")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.algorithm, self.threads = algorithm, threads
        self.max_error, self.max_workspace = max_error, max_workspace
        self._rng = np.random.default_rng(rng)
        self._plans: OrderedDict[tuple[int, ...], tuple[Plan | None, tuple[int, ...]]] = OrderedDict()
        self._has_bias = bool(bias)
        self._weight: np.ndarray | None = None
        self._bias: np.ndarray | None = None
        if not self._lazy:
            self.reset_parameters()

    # -- weights ----------------------------------------------------------

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """``(out_channels, in_channels // groups, kH, kW)``."""
        return self.out_channels, self.in_channels // self.groups, self.kernel_size[0], self.kernel_size[1]

    @property
    def weight(self) -> np.ndarray:
        """Weights, read-only; assign to change them."""
        self._require_channels()
        assert self._weight is not None
        return self._weight

    @weight.setter
    def weight(self, value: Any) -> None:
        self._require_channels()
        self._weight = own_array("weight", value, self.weight_shape, self.dtype)
        self._plans.clear()

    @property
    def bias(self) -> np.ndarray | None:
        """Bias, read-only, or None; assign to change it."""
        self._require_channels()
        return self._bias

    @bias.setter
    def bias(self, value: Any) -> None:
        self._require_channels()
        self._bias = None if value is None else own_array("bias", value, (self.out_channels,), self.dtype)
        self._has_bias = value is not None
        self._plans.clear()

    def _require_channels(self) -> None:
        if self._lazy and not self.in_channels:
            raise StateDictError("LazyConv2d has no weights yet, expected a call or load_state_dict before")

    def reset_parameters(self) -> None:
        """Draw weights and bias as torch does, uniform within 1 / sqrt(fan_in)."""
        fan_in = _fan(self.weight_shape, "fan_in")
        bound = 1 / np.sqrt(fan_in) if fan_in else 0.0
        self.weight = self._rng.uniform(-bound, bound, self.weight_shape)
        if self._has_bias:
            self.bias = self._rng.uniform(-bound, bound, self.out_channels)

    def kaiming_normal_(self, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Conv2d:
        """Draw the weights as ``torch.nn.init.kaiming_normal_`` and return the layer; the bias stays.

        Parameters
        ----------
        a : float
            Slope of a leaky ReLU below zero.
        mode : {"fan_in", "fan_out"}
        nonlinearity : {"leaky_relu", "relu", "linear"}
        """
        self._require_channels()
        deviation = _gain(nonlinearity, a) / np.sqrt(_fan(self.weight_shape, mode))
        self.weight = self._rng.normal(0.0, deviation, self.weight_shape)
        return self

    def state_dict(self) -> dict[str, np.ndarray]:
        """Weights by torch's names, ``weight`` and ``bias``."""
        return {"weight": self.weight} | ({} if self.bias is None else {"bias": self.bias})

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Take weights by torch's names, rounded to the layer's dtype; either all of them, or none.

        A safetensors file is loaded by ``layer.load_state_dict(safetensors.numpy.load_file(path))``.
        NumPy has no bfloat16: reading a file of it fails unless ml_dtypes is imported, which
        teaches it to NumPy.

        Raises
        ------
        StateDictError
            Names are missing or unknown (if ``strict``), or shapes differ: torch's words.
        DtypeError
            Elements are no real numbers; of complex ones torch would drop the imaginary parts.
        ArgumentError
            It is no mapping, or holds what is no array, such as a torch tensor of bfloat16.
        """
        shapes = {"weight": self.weight_shape} | ({"bias": (self.out_channels,)} if self._has_bias else {})
        found, keys = read_state(state_dict, shapes, strict, type(self).__name__)
        for name, array in found.items():
            setattr(self, name, array)
        return keys

    # -- calls ------------------------------------------------------------

    def __call__(self, input: Any, out: np.ndarray | None = None) -> np.ndarray:
        """Convolve; packing and choosing are done once for each shape of input.

        Raises
        ------
        ShapeError, DtypeError, ArgumentError
            As `conv2d`.
        """
        src = as_array("input", input)
        known = self._plans.get(src.shape) if src.dtype == self.dtype else None
        if known is not None and self.padding_mode == "zeros":
            bound, shape, padded = *known, src
        else:
            padded, problem, shape = self._described(src)
            bound, shape = known or self._bind(src.shape, problem, shape)
        if out is not None:
            check_out(out, shape, src.dtype, {"input": src, "weight": self.weight, "bias": self.bias})
        into = np.empty(shape, src.dtype) if out is None else out
        if bound is not None:
            batched = src.ndim == 4
            bound(padded if batched else padded[None], into if batched else into[None])
        return into

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of the result for an input of that shape, or raise what a call would."""
        return self._described(np.broadcast_to(np.zeros((), self.dtype), input_shape))[2]

    def _described(self, src: np.ndarray) -> tuple[np.ndarray, Conv2dProblem | None, tuple[int, ...]]:
        numbers = self.stride, self.padding, self.dilation, self.groups, self.padding_mode
        return padded_and_described(src, self.weight, self.bias, *numbers)

    def _bind(
        self, given: tuple[int, ...], problem: Conv2dProblem | None, shape: tuple[int, ...]
    ) -> tuple[Plan | None, tuple[int, ...]]:
        bound = None
        if problem is not None:
            bound = plan(
                problem, self.weight, self.bias, algorithm=self.algorithm, threads=self.threads,
                max_error=self.max_error, max_workspace=self.max_workspace,
            )  # fmt: skip
        self._plans[given] = bound, shape
        if len(self._plans) > _PLANS:
            self._plans.popitem(last=False)
        return bound, shape

    def __repr__(self) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}", f"kernel_size={tuple(self.kernel_size)}"]
        parts.append(f"stride={tuple(self.stride)}")
        padding = self.padding if isinstance(self.padding, str) else tuple(self.padding)
        if any(padding) if isinstance(padding, tuple) else padding:
            parts.append(f"padding={padding}")
        if any(step != 1 for step in self.dilation):
            parts.append(f"dilation={tuple(self.dilation)}")
        parts += [f"groups={self.groups}"] * (self.groups != 1) + ["bias=False"] * (not self._has_bias)
        parts += [f"padding_mode={self.padding_mode}"] * (self.padding_mode != "zeros")
        return f"{type(self).__name__}({', '.join(parts)})"


class LazyConv2d(Conv2d):
    """A `Conv2d` that takes ``in_channels`` from its first input, or from weights that it loads.

    Parameters are those of `Conv2d` without the first; it is one of them from then on, as in torch.
    Until then it has no weights, and whatever asks for them or sets them raises `StateDictError`:
    ``state_dict`` too, where torch gives placeholders that can do nothing but be loaded by another
    lazy layer.
    """

    _lazy = True

    def __init__(self, out_channels: int, kernel_size: Ints, *arguments: Any, **others: Any) -> None:
        super().__init__(0, out_channels, kernel_size, *arguments, **others)

    def _settle(self, in_channels: int) -> None:
        check_channels("in_channels", in_channels, self.groups)
        self.in_channels = in_channels
        self.__class__ = Conv2d  # type: ignore[assignment]

    def reset_parameters(self) -> None:
        """Do nothing: there is nothing to draw yet, as in torch."""

    def __call__(self, input: Any, out: np.ndarray | None = None) -> np.ndarray:
        """Infer ``in_channels``, draw the weights, convolve."""
        src = as_array("input", input)
        if src.ndim not in (3, 4):
            raise ShapeError(
                "Expected 3D (unbatched) or 4D (batched) input to LazyConv2d, "
                f"but got input of size: torch.Size({list(src.shape)})"
            )
        self._settle(src.shape[-3])
        self.reset_parameters()
        return self(src, out)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
        """As `Conv2d.load_state_dict`; ``in_channels`` is that of the weights."""
        weight = state_dict.get("weight") if isinstance(state_dict, Mapping) else None
        if weight is None or np.ndim(weight) != 4:
            raise StateDictError("LazyConv2d has no weights yet, expected a state_dict with a weight of 4 dimensions")
        self.in_channels = np.shape(weight)[1] * self.groups
        try:
            keys = super().load_state_dict(state_dict, strict)
        except (ValueError, TypeError):
            self.in_channels = 0
            raise
        self._settle(self.in_channels)
        return keys


def _fan(shape: tuple[int, int, int, int], mode: str) -> int:
    """Inputs of one output element, or outputs of one input element, by the weights' shape.

    Raises
    ------
    ValueError
        ``mode`` is neither fan_in nor fan_out.
    """
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode is {mode!r}, expected 'fan_in' or 'fan_out'")
    oc, icg, kh, kw = shape
    return (icg if mode == "fan_in" else oc) * kh * kw


def _gain(nonlinearity: str, slope: float) -> float:
    """Factor that keeps the variance behind a nonlinearity (He et al. 2015, arXiv:1502.01852).

    Raises
    ------
    ValueError
        It is none of leaky_relu, relu and linear.
    """
    gains = {"linear": 1.0, "relu": math.sqrt(2.0), "leaky_relu": math.sqrt(2.0 / (1.0 + slope**2))}
    if nonlinearity not in gains:
        raise ValueError(f"nonlinearity is {nonlinearity!r}, expected one of {', '.join(gains)}")
    return gains[nonlinearity]
