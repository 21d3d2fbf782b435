"""Seconds that the first call of an algorithm takes longer than the second: its compilation.

What Numba sets up in every process before it compiles or loads anything is in it too.

Run as a script, in a process and with a ``CONVMARK_CACHE_DIR`` of its own::

    python first_call.py PROBLEM ALGORITHM
"""

from __future__ import annotations

import sys
import time

import numpy as np

from kernels import Conv2dProblem, plan

__all__ = ["compile_seconds"]


def compile_seconds(text: str, algorithm: str) -> float:
    """Seconds of compiling, or of loading what was compiled before; preparing and calling are taken off.

    Parameters
    ----------
    text : str
        A problem.
    algorithm : str
        One that supports it, and was not called in this process before.
    """
    problem = Conv2dProblem.parse(text)
    src, wei, bia = (np.ones(shape, problem.dtype) for shape in (problem.input_shape, problem.weight_shape, problem.oc))
    dst = np.empty(problem.output_shape, problem.dtype)

    def once() -> float:
        start = time.perf_counter()
        plan(problem, wei, bia if problem.bias else None, algorithm=algorithm, threads=1)(src, out=dst)
        return time.perf_counter() - start

    first = once()
    return first - once()


if __name__ == "__main__":
    print(compile_seconds(*sys.argv[1:]))
