"""The timed path allocates nothing but the result, and not even that where ``out`` is given.

Seen is what Python and NumPy allocate, not what compiled code would by a ``np.empty`` of its own.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from kernels import Algorithm, Conv2dProblem, algorithms, plan

#: Bytes of Python objects (views, tuples, arguments) that a call may hold at once.
_SMALL = 4096
#: Its source, result and workspace are each many times that.
_PROBLEM = Conv2dProblem.parse("mb2ic17ih23oc40kh3ph1b1")
#: For those that are made for one kind only: depthwise, 5x5, one-dimensional.
_OTHERS = ("mb4g16ic16ih30oc16kh3ph1", "mb2ic17ih23oc40kh5ph2b1", "mb2ic17ih23oc40kh1kw7ph0pw3", "mb2ic17ih23oc40kh2")


def _peak(call: Callable[[], object]) -> int:
    """Bytes that a call held at most, NumPy's arrays among them."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        call()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    "algorithm",
    [pytest.param(each, marks=pytest.mark.xdist_group(each.name), id=each.name) for each in algorithms("fwd")],
)
def test_a_call_allocates_nothing_but_the_result(algorithm: Algorithm, threads: int) -> None:
    problems = (_PROBLEM, *map(Conv2dProblem.parse, _OTHERS))
    p = next(each for each in problems if algorithm.unsupported(each) is None)
    bia = np.ones(p.oc, p.dtype) if p.bias else None
    bound = plan(p, np.ones(p.weight_shape, p.dtype), bia, algorithm=algorithm.name, threads=threads)
    src, dst = np.ones(p.input_shape, p.dtype), np.empty(p.output_shape, p.dtype)
    bound(src, out=dst)  # compiles
    assert min(src.nbytes, dst.nbytes) > 4 * _SMALL
    into, fresh = _peak(lambda: bound(src, out=dst)), _peak(lambda: bound(src))
    assert into < _SMALL
    assert dst.nbytes <= fresh < dst.nbytes + _SMALL


def test_a_copy_that_is_gone_again_is_seen() -> None:
    src = np.ones(_PROBLEM.input_shape, _PROBLEM.dtype)
    assert _peak(lambda: src.copy().sum()) >= src.nbytes
