"""Contenders: what computes convolutions, or blocks of them, and can be timed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np

from kernels import Conv2dProblem
from suite.blocks.inputs import BlockInputs
from suite.blocks.problem import Block
from suite.check.inputs import Inputs, direction_of
from suite.check.tolerance import Tolerance

__all__ = [
    "PEER_LIMIT",
    "BlockPeer",
    "Contender",
    "Library",
    "Own",
    "Peer",
    "Prepared",
    "transposed_padding",
]

#: Most relative L2 error of a peer that counts as right. Float32 arithmetic stays far below it
#: by any algorithm in use (Winograd over large tiles: 1e-6 to 1e-5); float16, bfloat16 and TF32
#: start at their roundings of 2**-11 and 2**-8, above it. Float64: as many roundings of its own.
PEER_LIMIT = {"float32": 1e-4, "float64": 1e-4 * 2.0**-29}


@dataclass(frozen=True)
class Prepared:
    """A convolution or a block that is bound to its input and its weights.

    Attributes
    ----------
    call : callable
        Computes it exactly once, and returns the result as the library has it.
    fetch : callable
        Turns what ``call`` returned into an NCHW array, or several into one; not timed.
    chosen : str
        Name of the algorithm that runs, of a contender that chooses one; else empty.
    workspace_bytes : int or None
        Scratch memory, if it is known.
    spoil : callable or None
        Overwrites the memory of the result with NaN, if ``call`` writes to the same each time.
    """

    call: Callable[[], Any]
    fetch: Callable[[Any], np.ndarray]
    chosen: str = ""
    workspace_bytes: int | None = None
    spoil: Callable[[], object] | None = None


#: What is computed, and the arrays that it is computed of.
_Problem = TypeVar("_Problem", contravariant=True)
_Arrays = TypeVar("_Arrays", contravariant=True)


class Contender(Protocol[_Problem, _Arrays]):
    """One that computes convolutions or blocks; one per algorithm of ours and per way to use a peer.

    Attributes
    ----------
    name, family : str
        Unique name, and the column ``family`` of its rows.
    library : str
        Whose code it is.
    is_peer : bool
        Whether it is another project's.
    apart : bool
        Whether a call does more than the others' calls: it then takes part only if it is named.
    directions : tuple of str
        What it computes, of `kernels.DIRECTIONS`; it takes no part in cases of others.
    """

    @property
    def name(self) -> str:
        """Unique name."""

    @property
    def family(self) -> str:
        """Column ``family`` of its rows."""

    @property
    def library(self) -> str:
        """Whose code it is."""

    @property
    def is_peer(self) -> bool:
        """Whether it is another project's."""

    @property
    def apart(self) -> bool:
        """Whether it takes part only if it is named."""

    @property
    def directions(self) -> tuple[str, ...]:
        """What it computes, of `kernels.DIRECTIONS`."""

    def version(self) -> str | None:
        """The library's version, found without importing it; ``None`` if it is not installed."""

    def install(self) -> str:
        """The command that installs the library."""

    def unsupported(self, problem: _Problem, threads: int = 1) -> str | None:
        """Why the problem is refused."""

    def load(self, threads: int) -> None:
        """Import the library and give it its threads; first of all, and only in a process of its own."""

    def prepare(self, problem: _Problem, inputs: _Arrays, threads: int) -> Prepared:
        """Do everything that can be done before the call: weights packed, shapes fixed, input in place."""

    def tolerance(self, problem: _Problem, chosen: str) -> Tolerance:
        """What its results are held to, if it chose ``chosen``."""


@dataclass(frozen=True)
class Own:
    """What our own contenders have in common."""

    name: str

    library = "convmark"
    is_peer = False
    apart = False
    directions: ClassVar[tuple[str, ...]] = ("fwd",)

    def version(self) -> str | None:
        """The installed version; ``"source"`` if the sources are used without installing them."""
        try:
            return metadata.version("convmark")
        except metadata.PackageNotFoundError:
            return "source"

    def install(self) -> str:
        """See `Contender`."""
        return "pip install convmark"

    def load(self, threads: int) -> None:
        """Nothing: what can name it has imported it."""


@dataclass(frozen=True)
class Library:
    """What all contenders of other libraries have in common.

    Parameters
    ----------
    name, library : str
    distributions : tuple of str
        Names on the package index under which it is published; the first is the one to install.
    """

    name: str
    library: str
    distributions: tuple[str, ...]

    family = "peer"
    is_peer = True
    apart = False
    directions: ClassVar[tuple[str, ...]] = ("fwd",)

    def version(self) -> str | None:
        """See `Contender`."""
        for name in self.distributions:
            try:
                return metadata.version(name)
            except metadata.PackageNotFoundError:
                continue
        return None

    def install(self) -> str:
        """See `Contender`."""
        return f"pip install {self.distributions[0]}"


@dataclass(frozen=True)
class Peer(Library):
    """A way to have a convolution from another library.

    Parameters
    ----------
    dtypes : tuple of str
        Element types that it computes in.
    """

    dtypes: tuple[str, ...] = ("float32",)

    def unsupported(self, problem: Conv2dProblem, threads: int = 1) -> str | None:
        """See `Contender`; what this one refuses beyond direction, element type and empty batch is in `refuses`."""
        if direction_of(problem) not in self.directions:
            return f"direction is {direction_of(problem)}, expected {' or '.join(self.directions)}"
        if problem.dtype not in self.dtypes:
            return f"elements are {problem.dtype}, expected {' or '.join(self.dtypes)}"
        if problem.mb == 0:
            return "the batch is empty, expected at least one image"
        return self.refuses(problem, threads)

    def refuses(self, problem: Conv2dProblem, threads: int) -> str | None:
        """Why this library does not compute the problem; most compute all."""
        return None

    def load(self, threads: int) -> None:
        """See `Contender`."""
        raise NotImplementedError

    def prepare(self, problem: Conv2dProblem, inputs: Inputs, threads: int) -> Prepared:
        """See `Contender`."""
        raise NotImplementedError

    def tolerance(self, problem: Conv2dProblem, chosen: str) -> Tolerance:
        """See `Contender`."""
        return Tolerance(rel_error=PEER_LIMIT[problem.dtype])


def transposed_padding(p: Conv2dProblem) -> tuple[int, int]:
    """Output padding of backward data as a transposed convolution: rows and columns that no window covers."""
    height = (p.oh - 1) * p.sh + p.kernel_extent[0] - p.ph - (p.pb or 0)
    width = (p.ow - 1) * p.sw + p.kernel_extent[1] - p.pw - (p.pr or 0)
    return p.ih - height, p.iw - width


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

    def tolerance(self, problem: Block, chosen: str) -> Tolerance:
        """Held to what it would be held to on a single convolution."""
        return Tolerance(rel_error=PEER_LIMIT[problem.dtype])
