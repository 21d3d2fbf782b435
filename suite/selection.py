"""What somebody asked for, and the list of tasks that it means."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from kernels import Algorithm, Conv2dProblem, get_algorithm
from suite.catalogue import Layer, layers, networks
from suite.probes import resolve_threads

__all__ = ["DEFAULT_NETWORKS", "Request", "Task", "select_layers", "select_networks"]

#: Where nothing is asked for: first steps, and the network that everyone knows.
DEFAULT_NETWORKS = ("basics", "resnet50")

#: The network's name of problems that were given as text.
_TEXT_NETWORK = "text"


@dataclass(frozen=True)
class Task:
    """One algorithm on one layer with one number of threads: what becomes a row."""

    layer: Layer
    algorithm: Algorithm
    threads: int

    @property
    def key(self) -> tuple[Any, ...]:
        """What `suite.rows.key_of` says of the row."""
        return self.layer.network, self.layer.name, str(self.layer.problem), self.algorithm.name, self.threads


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


@dataclass(frozen=True)
class Request:
    """Everything that a run was asked for; stored with it, so that it can be resumed.

    Attributes
    ----------
    networks, problems, algorithms : tuple of str
    mb : int or None
        Batch of the networks' layers; ``None`` keeps what the files state.
    threads : tuple of int
    budget_s : float
        Seconds of samples a row.
    """

    networks: tuple[str, ...]
    problems: tuple[str, ...]
    algorithms: tuple[str, ...]
    mb: int | None
    threads: tuple[int, ...]
    budget_s: float

    def tasks(self) -> list[Task]:
        """Every task, those of a layer together, so that they share its oracle.

        Raises
        ------
        UnknownNetwork, UnknownAlgorithm, ProblemError, ValueError
            Something is asked for that there is not.
        """
        counts = [resolve_threads(n) for n in dict.fromkeys(self.threads)]
        chosen = [get_algorithm(name) for name in dict.fromkeys(self.algorithms)]
        wanted = select_layers(self.networks, self.problems, mb=self.mb)
        return [Task(layer, each, n) for layer in wanted for n in counts for each in chosen]

    def as_dict(self) -> dict[str, Any]:
        """Every attribute, in types that JSON knows."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Request:
        """The inverse of `as_dict`, lists of JSON included."""
        lists: dict[str, Any] = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        return cls(**{**values, **lists})
