"""An image filtered along its rows and then down its columns: two plans beside OpenCV's ``sepFilter2D``, in turns."""

from __future__ import annotations

import time
from collections.abc import Callable

import cv2
import numpy as np

from kernels import Conv2dProblem, plan

_SIDE, _WIDTHS, _TURNS = 1024, (7, 15, 31, 63), 30


def _least(calls: list[Callable[[], object]]) -> list[float]:
    """Least seconds of each, which take turns."""
    seconds = [[] for _ in calls]  # type: list[list[float]]
    for _ in range(_TURNS):
        for call, found in zip(calls, seconds, strict=True):
            start = time.perf_counter()
            call()
            found.append(time.perf_counter() - start)
    return [min(each) for each in seconds]


def main() -> None:
    """Print a table, on one thread."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    image = rng.standard_normal((_SIDE, _SIDE)).astype(np.float32)
    print(f"{_SIDE} x {_SIDE} pixels, one thread, least of {_TURNS} turns\n")
    print("| taps | ours [ms] | sepFilter2D [ms] | speed-up |\n|-|-|-|-|")
    for width in _WIDTHS:
        across, down = rng.standard_normal((2, width)).astype(np.float32)
        shapes = [(1, width), (width, 1)]
        plans = []
        for (kh, kw), taps in zip(shapes, (across, down), strict=True):
            p = Conv2dProblem(ic=1, oc=1, ih=_SIDE, iw=_SIDE, kh=kh, kw=kw, ph=kh // 2, pw=kw // 2)
            plans.append(plan(p, taps.reshape(1, 1, kh, kw), threads=1))
        between, result = np.empty((2, 1, 1, _SIDE, _SIDE), np.float32)

        def ours(plans: list = plans, between: np.ndarray = between, result: np.ndarray = result) -> np.ndarray:
            plans[0](image[None, None], out=between)
            return plans[1](between, out=result)

        def theirs(across: np.ndarray = across, down: np.ndarray = down) -> np.ndarray:
            return cv2.sepFilter2D(image, -1, across, down, None, (-1, -1), 0, cv2.BORDER_CONSTANT)

        np.testing.assert_allclose(ours()[0, 0], theirs(), atol=1e-3 * width)
        one, other = _least([ours, theirs])
        print(f"| {width} | {one * 1e3:.2f} | {other * 1e3:.2f} | {other / one:.2f} |")


if __name__ == "__main__":
    main()
