"""Expected results of a convolution or of a block."""

from __future__ import annotations

from suite.blocks.oracle import BlockOracle
from suite.blocks.problem import Block
from suite.check.checker import Oracle
from suite.workload import Workload

__all__ = ["AnyOracle", "oracle_of"]

AnyOracle = Oracle | BlockOracle


def oracle_of(workload: Workload) -> AnyOracle:
    """Its expected results."""
    return BlockOracle(workload) if isinstance(workload, Block) else Oracle(workload)
