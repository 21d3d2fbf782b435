"""What torch itself says of a case; imports torch, so only where that is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch_cases import Case

__all__ = ["ask", "border_of"]


def ask(case: Case, dtype: torch.dtype | None = None, arrays: Any = None) -> Any:
    """The result of the case as a tensor, or raise what torch raises.

    Without oneDNN, as torch words some faults by the backend that it chooses by sizes and threads.

    Parameters
    ----------
    case : Case
    dtype : torch.dtype, optional
        To compute in, where it is not that of the arrays.
    arrays : tuple, optional
        Others than those of the case.
    """
    src, wei, bia = (None if each is None else _tensor(each, dtype) for each in arrays or case.arrays())
    numbers = case.numbers()
    mode = numbers.pop("padding_mode")
    with torch.no_grad(), torch.backends.mkldnn.flags(enabled=False):
        if mode != "zeros":
            # As torch.nn.Conv2d does.
            src = torch.nn.functional.pad(src, border_of(case), mode=mode)
            numbers["padding"] = (0, 0)
        return torch.nn.functional.conv2d(src, wei, bia, **numbers)


def _tensor(array: np.ndarray, dtype: torch.dtype | None) -> torch.Tensor:
    tensor = torch.from_numpy(array)
    return tensor if dtype is None else tensor.to(dtype)


def border_of(case: Case) -> list[int]:
    """Left, right, above and below."""
    if case.padding == "valid":
        return [0, 0, 0, 0]
    if case.padding == "same":
        sides = []
        dilation = (case.dilation,) * 2 if isinstance(case.dilation, int) else case.dilation
        for kernel, step in zip(case.weight[:1:-1], list(dilation)[::-1], strict=False):
            total = step * (kernel - 1)
            sides += [total // 2, total - total // 2]
        return sides
    if isinstance(case.padding, int):
        return [case.padding] * 4
    return [case.padding[1]] * 2 + [case.padding[0]] * 2
