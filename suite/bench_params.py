"""Layers and algorithms that asv and pytest-benchmark iterate over: catalogue x registry, small enough to finish.

``CONVMARK_BENCH_NETWORKS`` and ``CONVMARK_BENCH_ALGORITHMS`` (names with commas) ask for
other networks than ``quick``, and for certain algorithms; all of what is asked for is timed,
however many combinations that makes.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from typing import Any

from kernels import Algorithm, Conv2dProblem, algorithms, get_algorithm
from suite.catalogue import Layer
from suite.selection import select_layers

__all__ = ["MOST_COMBINATIONS", "bench_algorithms", "bench_layers", "label_of", "read_label", "spread_over_families"]

#: Layers times algorithms if nothing else is asked for.
MOST_COMBINATIONS = 40


def bench_layers() -> list[Layer[Any]]:
    """The layers that are timed, at mb=1.

    Raises
    ------
    UnknownNetwork
        The variable names a network that there is not.
    """
    return select_layers(_names("CONVMARK_BENCH_NETWORKS") or ["quick"])


def bench_algorithms() -> list[Algorithm]:
    """The algorithms that are timed: all, or by default as many as keep within `MOST_COMBINATIONS`.

    Raises
    ------
    UnknownAlgorithm
        The variable names an algorithm that there is not.
    """
    asked = _names("CONVMARK_BENCH_ALGORITHMS")
    if asked:
        return [get_algorithm(name) for name in asked]
    if _names("CONVMARK_BENCH_NETWORKS"):
        return list(algorithms("fwd"))
    return spread_over_families(algorithms("fwd"), MOST_COMBINATIONS // len(bench_layers()))


def spread_over_families(known: Sequence[Algorithm], most: int) -> list[Algorithm]:
    """At most so many algorithms, in their order: the first of each family, then the second of each, ..."""
    families: dict[str, list[Algorithm]] = {}
    for each in known:
        families.setdefault(each.family, []).append(each)
    in_turn = [each for turn in itertools.zip_longest(*families.values()) for each in turn if each is not None]
    chosen = {each.name for each in in_turn[:most]}
    return [each for each in known if each.name in chosen]


def label_of(layer: Layer[Any]) -> str:
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


def _names(variable: str) -> list[str]:
    return [name.strip() for name in os.environ.get(variable, "").split(",") if name.strip()]
