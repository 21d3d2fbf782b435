"""PyTorch: as everybody calls it, in the layout that it recommends, and as its compiler prepares it.

versions:
  torch_nchw           eager, NCHW: oneDNN brings input and weights into its own layout in every call
  torch_channels_last  eager, input and weights in channels_last, as they are inside a network
                       that was converted once
  torch_one_call       as torch_nchw, beside `one_call`: nothing is prepared; takes part if it is named
  torch_prepacked      channels_last with the weights in oneDNN's own layout, packed once for
                       this shape; what freezing a compiled network does

All three call oneDNN. Eager mode cannot pad unequally: ``F.pad`` is then part of the call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernels import Conv2dProblem
from suite.contenders.base import Peer, Prepared
from suite.inputs import Inputs

__all__ = ["CONTENDERS"]


@dataclass(frozen=True)
class _Torch(Peer):
    channels_last: bool = False
    prepacked: bool = False
    apart: bool = False

    def load(self, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)

    def prepare(self, problem: Conv2dProblem, inputs: Inputs, threads: int) -> Prepared:
        import torch

        p = problem
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        src = torch.from_numpy(inputs.src).to(memory_format=layout)
        wei = torch.from_numpy(inputs.wei).to(memory_format=layout)
        bia = None if inputs.bia is None else torch.from_numpy(inputs.bia)
        # torch takes one number an axis; what is more on one side is padded before.
        axes = [min(p.ph, _other(p.pb)), min(p.pw, _other(p.pr))]
        rest = [p.pw - axes[1], _other(p.pr) - axes[1], p.ph - axes[0], _other(p.pb) - axes[0]]
        convolve = (self._packed if self.prepacked else self._eager)(p, wei, bia, axes, rest)

        def call() -> Any:
            return convolve(torch.nn.functional.pad(src, rest) if any(rest) else src)

        return Prepared(call, _to_numpy)

    def _eager(self, p: Conv2dProblem, wei: Any, bia: Any, padding: list[int], rest: list[int]) -> Callable[[Any], Any]:
        from torch.nn.functional import conv2d

        stride, dilation = (p.sh, p.sw), (p.dh, p.dw)
        return lambda src: conv2d(src, wei, bia, stride, padding, dilation, p.g)

    def _packed(
        self, p: Conv2dProblem, wei: Any, bia: Any, padding: list[int], rest: list[int]
    ) -> Callable[[Any], Any]:
        import torch

        stride, dilation = [p.sh, p.sw], [p.dh, p.dw]
        shape = [p.mb, p.ic, p.ih + rest[2] + rest[3], p.iw + rest[0] + rest[1]]
        packed = torch.ops.mkldnn._reorder_convolution_weight(wei, padding, stride, dilation, p.g, shape)
        convolve = torch.ops.mkldnn._convolution_pointwise
        return lambda src: convolve(src, packed, bia, padding, stride, dilation, p.g, "none", [], "")


def _other(extent: int | None) -> int:
    assert extent is not None
    return extent


def _to_numpy(result: Any) -> np.ndarray:
    array: np.ndarray = result.contiguous().numpy()
    return array


_WHO = ("PyTorch", ("torch",))
_BOTH = ("float32", "float64")

CONTENDERS = (
    _Torch("torch_nchw", *_WHO, _BOTH),
    _Torch("torch_one_call", *_WHO, _BOTH, apart=True),
    _Torch("torch_channels_last", *_WHO, _BOTH, channels_last=True),
    _Torch("torch_prepacked", *_WHO, channels_last=True, prepacked=True),
)
