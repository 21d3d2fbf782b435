"""Batch normalisation by running statistics, and how it disappears into a convolution before it."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from kernels.parameters import Parameter, Record

__all__ = ["BatchNorm2d", "fold"]


class BatchNorm2d(Record):
    """The parameters of ``torch.nn.BatchNorm2d``, in inference: one factor and one offset a channel.

    Parameters
    ----------
    num_features : int
        Channels.
    eps : float
        Added to the variance.
    dtype : {"float32", "float64"} or the NumPy dtype

    Attributes
    ----------
    weight, bias, running_mean, running_var : ndarray, shape (num_features,)
        Read-only; assign to change them.
    """

    weight = Parameter()
    bias = Parameter()
    running_mean = Parameter()
    running_var = Parameter()

    def __init__(self, num_features: int, eps: float = 1e-5, *, dtype: Any = "float32") -> None:
        names = ("weight", "bias", "running_mean", "running_var")
        super().__init__(dict.fromkeys(names, (num_features,)), dtype)
        self.num_features, self.eps = num_features, eps
        for name, value in zip(names, (1.0, 0.0, 0.0, 1.0), strict=True):
            setattr(self, name, np.full(num_features, value))

    def affine(self) -> tuple[np.ndarray, np.ndarray]:
        """Factor and offset of every channel, in float64."""
        weight, bias, mean, variance = (array.astype(np.float64) for array in self.state_dict().values())
        factor = weight / np.sqrt(variance + self.eps)
        return factor, bias - mean * factor

    def made_of(self) -> Hashable:
        """All that results depend on."""
        return super().made_of(), self.eps

    def __call__(self, input: np.ndarray) -> np.ndarray:
        """Normalise (N, C, H, W), in ``dtype``: a pass over memory of its own."""
        factor, offset = (each.astype(self.dtype)[:, None, None] for each in self.affine())
        result: np.ndarray = input * factor
        result += offset
        return result

    def __repr__(self) -> str:
        return f"BatchNorm2d({self.num_features}, eps={self.eps})"


def fold(weight: np.ndarray, bias: np.ndarray | None, norm: BatchNorm2d) -> tuple[np.ndarray, np.ndarray]:
    """Weights and bias of the convolution that is one and a batch norm behind it.

    Calculated in float64 and rounded once, to the dtype of ``weight``.

    Parameters
    ----------
    weight : ndarray, shape (oc, ic // g, kh, kw)
    bias : ndarray, shape (oc,), optional
    norm : BatchNorm2d
    """
    factor, offset = norm.affine()
    if bias is not None:
        offset = offset + bias * factor
    return (weight * factor[:, None, None, None]).astype(weight.dtype), offset.astype(weight.dtype)
