"""What asv and pytest-benchmark iterate over: catalogue x registry, small enough to finish.

``CONVMARK_BENCH_NETWORKS`` (names with commas) selects other networks than ``quick``.
"""

from __future__ import annotations

import os

from kernels import Algorithm, Conv2dProblem, algorithms
from suite.catalogue import Layer
from suite.selection import select_layers

__all__ = ["bench_algorithms", "bench_layers", "label_of", "read_label"]


def bench_layers() -> list[Layer]:
    """The layers that are timed, at mb=1.

    Raises
    ------
    UnknownNetwork
        The variable names a network that there is not.
    """
    names = os.environ.get("CONVMARK_BENCH_NETWORKS", "quick")
    return select_layers([name.strip() for name in names.split(",") if name.strip()])


def bench_algorithms() -> list[Algorithm]:
    """The algorithms that are timed: all."""
    return list(algorithms())


def label_of(layer: Layer) -> str:
    """A layer as one parameter: everything that a reader of stored results needs."""
    return f"{layer.network}/{layer.name} {layer.problem}"


def read_label(label: str) -> tuple[str, str, Conv2dProblem]:
    """Network, layer and problem of a label; the inverse of `label_of`.

    Raises
    ------
    ValueError
        It is no label.
    """
    name, _, text = label.partition(" ")
    network, slash, layer = name.partition("/")
    if not slash:
        raise ValueError(f"label is {label!r}, expected 'network/layer problem'")
    return network, layer, Conv2dProblem.parse(text)
