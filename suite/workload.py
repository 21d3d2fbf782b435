"""Workloads: a convolution, or a block of several layers.

Runner, workers and checker treat both alike; the distinction is made here alone.
"""

from __future__ import annotations

from kernels import Conv2dProblem
from suite.blocks.inputs import BlockInputs, make_block_inputs
from suite.blocks.problem import Block
from suite.check.inputs import Inputs, make_inputs

__all__ = ["Workload", "fill_workload", "parse_workload"]

Workload = Conv2dProblem | Block

#: What texts of convolutions begin with, if they are not forward ones.
_DIRECTIONS = ("bwd_d", "bwd_w")


def parse_workload(text: str) -> Workload:
    """A convolution if the text has no colon or a direction before it, else a block of the kind before it.

    Raises
    ------
    ProblemError
    """
    before, colon, _ = text.partition(":")
    # Of the head's, whatever the kernels that are measured know.
    return Block.parse(text) if colon and before not in _DIRECTIONS else Conv2dProblem.parse(text)


def fill_workload(workload: Workload, fill: str) -> Inputs | BlockInputs:
    """Its arrays, made of the same seed every time."""
    return make_block_inputs(workload, fill) if isinstance(workload, Block) else make_inputs(workload, fill)
