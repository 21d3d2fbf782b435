"""`Conv2d` and `LazyConv2d`: torch.nn's layers of these names on NumPy arrays, with a plan for each shape of input.

A plan is found by all that it was made of, never by what the layer remembers: the shape and dtype of the input, what is
asked for, and the arrays themselves, which are never written to. So whatever is assigned counts from the next call on,
in each thread, and copies and pickles of a layer start without plans.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np

from kernels.arguments import (
    Asked,
    Ints,
    as_array,
    check_out,
    read_algorithm,
    read_budgets,
    read_count,
    read_groups,
    read_ints,
    read_padding,
    read_padding_mode,
)
from kernels.backward import Gradients, PlanOf, gradients_of_convolution, known_gradient, plan_of
from kernels.errors import ArgumentError, DtypeError, ShapeError, StateDictError
from kernels.geometry import Described, check_channels, check_same_strides, describe, shaped
from kernels.machine.threads import resolve
from kernels.one_call import Shape, shape_of
from kernels.parameters import IncompatibleKeys, Owner, own_array, read_state
from kernels.plan import BackwardWeightsPlan, Plan
from kernels.recent import Recent, Same
from kernels.registry import get_algorithm

__all__ = ["MOST_PLANS", "MOST_PLAN_BYTES", "Conv2d", "LazyConv2d"]

#: Plans that a layer or block keeps, each with packed weights and scratch: shapes of input that take turns.
MOST_PLANS, MOST_PLAN_BYTES = 8, 256 * 2**20


def known_algorithm(value: Any) -> str:
    """The name of an algorithm that there is, or ``"auto"``."""
    name = read_algorithm(value)
    return name if name == "auto" else get_algorithm(name).name


def known_threads(value: Any) -> int | None:
    """A number of threads that can be run on, or None for all."""
    return None if value is None else resolve(value)


def _padding(value: Any) -> tuple[int, ...] | str:
    padding = read_padding(value)
    if isinstance(padding, str) and padding not in ("same", "valid"):
        raise ShapeError(f"Invalid padding string '{padding!s}', should be one of {{'same', 'valid'}}")
    return padding


def _groups(value: Any) -> int:
    groups = read_groups(value)
    if groups <= 0:
        raise ShapeError("groups must be a positive integer")
    return groups


class _Argument:
    """An argument of the constructor as an attribute: it is read when it is set, and counts from then on."""

    def __init__(self, read: Callable[[Any], Any]) -> None:
        self._read = read

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, layer: Conv2d, owner: type) -> Any:
        return getattr(layer._asked, self._name)

    def __set__(self, layer: Conv2d, value: Any) -> None:
        layer._ask(layer._asked._replace(**{self._name: self._read(value)}))


class _Budget(_Argument):
    """One of the budgets."""

    def __init__(self) -> None:
        super().__init__(lambda value: value)

    def __get__(self, layer: Conv2d, owner: type) -> Any:
        return getattr(layer._asked.budgets, self._name)

    def __set__(self, layer: Conv2d, value: Any) -> None:
        budgets = layer._asked.budgets._replace(**{self._name: value})
        layer._ask(layer._asked._replace(budgets=read_budgets(*budgets)))


class Conv2d(Owner):
    """A convolution with weights of its own and the constructor of ``torch.nn.Conv2d``.

    Weights start as torch's do: uniform within 1 / sqrt(fan_in), and so does the bias. The arrays
    are read-only: assign other ones (or `load_state_dict`). Arguments are attributes, and those that do not decide
    over the shape of weights can be set as well. Whatever is set counts from the next call on.

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
    algorithm, threads, max_error, max_workspace, window_only
        As for `conv2d`.

    Raises
    ------
    ShapeError
        Channels are no multiples of ``groups`` or negative, or padding and stride do not go together; torch
        raises ValueErrors of the same words.
    DtypeError, ArgumentError, UnknownAlgorithm, ValueError
        As for `conv2d`.
    """

    #: Whether weights wait for the first input.
    _lazy = False
    #: The input of the last call, while training.
    _last: np.ndarray | None

    stride = _Argument(lambda value: read_ints("stride", value))
    padding = _Argument(_padding)
    dilation = _Argument(lambda value: read_ints("dilation", value))
    groups = _Argument(_groups)
    padding_mode = _Argument(read_padding_mode)
    algorithm = _Argument(known_algorithm)
    threads = _Argument(known_threads)
    max_error = _Budget()
    max_workspace = _Budget()
    window_only = _Budget()

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
        max_workspace: float | None = None,
        window_only: bool = False,
    ) -> None:
        self._arrays = {}
        count = _groups(groups)
        self._in_channels = read_count("in_channels", in_channels)
        self._out_channels = read_count("out_channels", out_channels)
        check_channels("in_channels", self._in_channels, count)
        check_channels("out_channels", self._out_channels, count)
        self._kernel_size = _kernel_size(kernel_size)
        self._dtype: np.dtype = np.dtype(dtype)
        if self._dtype.name not in ("float32", "float64"):
            raise DtypeError(f"dtype is {self._dtype}, expected float32 or float64")
        self._ask(
            Asked(
                read_ints("stride", stride), _padding(padding), read_ints("dilation", dilation), count,
                read_padding_mode(padding_mode), known_algorithm(algorithm), known_threads(threads),
                read_budgets(max_error, max_workspace, window_only),
            )
        )  # fmt: skip
        self._rng = np.random.default_rng(rng)
        self._plans: Recent[tuple[Shape, Plan | None]] = Recent(MOST_PLANS, MOST_PLAN_BYTES)
        self._gradient_plans: Recent[Plan | BackwardWeightsPlan] = Recent(2 * MOST_PLANS, MOST_PLAN_BYTES)
        self.training, self._last = False, None
        self._has_bias = bool(bias)
        if not self._lazy:
            self.reset_parameters()

    # -- what is asked for -------------------------------------------------

    def _ask(self, asked: Asked) -> None:
        """Take arguments that go together."""
        if asked.padding == "same":
            check_same_strides(asked.stride)
        check_channels("out_channels", self._out_channels, asked.groups)
        if self._arrays:
            # As in torch, weights stay as they are.
            self._in_channels = self._channels_of(self._arrays["weight"], asked.groups)
        self._asked: Asked = asked

    def _channels_of(self, weight: np.ndarray, groups: int) -> int:
        """Channels of the input that weights take."""
        return int(weight.shape[1]) * groups

    def _how(self) -> Callable[..., Described]:
        """What makes a problem of a call's arrays and of what is asked for."""
        return describe

    @property
    def dtype(self) -> np.dtype:
        """Element type of weights, input and result."""
        return self._dtype

    @property
    def in_channels(self) -> int:
        """Channels of the input; the weights decide."""
        return self._in_channels

    @in_channels.setter
    def in_channels(self, value: int) -> None:
        self._require("in_channels", read_count("in_channels", value), self._in_channels)

    @property
    def out_channels(self) -> int:
        """Channels of the result; the weights decide."""
        return self._out_channels

    @out_channels.setter
    def out_channels(self, value: int) -> None:
        self._require("out_channels", read_count("out_channels", value), self._out_channels)

    @property
    def kernel_size(self) -> tuple[int, ...]:
        """Rows and columns of the kernel; the weights decide."""
        return self._kernel_size

    @kernel_size.setter
    def kernel_size(self, value: Ints) -> None:
        self._require("kernel_size", _kernel_size(value), self._kernel_size)

    def _require(self, name: str, value: object, own: object) -> None:
        if value != own:
            raise ShapeError(f"{name} is {value}, expected {own}: that of the weights, which stay of their shape")

    # -- weights ----------------------------------------------------------

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """``(out_channels, in_channels // groups, kH, kW)``."""
        return self._out_channels, self._in_channels // self.groups, self._kernel_size[0], self._kernel_size[1]

    @property
    def weight(self) -> np.ndarray:
        """Weights, read-only; assign to change them."""
        self._require_channels()
        return self._arrays["weight"]

    @weight.setter
    def weight(self, value: Any) -> None:
        self._set(weight=value)

    @property
    def bias(self) -> np.ndarray | None:
        """Bias, read-only, or None; assign to change it."""
        self._require_channels()
        return self._arrays.get("bias")

    @bias.setter
    def bias(self, value: Any) -> None:
        self._set(bias=value)

    def _set(self, **values: Any) -> None:
        """Take arrays by name, all at once; no bias for None."""
        self._require_channels()
        shapes = {"weight": self.weight_shape, "bias": (self._out_channels,)}
        own = {
            name: own_array(name, value, shapes[name], self._dtype)
            for name, value in values.items()
            if value is not None
        }
        # Another dict each time: it stands for what is in it.
        arrays = {name: each for name, each in {**self._arrays, **own}.items() if values.get(name, each) is not None}
        self._arrays = arrays
        if "bias" in values:
            self._has_bias = values["bias"] is not None
        self._plans.clear()
        self._gradient_plans.clear()

    def _require_channels(self) -> None:
        if self._lazy and not self._in_channels:
            raise StateDictError("LazyConv2d has no weights yet, expected a call or load_state_dict before")

    def reset_parameters(self) -> None:
        """Draw weights and bias as torch does, uniform within 1 / sqrt(fan_in)."""
        fan_in = _fan(self.weight_shape, "fan_in")
        bound = 1 / np.sqrt(fan_in) if fan_in else 0.0
        drawn = {"weight": self._rng.uniform(-bound, bound, self.weight_shape)}
        if self._has_bias:
            drawn["bias"] = self._rng.uniform(-bound, bound, self._out_channels)
        self._set(**drawn)

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
        self._require_channels()
        return super().state_dict()

    def made_of(self) -> Hashable:
        """All that results depend on."""
        return self._asked, Same(*self._arrays.values())

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
        self._set(**found)
        return keys

    # -- calls ------------------------------------------------------------

    def __call__(self, input: Any, out: np.ndarray | None = None) -> np.ndarray:
        """Convolve; packing and choosing are done once for each shape of input.

        Raises
        ------
        ShapeError, DtypeError, ArgumentError
            As `conv2d`.
        """
        return self._computed(as_array("input", input), out, self._how())

    def _computed(self, src: np.ndarray, out: np.ndarray | None, how: Callable[..., Described]) -> np.ndarray:
        asked, arrays = self._asked, self._arrays
        wei, bia = arrays["weight"], arrays.get("bias")
        key = src.shape, src.dtype.char, asked, how, resolve(asked.threads), Same(wei, bia)
        known, bound = self._plans.get(key) or self._planned(key, src, wei, bia, asked, how)
        if self.training:
            self._last = src
        if out is None:
            out = np.empty(known.output_shape, src.dtype)
        else:
            check_out(out, known.output_shape, src.dtype, {"input": src, "weight": wei, "bias": bia})
        if bound is not None:
            bound.run(known.source(src), out, out)
        return out

    def _planned(
        self,
        key: Hashable,
        src: np.ndarray,
        wei: np.ndarray,
        bia: np.ndarray | None,
        asked: Asked,
        how: Callable[..., Described],
    ) -> tuple[Shape, Plan | None]:
        known = shape_of(src, wei, bia, asked, packing=False, how=how)
        bound = None if known.problem is None else known.plan(wei, bia)
        return self._plans.keep(key, (known, bound), 0 if bound is None else bound.nbytes)

    def described(self, src: np.ndarray) -> Described:
        """The problem of a call with that input, of which no element is read; raises what the call would."""
        return self._how()(src, self.weight, self.bias, self._asked)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of the result for an input of that shape, or raise what a call would."""
        return self.described(shaped(input_shape, self._dtype)).output_shape

    # -- training ---------------------------------------------------------

    def train(self, mode: bool = True) -> Conv2d:
        """Remember the last input from now on, which `backward` needs, or with False forget it; return the layer.

        An input is remembered as it is given: what is written to it before `backward` shows there.
        """
        self.training = bool(mode)
        self._last = None
        return self

    def eval(self) -> Conv2d:
        """``train(False)``; how layers start."""
        return self.train(False)

    def backward(self, grad_output: Any, input: Any = None) -> Gradients:
        """Gradients of input, weights and bias, from that of the output.

        Parameters
        ----------
        grad_output : array, shape of the output
            Of the layer's dtype.
        input : array, optional
            What the output was computed of; else the input of the last call, of a layer that is `train`-ing.

        Returns
        -------
        Gradients
            ``input``, ``weight`` and ``bias``, new arrays; ``bias`` is None if the layer has none.

        Raises
        ------
        ArgumentError
            No input is given and none is remembered.
        ShapeError, DtypeError
            As a call's; ShapeError as well if ``grad_output`` is of another shape than the output.

        Notes
        -----
        The layer's algorithm computes what it can; what it cannot is computed by what ``"auto"`` chooses.
        """
        if input is None and self._last is None:
            raise ArgumentError("backward(): no input is remembered, expected train() before the call, or input=")
        src = self._last if input is None else as_array("input", input, "backward")
        assert src is not None
        described, wei = self.described(src), self.weight
        grad = known_gradient(grad_output, described, src.dtype)
        found = plan_of(self._gradient_plans, self._asked)
        return self._gradients(found, described, src, wei, self._has_bias, grad)

    def _gradients(
        self, found: PlanOf, described: Described, src: np.ndarray, wei: np.ndarray, has_bias: bool, grad: np.ndarray
    ) -> Gradients:
        return gradients_of_convolution(found, described, src, wei, has_bias, grad)

    def __getstate__(self) -> dict[str, Any]:
        # What is copied or pickled is the layer, not what it was called with.
        return {**self.__dict__, "_last": None}

    def __repr__(self) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}", f"kernel_size={self.kernel_size}"]
        parts.append(f"stride={self.stride}")
        padding = self.padding
        if any(padding) if isinstance(padding, tuple) else padding:
            parts.append(f"padding={padding}")
        if any(step != 1 for step in self.dilation):
            parts.append(f"dilation={self.dilation}")
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
        self._in_channels = in_channels
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
        self._in_channels = np.shape(weight)[1] * self.groups
        try:
            keys = super().load_state_dict(state_dict, strict)
        except (ValueError, TypeError):
            self._in_channels = 0
            raise
        self._settle(self._in_channels)
        return keys


def _kernel_size(value: Any) -> tuple[int, ...]:
    size = read_ints("kernel_size", value)
    if len(size) != 2 or min(size) < 0:
        raise ArgumentError(f"kernel_size is {value!r}, expected an int or a pair of ints, not negative")
    return size


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
