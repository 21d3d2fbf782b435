"""Calls from several Python threads at once, in a child process: the layer may abort it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import kernels

_ROOT = Path(kernels.__file__).parent.parent
_CALLERS, _CALLS = 4, 200

_RUN = """
import sys, threading
import numba, numpy as np, kernels
shared, threads, callers, calls = (int(word) for word in sys.argv[1:])
p = kernels.Conv2dProblem.parse("mb2ic17ih14oc40kh3ph1b1")
rng = np.random.default_rng(0)
wei, bia = (rng.integers(-4, 5, shape).astype("f4") for shape in (p.weight_shape, (p.oc,)))
inputs = [rng.integers(-4, 5, p.input_shape).astype("f4") for _ in range(callers)]
plans = [kernels.plan(p, wei, bia, algorithm="direct_tiled", threads=threads) for _ in range(callers)]
wrong = [0] * callers
def call(i):
    expected = kernels.conv2d_reference(p, inputs[i], wei, bia)
    for _ in range(calls):
        wrong[i] += not np.array_equal(plans[0 if shared else i](inputs[i]), expected)
callers_of = [threading.Thread(target=call, args=(i,)) for i in range(callers)]
for each in callers_of: each.start()
for each in callers_of: each.join()
print(sum(wrong), numba.threading_layer() if threads > 1 else "none")
"""


#: Calls on one thread use no layer.
@pytest.mark.parametrize(("threads", "layer"), [(1, "default"), (2, "default"), (2, "workqueue")])
@pytest.mark.parametrize("shared", [False, True], ids=["own plans", "one plan"])
@pytest.mark.xdist_group("direct_tiled")
def test_calls_from_several_threads_are_right(shared: bool, threads: int, layer: str) -> None:
    environment = {**os.environ, "NUMBA_NUM_THREADS": "2", "NUMBA_THREADING_LAYER": layer}
    done = subprocess.run(
        [sys.executable, "-c", _RUN, *map(str, (int(shared), threads, _CALLERS, _CALLS))],
        env=environment, cwd=_ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    wrong, used = done.stdout.split()
    assert int(wrong) == 0
    if threads > 1 and layer != "default":
        assert used == layer
