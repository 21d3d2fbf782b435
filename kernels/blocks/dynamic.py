"""A convolution whose weights depend on its input."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from kernels.arguments import Ints
from kernels.blocks.block import Block, Fused
from kernels.blocks.experts import PackedExperts, PlaneAverage, fastest_with_experts
from kernels.errors import ArgumentError, ShapeError
from kernels.functional import conv2d
from kernels.layers import Conv2d
from kernels.machine import threads as threading
from kernels.parameters import Parameter, Record, own_array
from kernels.plan import plan

__all__ = ["DynamicConv2d", "Routing"]


class Routing(Record):
    """How much of every expert: a sigmoid of a linear function of averages over pixels.

    Attributes
    ----------
    weight : ndarray, shape (experts, in_channels)
    bias : ndarray, shape (experts,)
        Read-only; assign to change them.
    """

    weight = Parameter()
    bias = Parameter()

    def __init__(self, in_channels: int, experts: int, rng: np.random.Generator, *, dtype: Any) -> None:
        super().__init__({"weight": (experts, in_channels), "bias": (experts,)}, dtype)
        bound = 1 / np.sqrt(in_channels)
        self.weight, self.bias = (rng.uniform(-bound, bound, shape) for shape in self.shapes.values())

    def __call__(self, averages: np.ndarray) -> np.ndarray:
        """Factors (N, experts) of averages (N, in_channels), both in float64."""
        weight, bias = self.weight.astype(np.float64), self.bias.astype(np.float64)
        # The sigmoid, in a form that does not overflow.
        result: np.ndarray = 0.5 + 0.5 * np.tanh(0.5 * (averages @ weight.T + bias))
        return result


class DynamicConv2d(Block[np.ndarray], Record):
    """A convolution with weights of its own for every image: a sum of experts, each as much as the image asks for.

    With ``r = sigmoid(routing(mean of the image over pixels))`` weights are the sum over k of ``r[k] * weight[k]``,
    and so is the bias. Experts are packed once; a call sums what they were packed to.

    Source: Yang et al., "CondConv: Conditionally Parameterized Convolutions for Efficient Inference" (2019),
    arXiv:1904.04971.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, padding, groups, bias
        As for `Conv2d`.
    experts : int
    dtype, rng, algorithm, threads, window_only
        As for `Conv2d`; averages are of whole images in any case.

    Attributes
    ----------
    weight : ndarray, shape (experts, out_channels, in_channels // groups, kH, kW)
    bias : ndarray, shape (experts, out_channels), or None
    routing : Routing
        Its arrays and the other two are read-only; assign to change them.
    """

    weight = Parameter()

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Ints = 0,
        groups: int = 1,
        bias: bool = True,
        experts: int = 4,
        *,
        dtype: Any = "float32",
        rng: np.random.Generator | int | None = None,
        algorithm: str = "auto",
        threads: int | None = None,
        window_only: bool = False,
    ) -> None:
        Block.__init__(self, dtype, rng, algorithm, threads, window_only)
        if isinstance(experts, bool) or not isinstance(experts, int | np.integer) or experts < 1:
            raise ArgumentError(f"experts is {experts!r}, expected a whole number of at least 1")
        # One expert: it knows what a convolution may be, and how weights are drawn.
        self._one = Conv2d(
            in_channels, out_channels, kernel_size, stride, padding, 1, groups, bias, dtype=dtype, rng=self._rng
        )
        shapes: dict[str, tuple[int, ...]] = {"weight": (experts, *self._one.weight_shape)}
        if bias:
            shapes["bias"] = experts, out_channels
        Record.__init__(self, shapes, dtype)
        drawn = []
        for _ in range(experts):
            self._one.reset_parameters()
            drawn.append(self._one.state_dict())
        for name in shapes:
            setattr(self, name, np.stack([each[name] for each in drawn]))
        self.routing = Routing(in_channels, experts, self._rng, dtype=dtype)

    @property
    def bias(self) -> np.ndarray | None:
        """Biases of all experts, read-only, or None; assign to change them."""
        return self._arrays.get("bias")

    @bias.setter
    def bias(self, value: Any) -> None:
        if "bias" not in self.shapes:
            raise ShapeError("bias is given, expected none: the layer was made without one")
        self._arrays = {**self._arrays, "bias": own_array("bias", value, self.shapes["bias"], self.dtype)}

    def state_dict(self) -> dict[str, np.ndarray]:
        """Weights by name, read-only: ``weight``, ``bias``, ``routing.weight``, ``routing.bias``."""
        return Record.state_dict(self) | Block.state_dict(self)

    def made_of(self) -> Hashable:
        """All that results depend on but the shape of the input."""
        return Block.made_of(self), Record.made_of(self), self._one.made_of()

    def _first(self) -> Conv2d:
        return self._one

    def _fuse(self, shape: tuple[int, ...]) -> Fused[np.ndarray]:
        problem = self._problem(self._one, shape).replace(mb=1)
        zeros = np.zeros(problem.weight_shape, self.dtype)
        algorithm = self.algorithm
        if algorithm == "auto":
            threads = threading.resolve(self.threads)
            algorithm = fastest_with_experts(problem, len(self.weight), threads, window_only=self.window_only)
        bias = np.zeros(problem.oc, self.dtype)
        bound = plan(problem, zeros, bias, algorithm=algorithm, threads=self.threads, window_only=self.window_only)
        biases = np.zeros((len(self.weight), problem.oc)) if self.bias is None else self.bias
        experts = PackedExperts(bound, self.weight, biases)
        averages = PlaneAverage(shape, problem.dtype, bound.threads)

        def fused(src: np.ndarray) -> np.ndarray:
            result = np.empty((len(src), *problem.output_shape[1:]), src.dtype)
            for n, factors in enumerate(self.routing(averages(src))):
                experts.blend(factors)
                bound(src[n : n + 1], result[n : n + 1])
            return result

        return fused

    def unfused(self, input: Any) -> np.ndarray:
        """The same by a pass over memory for each step: weights are summed and packed image by image."""
        src = self._checked(input)
        results = []
        for image, factors in zip(src, self.routing(src.mean((2, 3), dtype=np.float64)), strict=True):
            weight = np.tensordot(factors, self.weight, 1).astype(self.dtype)
            bias = None if self.bias is None else (factors @ self.bias).astype(self.dtype)
            results.append(
                conv2d(
                    image, weight, bias, self._one.stride, self._one.padding, groups=self._one.groups,
                    algorithm=self.algorithm, threads=self.threads, window_only=self.window_only,
                )
            )  # fmt: skip
        return np.stack(results)
