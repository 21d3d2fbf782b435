"""Who says whether a block was computed right."""

from __future__ import annotations

import functools

import numpy as np

from kernels import algorithms
from suite.blocks.inputs import make_block_inputs
from suite.blocks.oracle import block_reference
from suite.blocks.problem import Block
from suite.verify import LEAST_ERROR, Check, Expected, Standard

__all__ = ["BlockReferee", "block_promise"]


def block_promise(block: Block) -> Standard:
    """What a block of our own is held to: the sum of what its convolutions promise.

    Errors of stages in a row add up, whoever computes them; and what a stage makes of the error of
    the one before it, it does to NumPy's as well, which is what promises are multiples of. Of
    each convolution the largest promise counts of all algorithms that take it: which one runs is
    the choice of the block.
    """
    return Standard(
        error_factor=sum(
            max(each.error_factor for each in algorithms() if each.unsupported(problem) is None)
            for problem in block.graph.convolutions
        )
    )


class BlockReferee:
    """The expected outputs of one block; what `suite.verify.Referee` is to a convolution.

    Parameters
    ----------
    block : Block

    Attributes
    ----------
    fills : tuple of str
        Normal values only: a batch norm leaves no number whole.
    """

    fills = ("normal",)

    def __init__(self, block: Block) -> None:
        self.block = block

    @functools.cached_property
    def expected(self) -> tuple[Expected, ...]:
        """Of every output."""
        exact = block_reference(self.block.graph, make_block_inputs(self.block))
        return tuple(Expected(each) for each in exact)

    @functools.cached_property
    def yardstick(self) -> float:
        """Relative L2 error of NumPy's float32, the largest of all outputs; one rounding at least."""
        found = block_reference(self.block.graph, make_block_inputs(self.block), "float32")
        errors = [expected.errors(array).relative for expected, array in zip(self.expected, found, strict=True)]
        return max(*errors, LEAST_ERROR["float32"])

    @property
    def most_bytes(self) -> int:
        """What it holds once it was asked."""
        return 8 * sum(int(np.prod(self.block.graph.shapes[name])) for name in self.block.graph.outputs)

    def judge(self, standard: Standard, fill: str, dst: np.ndarray) -> Check:
        """Judge what somebody computed of `make_block_inputs`: every output, joined as `Graph.joined` does.

        The check's error is that of the worst output.
        """
        graph = self.block.graph
        if dst.shape != graph.joined_shape:
            return Check("wrong", float("nan"), f"result has shape {dst.shape}, expected {graph.joined_shape}")
        limit = standard.rel_error
        if limit is None:
            assert standard.error_factor is not None
            limit = standard.error_factor * self.yardstick
        checks = [
            expected.within(array, limit) for expected, array in zip(self.expected, graph.split(dst), strict=True)
        ]
        wrong = [each for each in checks if each.status != "ok"]
        return wrong[0] if wrong else max(checks, key=lambda check: check.rel_error)
