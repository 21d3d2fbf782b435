"""What the ways to have blocks from other libraries have in common."""

from __future__ import annotations

from dataclasses import dataclass

from suite.blocks.inputs import BlockInputs
from suite.blocks.problem import Block
from suite.contenders.base import PEER_LIMIT, Library, Prepared
from suite.verify import Standard

__all__ = ["BlockPeer"]


@dataclass(frozen=True)
class BlockPeer(Library):
    """A way to have a block from another library."""

    def unsupported(self, problem: Block, threads: int = 1) -> str | None:
        """See `Contender`; all are computed."""
        return None

    def load(self, threads: int) -> None:
        """See `Contender`."""
        raise NotImplementedError

    def prepare(self, problem: Block, inputs: BlockInputs, threads: int) -> Prepared:
        """See `Contender`."""
        raise NotImplementedError

    def standard(self, problem: Block, chosen: str) -> Standard:
        """Held to what it would be held to on a single convolution."""
        return Standard(rel_error=PEER_LIMIT[problem.dtype])
