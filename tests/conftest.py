"""Shared fixtures: problems at the edges, and integer arrays that any order of sums keeps exact."""

from __future__ import annotations

import atexit
import dataclasses
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kernels import Conv2dProblem, Setup, get_algorithm, registry
from suite.machine.host_lock import host_lock

# What somebody measured on this machine is not looked at, and not added to: by no process that a test starts either.
os.environ["CONVMARK_TUNED"] = "off"

# Tests that run side by side do not measure: none waits for another one, or for a measurement on this machine.
os.environ["CONVMARK_HOST"] = f"tests-{os.getpid()}"
atexit.register(host_lock().unlink, missing_ok=True)

#: Each line is there for one edge: the comment says which.
EDGES = (
    "ic1ih1oc1kh1",  # the smallest convolution
    "ic4ih9iw7oc6kh3ph1",  # rectangular map, padded
    "mb0ic3ih5oc4kh3",  # empty batch
    "mb3ic5ih8iw11oc7kh2kw3",  # batch, even and odd kernel, odd channels
    "ic8ih15oc33kh3sh2ph1",  # one channel over a vector block, strided
    "ic4ih12iw9oc8kh3sh3sw1dh2dw3",  # stride and dilation unequal
    "ic4ih8oc6kh3ph1pb0pr2",  # asymmetric padding
    "ic3ih6oc5kh4ph1pb2",  # SAME with an even kernel
    "g4ic8ih7oc12kh3ph1",  # grouped
    "g16ic16ih10oc16kh3ph1",  # depthwise
    "g6ic6ih9oc18kh5ph2sh2",  # depthwise with a multiplier
    "ic2ih4oc3kh1ph3",  # padding wider than the kernel: rows of nothing but zeros
    "ic16ih1iw17oc16kh1kw7pw3ph0",  # one row
    "ic16ih17iw1oc16kh7kw1ph3pw0",  # one column
    "mb2ic17ih14oc40kh3ph1b1",  # bias
    "ic9ih13oc20kh3ph1b1f64",  # float64
    "ic3ih30oc16kh7sh2ph3",  # stem
    "ic40ih29oc70kh1",  # 1x1
    "ic17ih12iw19oc20kh5ph2",  # 5x5
    "ic2ih33oc2kh31ph15",  # large kernel
)

#: Of gradients: strides, dilations, kernels beside what they cover, cropped rows and columns, no tap at all, groups,
#: biases.
GRADIENT_EDGES = (
    "ic4ih9iw11oc6kh3ph1", "ic16ih17iw16oc16kh3sh2ph1mb2b1", "ic4ih9iw12oc6kh3sh2ph1dh2g2", "ic8ih12oc8kh3ph1g8",
    "ic3ih20oc8kh7sh2ph3", "ic8ih8oc4kh1sh2b1", "ic2ih5oc3kh1ph2", "ic8ih9oc4kh1sh3sw2ph1", "ic2ih7oc2kh5sh2dh2ph9",
    "ic4ih6oc4kh2sh2b1", "ic2ih16oc2kh1sh20b1", "mb3ic3ih10iw3oc2kh4kw2sh3ph2pb0pr3pw1", "mb0ic2ih5oc2kh3",
    "g5mb2ic5ih15iw41oc5kh3sh2ph1b1", "mb2ic5ih13oc6kh5ph2b1", "ic4ih3iw18oc7kh1kw7pw3",
)  # fmt: skip


@pytest.fixture(params=EDGES)
def edge_problem(request: pytest.FixtureRequest) -> Conv2dProblem:
    return Conv2dProblem.parse(request.param)


def integers(problem: Conv2dProblem, seed: int = 7) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """A problem's operands and bias of small whole numbers: every partial sum is exact in float32."""
    rng = np.random.default_rng(seed)

    def draw(shape: tuple[int, ...]) -> np.ndarray:
        return rng.integers(-4, 5, shape).astype(problem.dtype)

    first, second = map(draw, problem.operand_shapes)
    return first, second, draw(problem.bias_shape) if problem.bias and problem.direction != "bwd_w" else None


def register_made_up(
    monkeypatch: pytest.MonkeyPatch, run: Callable[[Setup, np.ndarray, np.ndarray], object], **changes: Any
) -> None:
    """An algorithm ``made_up`` that runs ``run(setup, src, dst)`` and promises what ``direct_naive`` does."""

    def bind(setup: Setup) -> Callable[[np.ndarray, np.ndarray, np.ndarray], object]:
        return lambda src, dst, residual: run(setup, src, dst)

    made = dataclasses.replace(get_algorithm("direct_naive"), name="made_up", bind=bind, **changes)
    monkeypatch.setitem(registry._REGISTRY, "made_up", made)
