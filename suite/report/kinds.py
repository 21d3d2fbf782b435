"""Kinds of layers, as far as different kernels are fast at them."""

from __future__ import annotations

from kernels import Conv2dProblem

__all__ = ["kind_of"]


def kind_of(p: Conv2dProblem) -> str:
    """What sort of convolution a problem is, as far as different kernels are fast at it."""
    if p.g > 1:
        return "depthwise" if p.g == p.ic else "grouped"
    if p.ic <= 4:
        return "few input channels"
    if (p.dh, p.dw) != (1, 1):
        return "dilated"
    if (p.kh, p.kw) == (1, 1):
        return "1x1" if (p.sh, p.sw) == (1, 1) else "1x1 strided"
    if (p.sh, p.sw) != (1, 1):
        return "strided"
    if (p.kh, p.kw) == (3, 3):
        side = max(p.oh, p.ow)
        return f"3x3, maps {'below 14' if side < 14 else 'of 150 and more' if side >= 150 else '14 to 149'}"
    return "one-dimensional" if 1 in (p.kh, p.kw) else "larger kernels"
