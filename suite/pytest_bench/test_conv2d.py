"""Time of one warm call, on one thread, of every algorithm on the layers of `suite.bench_params`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kernels import Algorithm, plan
from suite.bench_params import bench_algorithms, bench_layers, label_of
from suite.catalogue import Layer
from suite.check.inputs import make_inputs


@pytest.mark.parametrize("algorithm", bench_algorithms(), ids=lambda each: each.name)
@pytest.mark.parametrize("layer", bench_layers(), ids=label_of)
def test_conv2d(benchmark: Any, layer: Layer, algorithm: Algorithm) -> None:
    """Compile outside: pytest-benchmark calibrates on the first call that it sees."""
    problem = layer.problem
    refusal = algorithm.unsupported(problem)
    if refusal is not None:
        pytest.skip(f"{algorithm.name}: {refusal}")
    inputs = make_inputs(problem)
    dst = np.empty(problem.output_shape, problem.dtype)
    bound = plan(problem, inputs.wei, inputs.bia, algorithm=algorithm.name, threads=1)
    bound(inputs.src, out=dst)
    # With the whole problem in it, as in the test's name: a changed shape is compared with nothing.
    benchmark.group = label_of(layer)
    benchmark.extra_info.update(
        network=layer.network, layer=layer.name, problem=str(problem), algorithm=algorithm.name, threads=1
    )
    benchmark(bound, inputs.src, out=dst)
