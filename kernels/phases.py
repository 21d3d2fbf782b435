"""Where the time of a convolution by transform goes: its three phases, each run by itself.

``python -m kernels.phases winograd_f4x3 ic64ih56oc64kh3ph1 ...`` prints for each
phase the processor time, its share, the rate, and the bytes that it moves at least. Multiply-adds
of the products are counted as they are done, empty rows and channels included; the limits to
hold the rates against are what ``convmark machine`` measures.
"""

from __future__ import annotations

import sys
import time
from typing import NamedTuple

import numpy as np

from kernels.algorithms.transform.costs import product_rows
from kernels.algorithms.transform.domain import TransformRun
from kernels.algorithms.transform.geometry import Sizes
from kernels.plan import plan
from kernels.problem import Conv2dProblem

__all__ = ["Phase", "profile"]

_NAMES = ("input transform", "products", "output transform")
#: Seconds that all phases together are repeated for.
_PATIENCE_S = 0.6


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
    src, wei = (rng.standard_normal(s).astype(problem.dtype) for s in (problem.input_shape, problem.weight_shape))
    bound = plan(problem, wei, algorithm=algorithm, threads=1)
    # One whole run: every phase then finds what the one before it leaves.
    dst = bound(src)
    run = bound.algorithm.bind(bound.setup)
    if not isinstance(run, TransformRun):
        raise ValueError(f"algorithm is {algorithm!r}, expected one of family winograd or fft")
    least = [float("inf")] * len(_NAMES)
    end = time.perf_counter() + _PATIENCE_S
    while time.perf_counter() < end:
        for phase in range(len(_NAMES)):
            run.only(phase)
            start = time.thread_time()
            run(src, dst, dst)
            least[phase] = min(least[phase], time.thread_time() - start)
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
