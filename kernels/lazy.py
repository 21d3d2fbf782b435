"""`LazyConv2d`: a `Conv2d` that learns from its first input how many channels there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kernels.arguments import Ints
from kernels.arrays import as_array
from kernels.checks import check_channels
from kernels.errors import ShapeError, StateDictError
from kernels.layers import Conv2d
from kernels.state import IncompatibleKeys

__all__ = ["LazyConv2d"]


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
