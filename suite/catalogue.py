"""The workloads: one network a file, one layer a line."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from kernels import Conv2dProblem, ProblemError

__all__ = ["Layer", "UnknownNetwork", "WorkloadError", "layers", "networks", "read_workload"]

_FOLDER = Path(__file__).parent / "workloads"


class UnknownNetwork(ValueError):
    """There is no workload file of that name."""


class WorkloadError(ValueError):
    """A line of a workload file cannot be read."""


@dataclass(frozen=True)
class Layer:
    """One line of a workload file.

    Attributes
    ----------
    network, name : str
    problem : Conv2dProblem
    occurs : int
        How often the network has this layer.
    """

    network: str
    name: str
    problem: Conv2dProblem
    occurs: int


def networks() -> tuple[str, ...]:
    """Names of all workload files, sorted."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.txt")))


def layers(network: str) -> tuple[Layer, ...]:
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
        near = difflib.get_close_matches(network, known, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"expected one of {', '.join(known)}"
        raise UnknownNetwork(f"unknown network {network!r}, {hint}")
    return read_workload(_FOLDER / f"{network}.txt")


def read_workload(path: Path) -> tuple[Layer, ...]:
    """Read one workload file.

    Raises
    ------
    WorkloadError
        A line is not 'problem name count', or names a layer twice; the message has the
        file and the line's number.
    """
    found: dict[str, Layer] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        where = f"{path.name} line {number}"
        parts = text.split()
        if len(parts) != 3 or not parts[2].isdigit() or int(parts[2]) < 1:
            raise WorkloadError(f"{where} is {text!r}, expected 'problem name count'")
        try:
            problem = Conv2dProblem.parse(parts[0])
        except ProblemError as error:
            raise WorkloadError(f"{where}: {error}") from error
        if parts[1] in found:
            raise WorkloadError(f"{where} names layer {parts[1]!r} a second time, expected a new name")
        found[parts[1]] = Layer(path.stem, parts[1], problem, int(parts[2]))
    return tuple(found.values())
