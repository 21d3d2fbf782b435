"""`ConvTranspose2d`: torch.nn's layer of this name on NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kernels.arguments import Ints, as_array, read_ints
from kernels.backward import Gradients, PlanOf, gradients_of_transposed
from kernels.errors import ShapeError
from kernels.geometry import Described
from kernels.layers import Conv2d
from kernels.transposed import Transposed

__all__ = ["ConvTranspose2d"]


class ConvTranspose2d(Conv2d):
    """A transposed convolution with weights of its own and the constructor of ``torch.nn.ConvTranspose2d``.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size : int or pair of int
    stride, padding, output_padding, groups, dilation
        As for `conv_transpose2d`.
    bias : bool
    padding_mode : {"zeros"}
    dtype, rng, algorithm, threads, max_error, max_workspace, window_only
        As for `Conv2d`.

    Raises
    ------
    ShapeError, DtypeError, ArgumentError, UnknownAlgorithm, ValueError
        As `Conv2d`; ShapeError as well for a padding mode other than zeros.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Ints = 0,
        output_padding: Ints = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Ints = 1,
        padding_mode: str = "zeros",
        dtype: Any = "float32",
        **others: Any,
    ) -> None:
        if padding_mode != "zeros":
            raise ShapeError('Only "zeros" padding mode is supported for ConvTranspose2d')
        self._output_padding = read_ints("output_padding", output_padding, "conv_transpose2d")
        numbers = stride, read_ints("padding", padding, "conv_transpose2d"), dilation, groups
        super().__init__(in_channels, out_channels, kernel_size, *numbers, bias, padding_mode, dtype, **others)

    @property
    def output_padding(self) -> tuple[int, ...]:
        """Rows and columns added to the result; can be set."""
        return self._output_padding

    @output_padding.setter
    def output_padding(self, value: Ints) -> None:
        self._output_padding = read_ints("output_padding", value, "conv_transpose2d")

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """``(in_channels, out_channels // groups, kH, kW)``."""
        return self._in_channels, self._out_channels // self.groups, self._kernel_size[0], self._kernel_size[1]

    def _channels_of(self, weight: np.ndarray, groups: int) -> int:
        return int(weight.shape[0])

    def _how(self) -> Callable[..., Described]:
        return Transposed(self._output_padding)

    def __call__(
        self, input: Any, out: np.ndarray | None = None, *, output_size: tuple[int, ...] | None = None
    ) -> np.ndarray:
        """Convolve; packing and choosing are done once for each shape of input.

        Parameters
        ----------
        input : array, shape (N, C_in, H, W) or (C_in, H, W)
        out : ndarray, optional
            As for `conv_transpose2d`.
        output_size : tuple of int, optional
            Height and width of the result, or its whole shape, instead of ``output_padding``.

        Raises
        ------
        ShapeError, DtypeError, ArgumentError
            As `conv_transpose2d`; ShapeError as well if no output padding gives ``output_size``.
        """
        src, more = as_array("input", input, "conv_transpose2d"), self._output_padding
        if output_size is not None:
            more = self._padding_for(src.shape, output_size)
        return self._computed(src, out, Transposed(more))

    def _padding_for(self, shape: tuple[int, ...], size: tuple[int, ...]) -> tuple[int, ...]:
        """The output padding that gives a size, in torch's words if there is none."""
        rank = len(shape) - 2
        if len(size) == rank + 2:
            size = size[2:]
        if len(size) != 2:
            raise ShapeError(
                f"ConvTranspose2D: for {len(shape)}D input, output_size must have 2 or 4 elements (got {len(size)})"
            )
        assert isinstance(self.padding, tuple)
        least = [
            (extent - 1) * s - 2 * p + d * (k - 1) + 1
            for extent, s, p, d, k in zip(
                shape[-2:], self.stride, self.padding, self.dilation, self._kernel_size, strict=True
            )
        ]
        most = [low + s - 1 for low, s in zip(least, self.stride, strict=True)]
        if any(not low <= each <= high for each, low, high in zip(size, least, most, strict=True)):
            raise ShapeError(
                f"requested an output size of {list(size)}, but valid sizes range from {least} to {most} "
                f"(for an input of torch.Size({list(shape[-2:])}))"
            )
        return tuple(each - low for each, low in zip(size, least, strict=True))

    def _gradients(
        self, found: PlanOf, described: Described, src: np.ndarray, wei: np.ndarray, has_bias: bool, grad: np.ndarray
    ) -> Gradients:
        return gradients_of_transposed(found, described, src, wei, has_bias, grad)
