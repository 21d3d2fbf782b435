"""How far weights reach when they are drawn: fans and gains as in ``torch.nn.init``."""

from __future__ import annotations

import math

__all__ = ["fan", "gain"]


def fan(shape: tuple[int, int, int, int], mode: str) -> int:
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


def gain(nonlinearity: str, slope: float) -> float:
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
