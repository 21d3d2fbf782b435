"""Times and errors of every algorithm on problems that are drawn at random, for ``fit.py``.

``python results/costs/collect.py 200`` appends to drawn.csv beside this file until it has so many
problems; they are the same ones in every run, and those that are there are not measured again. One
thread; the least processor time of some turns that the algorithms take, so that what else the machine
does hardly matters. Compiling takes most of it: a minute for ten problems.
"""

from __future__ import annotations

import csv
import itertools
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kernels import Conv2dProblem, Plan, ProblemError, algorithms, conv2d_reference, plan

_TIMES = Path(__file__).resolve().with_name("drawn.csv")
_COLUMNS = ("problem", "algorithm", "seconds", "rel_error")
_CHANNELS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
_MAPS = (5, 7, 8, 10, 13, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 224)
#: Multiply-adds of a problem; most that are worth an error, and most that the seven loops are asked for.
_LEAST, _MOST, _MOST_CHECKED, _MOST_NAIVE = 2e4, 1.2e9, 2e8, 3e7
#: Turns; from the third on only those that are not this many times slower than the fastest.
_TURNS, _SLOW = 7, 6
_TURN_S = 1.5e-3


def problems() -> Iterator[Conv2dProblem]:
    """Problems of ten kinds in turn, without end: large kernels, strides, dilations, groups, small ones, others."""
    draw = random.Random(1)
    for i in itertools.count():
        kh = kw = draw.choice((1, 3, 3, 3, 5, 7, 2, 4))
        step = gap = g = 1
        ic, oc, ih = draw.choice(_CHANNELS), draw.choice(_CHANNELS), draw.choice(_MAPS)
        kind = i % 10
        if kind < 2:
            kh = kw = draw.choice((7, 9, 11, 13, 15, 17, 21, 25, 31))
            ic, oc, ih = draw.choice(_CHANNELS[3:15]), draw.choice(_CHANNELS[3:15]), draw.choice(_MAPS[6:])
            if draw.random() < 0.2:
                g = oc = ic
        elif kind == 2:
            step = draw.choice((2, 2, 3, 4))
        elif kind == 3:
            gap, kh = draw.choice((2, 3, 4)), draw.choice((3, 5))
            kw = kh
        elif kind == 4:
            g = draw.choice((2, 4, 8, 16, 32))
            ic = oc = g * draw.choice((1, 2, 4, 8, 16, 32))
        elif kind == 5:
            kh, kw = draw.choice(((1, 7), (7, 1), (1, 3), (3, 1), (1, 5), (5, 1)))
        elif kind == 6:
            ic, oc, ih = draw.choice(_CHANNELS[:6]), draw.choice(_CHANNELS[:8]), draw.choice(_MAPS)
        mb = draw.choice((1, 1, 1, 1, 2, 4, 8))
        ph, pw = kh // 2 * gap, kw // 2 * gap
        try:
            p = Conv2dProblem(
                mb=mb, g=g, ic=ic, oc=oc, ih=ih, iw=ih if draw.random() < 0.8 else draw.choice(_MAPS), kh=kh, kw=kw,
                sh=step, sw=step, ph=ph, pw=pw, pb=ph, pr=pw, dh=gap, dw=gap,
            )  # fmt: skip
        except ProblemError:
            continue
        if _LEAST <= p.macs_nominal <= _MOST:
            yield p


def rows(p: Conv2dProblem) -> list[tuple[str, str, str, str]]:
    """A row of each algorithm that takes the problem."""
    rng = np.random.default_rng(0)
    src, wei = (rng.standard_normal(shape).astype(p.dtype) for shape in (p.input_shape, p.weight_shape))
    exact = conv2d_reference(p, src, wei, None) if p.macs_nominal <= _MOST_CHECKED else None
    plans: dict[str, Plan] = {}
    errors: dict[str, str] = {}
    dst = np.empty(p.output_shape, p.dtype)
    for each in algorithms():
        if each.unsupported(p) or (each.name == "direct_naive" and p.macs_nominal > _MOST_NAIVE):
            continue
        plans[each.name] = plan(p.replace(bias=False), wei, algorithm=each.name, threads=1)
        plans[each.name](src, out=dst)
        if exact is not None:
            errors[each.name] = f"{np.linalg.norm(dst - exact) / np.linalg.norm(exact):.4g}"
    least = dict.fromkeys(plans, float("inf"))
    for turn in range(_TURNS):
        for name, bound in plans.items():
            if turn < 2 or least[name] <= _SLOW * min(least.values()):
                least[name] = min(least[name], _seconds(bound, src, dst))
    return [(str(p), name, f"{seconds:.4g}", errors.get(name, "")) for name, seconds in least.items()]


def _seconds(bound: Plan, src: np.ndarray, dst: np.ndarray) -> float:
    start = time.thread_time()
    bound(src, out=dst)
    calls = max(1, int(_TURN_S / max(1e-6, time.thread_time() - start)))
    start = time.thread_time()
    for _ in range(calls):
        bound(src, out=dst)
    return (time.thread_time() - start) / calls


def main(wanted: int) -> None:
    """Measure what is missing of so many problems."""
    known: set[str] = set()
    if _TIMES.exists():
        with _TIMES.open() as file:
            known = {row["problem"] for row in csv.DictReader(file)}
    with _TIMES.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if not known:
            writer.writerow(_COLUMNS)
        for p in itertools.islice(problems(), wanted):
            if str(p) not in known:
                writer.writerows(rows(p))
                file.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))
