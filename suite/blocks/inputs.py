"""Fills of a block's input and weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from suite.blocks.problem import Block

__all__ = ["BlockInputs", "make_block_inputs"]


@dataclass(frozen=True)
class BlockInputs:
    """Input of a block, and its state by torch's names."""

    src: np.ndarray
    state: dict[str, np.ndarray]

    @property
    def named(self) -> dict[str, np.ndarray]:
        """Every array by what it is called."""
        return {"input": self.src, **self.state}


def make_block_inputs(block: Block, fill: str = "normal", seed: int = 0) -> BlockInputs:
    """Fill a block's arrays: standard normal input, and a state like that of a trained network.

    Weights are as large as He et al. 2015 (arXiv:1502.01852) have them, so that values stay of
    the order of 1; batch norm has all to do: means, variances, factors and sums all differ.

    Raises
    ------
    ValueError
        The fill is not "normal": whole numbers do not stay whole in a batch norm.
    """
    if fill != "normal":
        raise ValueError(f"fill is {fill!r}, expected 'normal' for a block")
    rng = np.random.default_rng(seed)
    src = rng.standard_normal(block.input_shape, np.float32)
    state = {name: _filled(name, shape, rng) for name, shape in block.graph.states.items()}
    return BlockInputs(src, state)


def _filled(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    layer, _, what = name.rpartition(".")
    if what == "running_var" or (what == "weight" and len(shape) == 1):
        values = rng.uniform(0.5, 1.5, shape)
    elif what in ("running_mean", "bias"):
        # Routing has to route: means over pixels are small, and so would be what it makes of them.
        values = rng.normal(0.0, 1.0 if layer == "routing" else 0.2, shape)
    else:
        # Experts are one dimension more.
        fan_in = int(np.prod(shape[-3:] if len(shape) > 2 else shape[-1:]))
        values = rng.normal(0.0, np.sqrt(2 / fan_in), shape)
    return values.astype(np.float32)
