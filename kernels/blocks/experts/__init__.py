"""Experts: packed weights that are sums of packed weights, and the averages over pixels that say how much of each."""

from kernels.blocks.experts.average import PlaneAverage
from kernels.blocks.experts.packed import PackedExperts, fastest_with_experts

__all__ = ["PackedExperts", "PlaneAverage", "fastest_with_experts"]
