"""asv's benchmarks of every algorithm on the layers of `suite.bench_params`: one call, warm, on one thread.

asv runs this file of the checkout that it is started in against the installed sources of any
commit. It therefore imports little, by the names that every commit has: the public face of `kernels`,
`suite.bench_params`, `suite.inputs` and `suite.verify`, which need nothing but NumPy and Numba.

``version`` tells asv which results may stand in one series: raise it when what is measured
changes. A label has the whole problem in it, so that a changed shape is a new series anyway.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from kernels import Conv2dProblem, get_algorithm, plan
from suite.bench_params import bench_algorithms, bench_layers, label_of, read_label
from suite.inputs import make_inputs
from suite.verify import Referee as Oracle

#: By label and algorithm: status, relative L2 error and reason, as `suite.check.checker.Check` has them.
Verdicts = dict[tuple[str, str], tuple[str, float, str]]

_FIRST_CALL = Path(__file__).with_name("first_call.py")


class _Pairs:
    """A layer and an algorithm: skipped if it refuses the problem, failed if its result is wrong."""

    params = ([label_of(layer) for layer in bench_layers()], [each.name for each in bench_algorithms()])
    param_names = ("layer", "algorithm")
    timeout = 300.0

    def setup_cache(self) -> Verdicts:
        """Once a commit: check every pair, so that nothing wrong is timed. It compiles everything on its way."""
        found: Verdicts = {}
        for layer in bench_layers():
            oracle = Oracle(layer.problem)
            for algorithm in bench_algorithms():
                try:
                    check = oracle.check(algorithm)
                    verdict = check.status, check.rel_error, check.reason
                # One that raises is failed, and the others are measured all the same.
                except Exception as error:
                    verdict = "failed", float("nan"), f"{type(error).__name__}: {error}"
                found[label_of(layer), algorithm.name] = verdict
        return found

    setup_cache.timeout = 1800.0  # type: ignore[attr-defined]

    def setup(self, verdicts: Verdicts, label: str, algorithm: str) -> None:
        """Raise unless there is something to measure; ``NotImplementedError`` is what asv calls skipped."""
        # Parameters are of the commit that asv looked at first; this one may not know all of them.
        status, _, reason = verdicts.get((label, algorithm), ("skipped", 0.0, "not of this commit"))
        if status == "skipped":
            raise NotImplementedError(reason)
        if status != "ok":
            raise RuntimeError(f"{algorithm} is {status} on {label}: {reason}")


class Conv2d(_Pairs):
    """Seconds and memory of calls of a prepared plan."""

    # Processes, not samples: what differs between two processes of the same code no sample shows.
    rounds = 4
    # At least 10 samples a process, then up to 100 within half a second. asv runs `setup` before
    # each, and takes one call per sample then.
    repeat = (10, 100, 0.5)
    warmup_time = 0.05

    _ready: tuple[str, str] | None = None

    def setup(self, verdicts: Verdicts, label: str, algorithm: str) -> None:
        """Prepare, once a process; and call, so that what `setup` did to the caches is in no sample."""
        super().setup(verdicts, label, algorithm)
        if self._ready != (label, algorithm):
            problem = read_label(label)[2]
            inputs = make_inputs(problem)
            self.src = inputs.first
            self.dst = np.empty(problem.output_shape, problem.dtype)
            self.plan = plan(problem, inputs.second, inputs.bia, algorithm=algorithm, threads=1)
            self._ready = (label, algorithm)
        self.plan(self.src, out=self.dst)

    def time_call(self, verdicts: Verdicts, label: str, algorithm: str) -> None:
        """Seconds of one call."""
        self.plan(self.src, out=self.dst)

    def peakmem_call(self, verdicts: Verdicts, label: str, algorithm: str) -> None:
        """Most memory of the process: Python, libraries, arrays, packed weights and workspace."""
        self.plan(self.src, out=self.dst)


class Quality(_Pairs):
    """What is to be known of an algorithm besides its speed."""

    def track_rel_error(self, verdicts: Verdicts, label: str, algorithm: str) -> float:
        """Relative L2 error against float64 on normal values."""
        return verdicts[label, algorithm][1]

    def track_compile_s(self, verdicts: Verdicts, label: str, algorithm: str) -> float:
        """Seconds of compiling: in a process of its own, with an empty cache folder."""
        problem = read_label(label)[2]
        assert get_algorithm(algorithm).unsupported(problem) is None
        return _compile_seconds(problem, algorithm)


def _describe(benchmark: Any, unit: str, version: str = "1") -> None:
    benchmark.unit, benchmark.version = unit, version


_describe(Conv2d.time_call, "seconds")
_describe(Conv2d.peakmem_call, "bytes")
_describe(Quality.track_rel_error, "relative L2 error")
_describe(Quality.track_compile_s, "seconds")


def _compile_seconds(problem: Conv2dProblem, algorithm: str) -> float:
    with tempfile.TemporaryDirectory() as empty:
        done = subprocess.run(
            [sys.executable, str(_FIRST_CALL), str(problem), algorithm],
            env={**os.environ, "CONVMARK_CACHE_DIR": empty}, capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"the first call of {algorithm} on {problem} failed: {done.stderr[-500:]}")
    return float(done.stdout)
