"""Time of one warm call, on one thread, of every algorithm on the layers of `suite.bench_params`."""

from __future__ import annotations

import numpy as np

from kernels import get_algorithm, plan
from suite.bench_params import bench_algorithms, bench_layers, label_of, read_label
from suite.inputs import make_inputs


class Conv2d:
    """asv makes one of these a parameter pair, in a process of its own."""

    params = ([label_of(layer) for layer in bench_layers()], [each.name for each in bench_algorithms()])
    param_names = ("layer", "algorithm")
    # Compilation is in the warm-up of `setup`, which asv does not time.
    warmup_time = 0.0

    def setup(self, label: str, algorithm: str) -> None:
        """Prepare and compile; a refusal is what asv calls skipped."""
        _, _, problem = read_label(label)
        if get_algorithm(algorithm).unsupported(problem) is not None:
            raise NotImplementedError
        inputs = make_inputs(problem)
        self.src = inputs.src
        self.dst = np.empty(problem.output_shape, problem.dtype)
        self.plan = plan(problem, inputs.wei, inputs.bia, algorithm=algorithm, threads=1)
        self.plan(self.src, out=self.dst)

    def time_call(self, label: str, algorithm: str) -> None:
        """Seconds of one call."""
        self.plan(self.src, out=self.dst)
