"""Kernels with one mistake each, for the children of `guarded_runs`: each must be caught and named.

Importing this registers them as algorithms, so nothing but a child process may import it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numba
import numpy as np

from kernels import Conv2dProblem, Setup, algorithm, get_algorithm
from kernels.machine.cpu import lanes_of
from kernels.machine.static import static
from kernels.machine.tile_memory import tile_load, tile_store
from kernels.machine.tile_shape import TileShape


@numba.njit
def _copy_vector(shape, source, at, target, to):
    tile_store(tile_load(shape, source, at, 0), target, to, 0)


@numba.njit
def _put(target, at, value):
    target[at] = value


def _scratch(p: Conv2dProblem, threads: int) -> dict[str, tuple[int, ...]]:
    return {"first": (16,), "second": (16,)}


def _mistake(name: str, p: Conv2dProblem, wei: Any, src: Any, dst: Any, scratch: Mapping[str, np.ndarray]) -> None:
    vector = static(TileShape(1, 1, lanes_of(p.dtype)))
    if name == "broken_reads_a_vector_past":
        _copy_vector(vector, src, src.size, scratch["second"], 0)
    elif name == "broken_reads_before":
        _copy_vector(vector, wei, -1, scratch["second"], 0)
    elif name == "broken_writes_an_element_past":
        _put(dst, dst.size, 0.0)
    elif name == "broken_writes_the_source":
        _put(src, 0, src[0])
    elif name == "broken_outgrows_a_piece_of_the_workspace":
        _put(scratch["first"], 16, 0.0)
    elif name == "broken_leaves_one_out":
        dst[-1] = np.nan


def _register(name: str) -> None:
    def bind(setup: Setup) -> Callable[[np.ndarray, np.ndarray, np.ndarray], None]:
        right = get_algorithm("direct_naive").bind(setup)

        def run(src: np.ndarray, dst: np.ndarray, residual: np.ndarray) -> None:
            right(src, dst, residual)
            wei = setup.packed[0].reshape(-1)
            _mistake(name, setup.problem, wei, src.reshape(-1), dst.reshape(-1), setup.scratch)

        return run

    algorithm(name, family="broken", error_factor=8.0, scratch=_scratch)(bind)


for _name in (
    "broken_reads_a_vector_past",
    "broken_reads_before",
    "broken_writes_an_element_past",
    "broken_writes_the_source",
    "broken_outgrows_a_piece_of_the_workspace",
    "broken_leaves_one_out",
):
    _register(_name)
