"""Workload files: one per network, one line per layer; and a file of blocks."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from kernels import Conv2dProblem, ProblemError
from suite.blocks.problem import Block
from suite.hints import hint

__all__ = ["BLOCKS", "Layer", "UnknownNetwork", "WorkloadError", "blocks", "layers", "networks", "read_workload"]

#: The file of blocks, and what stands for a network in their rows.
BLOCKS = "blocks"

_FOLDER = Path(__file__).parent / "workloads"

#: What a line describes: a convolution or a block.
Described = TypeVar("Described", Conv2dProblem, Block)


class UnknownNetwork(ValueError):
    """There is no workload file of that name."""


class WorkloadError(ValueError):
    """A line of a workload file cannot be read."""


@dataclass(frozen=True)
class Layer(Generic[Described]):
    """One line of a workload file.

    Attributes
    ----------
    network, name : str
    problem : Conv2dProblem or Block
    occurs : int
        How often the network has this layer.
    """

    network: str
    name: str
    problem: Described
    occurs: int


def networks() -> tuple[str, ...]:
    """Names of all workload files of single convolutions, sorted."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.txt") if path.stem != BLOCKS))


def layers(network: str) -> tuple[Layer[Conv2dProblem], ...]:
    """The layers of ``network`` in the order of its file.

    Raises
    ------
    UnknownNetwork
        There is no such file; the message suggests near matches.
    WorkloadError
        A line cannot be read.
    """
    known = networks()
    if network not in known:
        raise UnknownNetwork(f"unknown network {network!r}, {hint(network, known)}")
    return read_workload(_FOLDER / f"{network}.txt")


def blocks() -> tuple[Layer[Block], ...]:
    """The blocks, in the order of their file.

    Raises
    ------
    WorkloadError
        A line cannot be read.
    """
    return _read(_FOLDER / f"{BLOCKS}.txt", Block.parse)


def read_workload(path: Path) -> tuple[Layer[Conv2dProblem], ...]:
    """Read one workload file of single convolutions.

    Raises
    ------
    WorkloadError
        A line is not 'problem name count', or names a layer twice; the message has the
        file and the line's number.
    """
    return _read(path, Conv2dProblem.parse)


def _read(path: Path, parse: Callable[[str], Described]) -> tuple[Layer[Described], ...]:
    found: dict[str, Layer[Described]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        where = f"{path.name} line {number}"
        parts = text.split()
        if len(parts) != 3 or not re.fullmatch("[0-9]{1,9}", parts[2]) or int(parts[2]) < 1:
            raise WorkloadError(f"{where} is {text!r}, expected 'problem name count'")
        try:
            problem = parse(parts[0])
        except ProblemError as error:
            raise WorkloadError(f"{where}: {error}") from error
        if parts[1] in found:
            raise WorkloadError(f"{where} names layer {parts[1]!r} a second time, expected a new name")
        found[parts[1]] = Layer(path.stem, parts[1], problem, int(parts[2]))
    return tuple(found.values())
