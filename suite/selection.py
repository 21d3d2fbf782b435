"""What somebody asked for, and the list of tasks that it means."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from kernels import Conv2dProblem, ProblemError
from suite.blocks.contenders import select_block_contenders
from suite.blocks.problem import Block
from suite.catalogue import Layer, blocks, layers, networks
from suite.contenders import Contender, select_contenders
from suite.probes import resolve_threads
from suite.screen import Screen

__all__ = [
    "CACHES",
    "DEFAULT_NETWORKS",
    "Bout",
    "Request",
    "Task",
    "bouts_of",
    "select_blocks",
    "select_layers",
    "select_networks",
]

#: Where nothing is asked for: first steps, and the network that everyone knows.
DEFAULT_NETWORKS = ("basics", "resnet50")

#: Whether inputs and weights are in the caches when a call begins.
CACHES = ("warm", "cold")

#: The network's name of problems and blocks that were given as text.
_TEXT_NETWORK = "text"


@dataclass(frozen=True)
class Bout:
    """One layer with one number of threads, caches warm or cold: who meets on it can be compared."""

    layer: Layer
    threads: int
    cache: str

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells it from others, in types that JSON knows."""
        return self.layer.network, self.layer.name, str(self.layer.problem), self.threads, self.cache


@dataclass(frozen=True)
class Task:
    """One contender in one bout: what becomes a row."""

    layer: Layer
    contender: Contender
    threads: int
    cache: str = "warm"

    @property
    def bout(self) -> Bout:
        """The bout that it is part of."""
        return Bout(self.layer, self.threads, self.cache)

    @property
    def key(self) -> tuple[Any, ...]:
        """What `suite.rows.key_of` says of the row."""
        layer = self.layer
        return layer.network, layer.name, str(layer.problem), self.contender.name, self.threads, self.cache


def bouts_of(tasks: Iterable[Task]) -> dict[Bout, list[Task]]:
    """Tasks by their bout, in the order of their first."""
    found: dict[Bout, list[Task]] = {}
    for task in tasks:
        found.setdefault(task.bout, []).append(task)
    return found


def select_networks(
    chosen: Iterable[str] = (), problems: Iterable[str] = (), *, every: bool = False
) -> tuple[str, ...]:
    """Names of networks: all, or those chosen, or `DEFAULT_NETWORKS` where nothing is, no problem either."""
    if every:
        return networks()
    return tuple(dict.fromkeys(chosen)) or (() if tuple(problems) else DEFAULT_NETWORKS)


def select_layers(names: Iterable[str], problems: Iterable[str] = (), *, mb: int | None = 1) -> list[Layer]:
    """Layers of networks, and layers made of problem texts.

    Parameters
    ----------
    names : iterable of str
        Networks.
    problems : iterable of str
        Problem texts; their batch is the one that they state.
    mb : int or None
        Batch of the networks' layers; ``None`` keeps what the files state.

    Raises
    ------
    UnknownNetwork, ProblemError
    """
    found = [layer for name in names for layer in layers(name)]
    if mb is not None:
        found = [dataclasses.replace(each, problem=each.problem.replace(mb=mb)) for each in found]
    parsed = dict.fromkeys(Conv2dProblem.parse(text) for text in problems)
    return found + [Layer(_TEXT_NETWORK, str(problem), problem, 1) for problem in parsed]


def select_blocks(names: Iterable[str]) -> list[Layer]:
    """Blocks of the workload file by their names or kinds, and those that texts describe; none twice.

    Raises
    ------
    ProblemError
        There is no such block; the message suggests near matches.
    """
    listed = blocks()
    found: dict[str, Layer] = {}
    for name in names:
        if ":" in name:
            block = Block.parse(name)
            chosen = [Layer(_TEXT_NETWORK, str(block), block, 1)]
        else:
            chosen = [each for each in listed if name in (each.name, each.problem.kind)]
        if not chosen:
            known = dict.fromkeys(word for each in listed for word in (each.problem.kind, each.name))
            near = difflib.get_close_matches(name, known, n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else f"expected one of {', '.join(known)}"
            raise ProblemError(f"unknown block {name!r}, {hint}")
        found.update((each.name, each) for each in chosen)
    return [*found.values()]


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
        Seconds of samples a row, all its processes together.
    processes : int
        Fresh processes a contender.
    caches : tuple of {"warm", "cold"}
    reference : str
        Contender that ratios are stated to; empty for the fastest peer of each layer.
    blocks : tuple of str
        Blocks, by name, kind or text; where there are any, contenders are those on blocks, and
        networks and problems are not looked at.
    slower : float
        Contenders that take more than so many times the fastest in the first process are measured in
        no other; 0 for none.
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

    @property
    def screen(self) -> Screen:
        """Who is measured in one process only."""
        return Screen(self.slower if self.processes > 1 else 0.0, self.reference)

    def tasks(self) -> list[Task]:
        """Every task, those of a bout together.

        Raises
        ------
        UnknownNetwork, UnknownContender, ProblemError, ValueError
            Something is asked for that there is not.
        """
        counts = [resolve_threads(n) for n in dict.fromkeys(self.threads)]
        if self.blocks:
            chosen, wanted = select_block_contenders(self.contenders), select_blocks(self.blocks)
        else:
            chosen = select_contenders(self.contenders)
            wanted = select_layers(self.networks, self.problems, mb=self.mb)
        return [
            Task(layer, each, n, cache) for layer in wanted for n in counts for cache in self.caches for each in chosen
        ]

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
        return cls(**found)
