"""Time of one warm call, on one thread, of every algorithm on the layers of `suite.bench_params`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kernels import Algorithm, plan
from suite.bench_params import bench_algorithms, bench_layers, label_of
from suite.catalogue import Layer
from suite.check.checker import Oracle
from suite.check.tolerance import Tolerance

#: Says of a benchmark in a file that it is one of ours; raised when what is measured changes.
MARK = "convmark-1"


@pytest.fixture(scope="module", params=bench_layers(), ids=label_of)
def checked_layer(request: pytest.FixtureRequest) -> tuple[Layer[Any], Oracle]:
    """A layer and its expected results, which are computed once for all algorithms."""
    return request.param, Oracle(request.param.problem)


@pytest.mark.parametrize("algorithm", bench_algorithms(), ids=lambda each: each.name)
def test_conv2d(benchmark: Any, checked_layer: tuple[Layer[Any], Oracle], algorithm: Algorithm) -> None:
    """Check, then time: pytest-benchmark calibrates on the first call that it sees, so that one compiles before."""
    layer, oracle = checked_layer
    problem = layer.problem
    check = oracle.check(algorithm)
    if check.status == "skipped":
        pytest.skip(f"{algorithm.name}: {check.reason}")
    if check.status != "ok":
        pytest.fail(f"{algorithm.name} is {check.status} on {label_of(layer)}: {check.reason}", pytrace=False)
    inputs = oracle.normal[0]
    dst = np.empty(problem.output_shape, problem.dtype)
    bound = plan(problem, inputs.second, inputs.bia, algorithm=algorithm.name, threads=1)
    bound(inputs.first, out=dst)
    # With the whole problem in it, as in the test's name: a changed shape is compared with nothing.
    benchmark.group = label_of(layer)
    benchmark.extra_info.update(
        mark=MARK, network=layer.network, layer=layer.name, problem=str(problem), algorithm=algorithm.name, threads=1,
        rel_error=check.rel_error,
    )  # fmt: skip
    benchmark(bound, inputs.first, out=dst)
    after = oracle.compare(Tolerance.of(algorithm), "normal", dst)
    if after.status != "ok":
        pytest.fail(f"{algorithm.name} is wrong on {label_of(layer)} after it was timed: {after.reason}", pytrace=False)
