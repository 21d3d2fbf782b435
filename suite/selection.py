"""Selections: what was asked for, and the cases that it means."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from kernels import Conv2dProblem, ProblemError
from suite.blocks.problem import Block
from suite.catalogue import Layer, blocks, layers, networks
from suite.check.inputs import direction_of
from suite.contenders import Contender, select_block_contenders, select_contenders
from suite.hints import hint
from suite.machine.probes import resolve_threads
from suite.records import checked
from suite.results.rows import CASE_KEY, Row, key_of

__all__ = [
    "CACHES",
    "DEFAULT_NETWORKS",
    "Case",
    "Request",
    "select_blocks",
    "select_layers",
    "select_networks",
]

#: If nothing is asked for: first steps, and the best-known network.
DEFAULT_NETWORKS = ("basics", "resnet50")

#: Whether inputs and weights are in the caches when a call begins.
CACHES = ("warm", "cold")

#: The network's name of problems and blocks that were given as text.
_TEXT_NETWORK = "text"


@dataclass(frozen=True)
class Case:
    """One layer with one number of threads, caches warm or cold: contenders on it can be compared."""

    layer: Layer[Any]
    threads: int
    cache: str = "warm"

    @property
    def columns(self) -> Row:
        """What its rows have in common."""
        layer = self.layer
        return {
            "network": layer.network, "layer": layer.name, "problem": str(layer.problem), "threads": self.threads,
            "cache": self.cache,
        }  # fmt: skip

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells it from others, in types that JSON knows."""
        return key_of(self.columns, CASE_KEY)

    def row_key(self, contender: str) -> tuple[Any, ...]:
        """`suite.results.rows.key_of` a contender's row."""
        return key_of({**self.columns, "algorithm": contender})


def select_networks(
    chosen: Iterable[str] = (), problems: Iterable[str] = (), *, every: bool = False
) -> tuple[str, ...]:
    """Names of networks: all, or those chosen, or `DEFAULT_NETWORKS` if nothing is, no problem either."""
    if every:
        return networks()
    return tuple(dict.fromkeys(chosen)) or (() if tuple(problems) else DEFAULT_NETWORKS)


def select_layers(
    names: Iterable[str], problems: Iterable[str] = (), *, mb: int | None = 1, directions: Iterable[str] = ("fwd",)
) -> list[Layer[Any]]:
    """Layers of networks, and layers made of problem texts, in each direction.

    Parameters
    ----------
    names : iterable of str
        Networks.
    problems : iterable of str
        Problem texts; their batch is the one that they state.
    mb : int or None
        Batch of the networks' layers; ``None`` keeps what the files state.
    directions : iterable of {"fwd", "bwd_d", "bwd_w"}
        Of the networks' layers, and of texts that state none.

    Raises
    ------
    UnknownNetwork, ProblemError
    """
    found = [layer for name in names for layer in layers(name)]
    if mb is not None:
        found = [dataclasses.replace(each, problem=each.problem.replace(mb=mb)) for each in found]
    wanted = tuple(dict.fromkeys(directions))
    found = [
        dataclasses.replace(each, problem=each.problem.replace(direction=direction))
        for direction in wanted
        for each in found
    ]
    texts = [Conv2dProblem.parse(text) for text in problems]
    parsed = dict.fromkeys(
        each if each.direction != "fwd" else each.replace(direction=direction) for direction in wanted for each in texts
    )
    return found + [Layer(_TEXT_NETWORK, str(problem), problem, 1) for problem in parsed]


def select_blocks(names: Iterable[str]) -> list[Layer[Any]]:
    """Blocks of the workload file by their names or kinds, and those that texts describe; none twice.

    Raises
    ------
    ProblemError
        There is no such block; the message suggests near matches.
    """
    listed = blocks()
    found: dict[str, Layer[Any]] = {}
    for name in names:
        if ":" in name:
            block = Block.parse(name)
            chosen = [Layer(_TEXT_NETWORK, str(block), block, 1)]
        else:
            chosen = [each for each in listed if name in (each.name, each.problem.kind)]
        if not chosen:
            known = dict.fromkeys(word for each in listed for word in (each.problem.kind, each.name))
            raise ProblemError(f"unknown block {name!r}, {hint(name, known)}")
        found.update((each.name, each) for each in chosen)
    return [*found.values()]


def _computing(layer: Layer[Any], chosen: tuple[Contender[Any, Any], ...]) -> tuple[Contender[Any, Any], ...]:
    """The contenders that compute what a layer is about; all if none does, who then say why."""
    direction = direction_of(layer.problem)
    return tuple(each for each in chosen if direction in each.directions) or chosen


@dataclass(frozen=True)
class Request:
    """Everything that a run was asked for; stored with it, so that it can be resumed.

    Attributes
    ----------
    networks, problems, contenders : tuple of str
    mb : int or None
        Batch of the networks' layers; ``None`` keeps what the files state.
    threads : tuple of int
    budget_s : float
        Seconds of samples per row, all its processes together.
    processes : int
        Fresh processes per contender.
    caches : tuple of {"warm", "cold"}
    reference : str
        Contender that ratios are stated to; empty for the fastest peer of each layer.
    blocks : tuple of str
        Blocks, by name, kind or text; if there are any, contenders are those on blocks, and
        networks and problems are not looked at.
    slower : float
        Contenders that take more than so many times the fastest in the first process are measured in
        no other; 0 for none.
    directions : tuple of {"fwd", "bwd_d", "bwd_w"}
        Of the networks' layers, and of problems that state none.
    part : tuple of int
        Which part of the layers, and of how many: every so many-th, and the first of all, by which machines that
        measure different parts are compared.
    """

    networks: tuple[str, ...]
    problems: tuple[str, ...]
    contenders: tuple[str, ...]
    mb: int | None
    threads: tuple[int, ...]
    budget_s: float
    processes: int = 3
    caches: tuple[str, ...] = ("warm",)
    reference: str = ""
    blocks: tuple[str, ...] = ()
    slower: float = 0.0
    directions: tuple[str, ...] = ("fwd",)
    part: tuple[int, ...] = (1, 1)

    def cases(self) -> dict[Case, tuple[Contender[Any, Any], ...]]:
        """Every case with its contenders: those that compute its direction, or, to say so, those that do not.

        Raises
        ------
        UnknownNetwork, UnknownContender, ProblemError, ValueError
            Something is asked for that does not exist.
        """
        counts = [resolve_threads(n) for n in dict.fromkeys(self.threads)]
        if self.blocks:
            chosen, wanted = select_block_contenders(self.contenders), select_blocks(self.blocks)
        else:
            chosen = select_contenders(self.contenders)
            wanted = select_layers(self.networks, self.problems, mb=self.mb, directions=self.directions)
        number, count = self.part
        wanted = (wanted[:1] if number > 1 else []) + wanted[number - 1 :: count]
        return {
            Case(layer, n, cache): _computing(layer, chosen)
            for layer in wanted
            for n in counts
            for cache in self.caches
        }

    def as_dict(self) -> dict[str, Any]:
        """Every attribute, in types that JSON knows."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Request:
        """The inverse of `as_dict`, lists of JSON included."""
        lists: dict[str, Any] = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        found = {**values, **lists}
        # Runs of the first version knew only algorithms of our own, timed in one process.
        if "algorithms" in found:
            found = {**found, "contenders": found["algorithms"], "processes": 1}
            del found["algorithms"]
        return checked(cls(**found))
