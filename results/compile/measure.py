"""Measure what compiling costs: first calls, further shapes of a family, and all algorithms over all stored layers.

``python results/compile/measure.py > results/compile/compile.md``, on a quiet machine. Each row is a fresh process with
an empty cache of compiled code. ``--layers N`` takes the first N layers for the last row.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_LAYER = "ic64ih56oc64kh3ph1"

_FIRST = """
import json, sys, time
start = time.perf_counter()
import numpy as np
import kernels
name, text, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
p = kernels.Conv2dProblem.parse(text)
rng = np.random.default_rng(1)
src, wei = (rng.standard_normal(s).astype(p.dtype) for s in (p.input_shape, p.weight_shape))
kernels.conv2d(src, wei, stride=(p.sh, p.sw), padding=(p.ph, p.pw), algorithm=name, threads=threads)
first = time.perf_counter() - start
def again(epilogue, threads, **changes):
    q = p.replace(bias=False, **changes)
    weight = rng.standard_normal(q.weight_shape).astype(q.dtype)
    source, added = (rng.standard_normal(s).astype(q.dtype) for s in (q.input_shape, q.output_shape))
    before = kernels.compile_counts()
    bound = kernels.plan(q, weight, algorithm=name, threads=threads, epilogue=epilogue)
    bound(source, **({"residual": added} if epilogue.residual else {}))
    after = kernels.compile_counts()
    return after.seconds - before.seconds
plain = kernels.Epilogue()
print(json.dumps({
    "first_s": first,
    "shape_s": again(plain, threads, ih=p.ih - 9, iw=p.iw - 5),
    "channels_s": again(plain, threads, ic=p.ic - 8, oc=p.oc + 24),
    "stride_s": again(plain, threads, sh=2, sw=2),
    "epilogue_s": again(kernels.Epilogue(residual=True, relu=True), threads),
    "threads_s": again(plain, 3 - threads),
    "pieces": kernels.compile_counts().pieces,
}))
"""

_ALL = """
import json, sys, time
import numpy as np
import kernels
seconds = {}
for text in sys.stdin.read().split():
    p = kernels.Conv2dProblem.parse(text)
    weight, bias = np.zeros(p.weight_shape, p.dtype), np.zeros(p.oc, p.dtype)
    for each in kernels.algorithms("fwd"):
        if each.unsupported(p):
            continue
        packed = each.prepare(p, weight, bias)
        for threads in (1, 2):
            before = kernels.compile_counts().seconds
            scratch = {name: np.empty(shape, p.dtype) for name, shape in each.scratch(p, threads).items()}
            each.bind(kernels.Setup(p, packed, kernels.Epilogue(), scratch, threads))
            seconds[each.name] = seconds.get(each.name, 0.0) + kernels.compile_counts().seconds - before
print(json.dumps({"seconds": seconds, "pieces": kernels.compile_counts().pieces}))
"""


def _process(code: str, *arguments: str, given: str = "") -> dict[str, float]:
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "CONVMARK_CACHE_DIR": cache, "CONVMARK_TUNED": "off"}
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            input=given, env=environment, cwd=_ROOT, stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
        return {**json.loads(done.stdout), "process_s": time.perf_counter() - start}


def _stored_layers() -> list[str]:
    with (_ROOT / "results" / "layers" / "choice_avx512" / "rows.csv").open(newline="") as rows:
        return list(dict.fromkeys(row["problem"] for row in csv.DictReader(rows)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int)
    chosen = parser.parse_args()
    sys.path.insert(0, str(_ROOT))
    from kernels.machine.cpu import cpu_model, vector_bytes

    print(f"# Compiling\n\n{cpu_model()}, vectors of {vector_bytes()} bytes, `python results/compile/measure.py`.\n")
    print("Seconds. `process` is the whole process of the first call, the interpreter's start included; the other")
    print("columns are seconds of compiling in the same process, after that call.\n")
    columns = ("first_s", "process_s", "shape_s", "channels_s", "stride_s", "epilogue_s", "threads_s", "pieces")
    print(f"| algorithm | layer | threads | {' | '.join(columns)} |")
    print("| --- | --- " + "| ---: " * (1 + len(columns)) + "|")
    cases = [("winograd_f4x3", _LAYER, 1), ("winograd_f4x3", _LAYER, 2), ("direct_tiled", _LAYER, 1)]
    cases += [("im2col_gemm", "ic64ih56oc256kh1", 2), ("direct_naive", _LAYER, 2)]
    for name, text, threads in cases:
        row = _process(_FIRST, name, text, str(threads))
        print(f"| {name} | `{text}` | {threads} | " + " | ".join(f"{row[each]:.3g}" for each in columns) + " |")
    layers = _stored_layers()[: chosen.layers]
    found = _process(_ALL, given=" ".join(layers))
    seconds: dict[str, float] = found["seconds"]  # type: ignore[assignment]
    print(f"\nEvery algorithm over the {len(layers)} layers of results/layers, one thread and two:", end=" ")
    print(f"{sum(seconds.values()):.1f} s for {found['pieces']} pieces of code.\n")
    print("| algorithm | compile_s |\n| --- | ---: |")
    for name, spent in sorted(seconds.items(), key=lambda pair: -pair[1]):
        print(f"| {name} | {spent:.2f} |")


if __name__ == "__main__":
    main()
