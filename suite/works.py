"""What can be timed: a convolution, or a block of several layers.

Runner, workers and checker treat both alike; that they are two is known here alone.
"""

from __future__ import annotations

from kernels import Conv2dProblem
from suite.blocks.contenders import block_contenders
from suite.blocks.inputs import BlockInputs, make_block_inputs
from suite.blocks.problem import Block
from suite.blocks.referee import BlockReferee
from suite.contenders import Contender, get_contender
from suite.inputs import Inputs, make_inputs
from suite.verify import Referee

__all__ = ["AnyReferee", "Work", "contender_of", "fill_work", "read_work", "referee_of"]

Work = Conv2dProblem | Block

AnyReferee = Referee | BlockReferee


def read_work(text: str) -> Work:
    """A block where the text names its kind before a colon, else a convolution.

    Raises
    ------
    ProblemError
    """
    return Block.parse(text) if ":" in text else Conv2dProblem.parse(text)


def fill_work(work: Work, fill: str) -> Inputs | BlockInputs:
    """Its arrays, made of the same seed every time."""
    return make_block_inputs(work, fill) if isinstance(work, Block) else make_inputs(work, fill)


def referee_of(work: Work) -> AnyReferee:
    """Who judges results."""
    return BlockReferee(work) if isinstance(work, Block) else Referee(work)


def contender_of(name: str) -> Contender:
    """A contender on blocks or on convolutions; no two have one name.

    Raises
    ------
    UnknownContender
    """
    return {each.name: each for each in block_contenders()}.get(name) or get_contender(name)
