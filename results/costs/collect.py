"""Times of every algorithm on the layers of all networks and on problems drawn at random, for ``fit.py``.

``python results/costs/collect.py layers`` and ``... drawn 120`` append to layers.csv and drawn.csv of this kind of CPU
(``avx2``, ``avx512``); what is in them is not measured again. The machine's limits go to limits.json beside them, which
says as well if the kind was forced: NUMBA_CPU_NAME=znver3 CONVMARK_VECTOR_BYTES=32 on a CPU that has AVX-512.
``... large 60`` appends to large.csv: kernels of many taps over few channels a group, by the algorithms made for them.

With ``--threads 2`` the same on one thread and on two, into layers_threads2.csv and so on, which ``fit.py`` judges by.

On one thread it is processor time, on more the wall clock's. The algorithms of a problem take turns, each turn between
two calls of a known layer. A turn counts if both were about as fast as that layer ever was: so turns in which another
tenant shares the core do not.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import math
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from kernels import Algorithm, Conv2dProblem, ProblemError, algorithms, conv2d_reference, get_algorithm, plan
from kernels.machine.cpu import cpu_class, cpu_model, lanes_of
from kernels.select import counts_of_threads
from suite import catalogue
from suite.machine.probes import measure_bandwidth, measure_fma

_HERE = Path(__file__).resolve().parent
_COLUMNS = ("problem", "algorithm", "threads", "seconds", "rel_error")
#: The layer between turns, and how much slower than ever it may be in a turn that counts.
_KNOWN, _CALM = Conv2dProblem.parse("ic64ih14oc64kh3ph1"), 1.1
_CHANNELS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
_MAPS = (5, 7, 8, 10, 13, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 224)
#: Multiply-adds of a problem; most that are worth an error, and most that the seven loops are asked for.
_LEAST, _MOST, _MOST_CHECKED, _MOST_NAIVE = 2e4, 1.2e9, 3e7, 3e7
#: Turns that count, and turns at most; after some without what is this many times slower than the fastest.
_TURNS, _MOST_TURNS, _SLOW = 4, 40, 3
_TURN_S = 1.5e-3
#: What makes kernels those of another kind of CPU.
_FORCING = ("NUMBA_CPU_NAME", "CONVMARK_VECTOR_BYTES")
#: So large that it is memory's bandwidth.
_MEMORY_BYTES = 2**28


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


def layers() -> Iterator[Conv2dProblem]:
    """Every shape of the networks in the catalogue, images one by one."""
    seen: set[Conv2dProblem] = set()
    for network in catalogue.networks():
        for layer in catalogue.layers(network):
            p = layer.problem.replace(mb=1, bias=False)
            if p not in seen:
                seen.add(p)
                yield p


#: Algorithms for kernels of many taps over few channels a group.
_LARGE = ("depthwise_stencil", "grouped_stencil", "long_stencil", "small_planes", "fft_planes")


def large_problems() -> Iterator[Conv2dProblem]:
    """Problems of few channels a group, without end: large kernels, strides, dilations, lines, images, small groups."""
    draw = random.Random(2)
    for i in itertools.count():
        kh = kw = draw.choice((5, 7, 7, 9, 11, 13, 15, 17, 21, 31, 51))
        step = gap = mb = each = 1
        g, ih = draw.choice((16, 24, 32, 64, 96, 124, 160, 256, 384)), draw.choice((7, 10, 14, 20, 28, 40, 56, 80, 112))
        kind = i % 10
        if kind == 0:
            step, kh = 2, draw.choice((5, 7, 9, 11))
            kw = kh
        elif kind == 1:
            gap, kh = draw.choice((2, 3)), draw.choice((5, 7))
            kw = kh
        elif kind == 2:
            kh, kw = draw.choice(((1, 9), (9, 1), (1, 31), (31, 1), (5, 51), (51, 5), (3, 21)))
        elif kind == 3:
            g, mb, ih = draw.choice((1, 1, 2, 3)), draw.choice((1, 1, 4)), draw.choice((128, 200, 256, 400, 512))
        elif kind == 4:
            each, g = draw.choice((2, 4, 8)), draw.choice((4, 8, 16, 32))
            kh = kw = draw.choice((5, 7, 9, 11))
        p = Conv2dProblem(
            mb=mb, g=g, ic=g * each, oc=g * each, ih=ih, iw=ih, kh=kh, kw=kw, sh=step, sw=step, ph=kh // 2 * gap,
            pw=kw // 2 * gap, dh=gap, dw=gap,
        )  # fmt: skip
        if _LEAST <= p.macs_nominal <= _MOST:
            yield p


#: An algorithm and a number of threads.
_Which = tuple[str, int]


class Meter:
    """Least times of calls, in turns in which a known layer is as fast as ever."""

    def __init__(self, threads: int) -> None:
        # Of several threads two may stand on one core for milliseconds.
        self._patience = 2 if threads == 1 else 6
        self._clock = time.thread_time if threads == 1 else time.perf_counter
        src, wei = _data(_KNOWN)
        known = plan(_KNOWN, wei, algorithm="direct_tiled", threads=threads)
        dst = known(src)
        self._known = lambda: known(src, out=dst)
        self._fastest = min(self._reference() for _ in range(200))

    def _reference(self) -> float:
        seconds = min(self._seconds(self._known, 1) for _ in range(3))
        self._fastest = min(getattr(self, "_fastest", seconds), seconds)
        return seconds

    def least(self, calls: dict[_Which, Callable[[], object]]) -> dict[_Which, float]:
        """Seconds of one call by algorithm and threads; of turns that count, or of all where none did."""
        every = dict.fromkeys(calls, float("inf"))
        calm = dict.fromkeys(calls, float("inf"))
        counted = 0
        for turn in range(_MOST_TURNS):
            before = self._reference()
            times = {}
            for name, call in calls.items():
                if turn < self._patience or every[name] <= _SLOW * min(every.values()):
                    repeats = max(1, int(_TURN_S / max(1e-6, self._seconds(call, 1))))
                    times[name] = self._seconds(call, repeats)
                    every[name] = min(every[name], times[name])
            if max(before, self._reference()) <= _CALM * self._fastest:
                counted += 1
                calm.update({name: min(calm[name], each) for name, each in times.items()})
            if counted == _TURNS:
                break
        return {name: min(calm[name], every[name]) if counted < 2 else calm[name] for name in calls}

    def _seconds(self, call: Callable[[], object], repeats: int) -> float:
        start = self._clock()
        for _ in range(repeats):
            call()
        return (self._clock() - start) / repeats


def rows(p: Conv2dProblem, meter: Meter, among: Sequence[Algorithm], threads: int) -> list[tuple[str, ...]]:
    """A row of each algorithm that takes the problem, for each number of threads that the choice weighs."""
    src, wei = _data(p)
    exact = conv2d_reference(p, src, wei, None) if p.macs_nominal <= _MOST_CHECKED else None
    calls: dict[_Which, Callable[[], object]] = {}
    errors: dict[_Which, str] = {}
    dst = np.empty(p.output_shape, p.dtype)
    for each in among:
        if each.unsupported(p) or (each.name == "direct_naive" and p.macs_nominal > _MOST_NAIVE):
            continue
        for count in counts_of_threads(threads):
            which = each.name, count
            bound = plan(p, wei, algorithm=each.name, threads=count)
            calls[which] = bound.bind(src, dst)
            calls[which]()
            if exact is not None:
                errors[which] = f"{np.linalg.norm(dst - exact) / np.linalg.norm(exact):.4g}"
    least = meter.least(calls)
    return [
        (str(p), which[0], str(which[1]), f"{seconds:.4g}", errors.get(which, ""))
        for which, seconds in least.items()
        if seconds < math.inf
    ]


def _data(p: Conv2dProblem) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape).astype(p.dtype) for shape in (p.input_shape, p.weight_shape)]


def main(kind: str, wanted: int, most_s: float, threads: int) -> None:
    """Measure what is missing of so many problems, for so many seconds."""
    folder = _HERE / cpu_class()
    folder.mkdir(exist_ok=True)
    limits = folder / "limits.json"
    if not limits.exists():
        found = {
            "cpu": cpu_model(),
            "forced": {name: os.environ[name] for name in _FORCING if name in os.environ},
            "fma_per_s": max(measure_fma("float32", 1) for _ in range(5)) * 1e9 / (2 * lanes_of("float32")),
            "memory_bytes_per_s": max(measure_bandwidth(1, _MEMORY_BYTES) for _ in range(3)) * 1e9,
        }
        limits.write_text(json.dumps(found, indent=1) + "\n")
    times = folder / (f"{kind}.csv" if threads == 1 else f"{kind}_threads{threads}.csv")
    known: set[str] = set()
    if times.exists():
        with times.open() as file:
            known = {row["problem"] for row in csv.DictReader(file)}
    drawn = {"layers": layers, "drawn": problems, "large": large_problems}[kind]()
    among = tuple(map(get_algorithm, _LARGE)) if kind == "large" else algorithms("fwd")
    end, meter = time.monotonic() + most_s, Meter(threads)
    with times.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if not known:
            writer.writerow(_COLUMNS)
        for p in itertools.islice(drawn, wanted):
            if str(p) not in known:
                if time.monotonic() > end:
                    return
                writer.writerows(rows(p, meter, among, threads))
                file.flush()
    print("complete")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("layers", "drawn", "large"))
    parser.add_argument("count", nargs="?", type=int, default=10**6, help="problems at most")
    parser.add_argument("--seconds", type=float, default=math.inf, help="stop after so many; another run goes on")
    parser.add_argument("--threads", type=int, default=1, help="most threads (1)")
    asked = parser.parse_args()
    main(asked.kind, asked.count, asked.seconds, asked.threads)
