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


def parse_workload(text: str) -> Workload:
    """A block if the text names its kind before a colon, else a convolution.

    Raises
    ------
    ProblemError
    """
    return Block.parse(text) if ":" in text else Conv2dProblem.parse(text)


def fill_workload(workload: Workload, fill: str) -> Inputs | BlockInputs:
    """Its arrays, made of the same seed every time."""
    return make_block_inputs(workload, fill) if isinstance(workload, Block) else make_inputs(workload, fill)
