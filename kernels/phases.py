"""Where the time of a convolution by transform goes: its three phases, each run by itself.

``python -m kernels.phases winograd_f4x3 ic64ih56oc64kh3ph1 ...`` prints for each
phase the processor time, its share, the rate, and the bytes that it moves at least. Multiply-adds
of the products are counted as they are done, empty rows and channels included; the limits to
hold the rates against are what ``convmark machine`` measures.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import NamedTuple

import numpy as np

from kernels.algorithms.transform.costs import product_rows
from kernels.algorithms.transform.domain import TransformRun
from kernels.algorithms.transform.geometry import Sizes
from kernels.plan import plan
from kernels.problem import Conv2dProblem

__all__ = ["Phase", "least_seconds", "profile", "shortest_sample_s"]

_NAMES = ("input transform", "products", "output transform")
#: Seconds that all phases together are repeated for.
_PATIENCE_S = 0.6
#: A sample is at least this many steps of the clock long.
_STEPS = 20


@cache
def shortest_sample_s(clock: Callable[[], float]) -> float:
    """Seconds that a clock must count for 5 % of accuracy.

    Processor time advances by 1 to 10 ms at a time on systems that count it by timer interrupts, whatever
    resolution they claim.
    """
    return _STEPS * min(_step(clock) for _ in range(5))


def _step(clock: Callable[[], float]) -> float:
    first = clock()
    while (second := clock()) == first:
        pass
    while (third := clock()) == second:
        pass
    return third - second


def least_seconds(calls: Sequence[Callable[[], object]], patience_s: float) -> list[float]:
    """Processor time of each call, the lower quartile of several samples in which the calls take turns.

    Not the least one: clocks of virtual machines miss some of the time of a sample now and then.

    Parameters
    ----------
    calls : sequence of callable
        Each has been called once before.
    patience_s : float
        Seconds that all are repeated for; at least one sample each is taken.
    """
    repeats = [_repeats(call) for call in calls]
    samples: list[list[float]] = [[] for _ in calls]
    end = time.perf_counter() + patience_s
    while True:
        for each, call in enumerate(calls):
            samples[each].append(_sample(call, repeats[each]) / repeats[each])
        if time.perf_counter() >= end:
            return [sorted(taken)[len(taken) // 4] for taken in samples]


def _repeats(call: Callable[[], object]) -> int:
    repeats, enough = 1, shortest_sample_s(time.thread_time)
    while True:
        start = time.perf_counter()
        # By both clocks: processor time that is counted late comes in one leap.
        if min(_sample(call, repeats), time.perf_counter() - start) >= enough:
            return repeats
        repeats *= 2


def _sample(call: Callable[[], object], repeats: int) -> float:
    start = time.thread_time()
    for _ in range(repeats):
        call()
    return time.thread_time() - start


class Phase(NamedTuple):
    """One phase of all blocks.

    Attributes
    ----------
    name : str
    seconds : float
        Processor time, the least of some repetitions.
    flops : float
        Of the products; 0 for transforms.
    nbytes : float
        Source, points and result of the phase, each once.
    """

    name: str
    seconds: float
    flops: float
    nbytes: float


def profile(problem: Conv2dProblem, algorithm: str) -> list[Phase]:
    """Time the phases of one algorithm on one thread, on normal values.

    Parameters
    ----------
    problem : Conv2dProblem
    algorithm : str
        One of family winograd or fft.

    Raises
    ------
    ValueError
        The algorithm is of another family.
    """
    rng = np.random.default_rng(1)
    shapes = problem.input_shape, problem.weight_shape, (problem.oc,)
    src, wei, bia = (rng.standard_normal(s).astype(problem.dtype) for s in shapes)
    bound = plan(problem, wei, bia if problem.bias else None, algorithm=algorithm, threads=1)
    # One whole run: every phase then finds what the one before it leaves.
    dst = bound(src)
    run = bound.algorithm.bind(bound.setup)
    if not isinstance(run, TransformRun):
        raise ValueError(f"algorithm is {algorithm!r}, expected one of family winograd or fft")

    def only(phase: int) -> None:
        run.only(1 << phase)
        run(src, dst, dst)

    least = least_seconds([partial(only, phase) for phase in range(len(_NAMES))], _PATIENCE_S)
    flops, V_bytes, M_bytes = _work(problem, run.sizes)
    U_bytes = bound.setup.packed[0].nbytes
    moved = (src.nbytes + V_bytes, U_bytes + V_bytes + M_bytes, M_bytes + dst.nbytes)
    rows = zip(_NAMES, least, (0.0, flops, 0.0), moved, strict=True)
    return [Phase(*row) for row in rows]


def _work(p: Conv2dProblem, z: Sizes) -> tuple[float, float, float]:
    """Operations of all products, and bytes of V and M of all blocks."""
    depth = z.PIECES_H * z.PIECES_W * z.ICP * z.W
    rows, points, _ = product_rows(z)
    # A complex product is four real ones, of which NR counts two.
    return 2.0 * points * depth * z.OCB * z.NR, points * depth * p.itemsize, rows * z.OCB * z.NR * p.itemsize


def main(algorithm: str, *texts: str) -> None:
    """Print a profile of each problem."""
    for text in texts:
        phases = profile(Conv2dProblem.parse(text), algorithm)
        total = sum(each.seconds for each in phases)
        print(f"{algorithm} {text}: {1e6 * total:.0f} us")
        for each in phases:
            rate = f"{each.flops / each.seconds / 1e9:6.1f} GFLOP/s" if each.flops else ""
            print(
                f"  {each.name:17}{1e6 * each.seconds:9.0f} us {each.seconds / total:5.0%}"
                f" {each.nbytes / each.seconds / 1e9:6.1f} GB/s {rate}"
            )


if __name__ == "__main__":
    main(*sys.argv[1:])
