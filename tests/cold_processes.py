"""Cold processes that fill one folder of compiled code at once: ``make cold-processes``.

Each computes the same small convolutions of whole numbers, in an order of its own, and looks at every result. Done on
a folder of the disk, and on one that delays every write and every renaming. Then one more process must find all that
it needs. Counts are written to ``results/reliability.md``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from recorded import record

_ROOT = Path(__file__).parent.parent
_PROCESSES, _SHAPES = 8, 50
#: Most seconds that something takes on the slow folder.
_DELAY = 0.1

_WORK = """
import os, random, sys, time
import numpy as np
from kernels import Conv2dProblem, algorithms, conv2d_reference, plan
from kernels.machine import compile as compiling
number, shapes, delay = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])

class Slow:
    def __getattr__(self, name):
        if name in ("open", "fdopen", "fsync", "replace"):
            time.sleep(random.uniform(0, delay))
        return getattr(os, name)

if delay:
    compiling.os = Slow()
rng = np.random.default_rng(0)
cases = []
for i in range(shapes):
    kh, g = (1, 2, 3, 5, 7)[i % 5], (1, 1, 4)[i % 3]
    p = Conv2dProblem(ic=g * (1 + i % 7), oc=g * (1 + i % 11), g=g, ih=7 + i, iw=9 + i % 13, kh=kh, kw=kh, sh=1 + i % 2,
                      sw=1 + i % 2, ph=kh // 2, pw=kh // 2, dtype=("float32", "float64")[i % 4 == 3])
    takers = [each for each in algorithms("fwd") if each.exact_on_integers and each.unsupported(p) is None]
    cases.append((p, takers[i % len(takers)].name))
random.Random(number).shuffle(cases)
right = 0
for p, name in cases:
    src, wei = (rng.integers(-3, 4, shape).astype(p.dtype) for shape in (p.input_shape, p.weight_shape))
    assert np.array_equal(plan(p, wei, algorithm=name, threads=1)(src), conv2d_reference(p, src, wei)), (p, name)
    right += 1
print(right, compiling.CompileCounter.pieces)
"""


def _run(cache: str, processes: int, shapes: int, delay: float) -> tuple[int, int]:
    """Right results, and pieces that were compiled."""
    variables = os.environ | {"CONVMARK_CACHE_DIR": cache, "PYTHONPATH": str(_ROOT)}
    started = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", _WORK, str(n), str(shapes), str(delay)], env=variables, text=True,
            stdout=subprocess.PIPE,
        )
        for n in range(processes)
    ]  # fmt: skip
    outputs = [each.communicate()[0] for each in started]
    assert all(each.returncode == 0 for each in started), [each.returncode for each in started]
    right, pieces = (sum(int(out.split()[i]) for out in outputs) for i in (0, 1))
    return right, pieces


def main() -> None:
    """Both folders."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=_PROCESSES)
    parser.add_argument("--shapes", type=int, default=_SHAPES)
    asked = parser.parse_args()
    rows = []
    for name, delay in (("of the disk", 0.0), ("that delays every write", _DELAY)):
        with tempfile.TemporaryDirectory() as cache:
            right, pieces = _run(cache, asked.processes, asked.shapes, delay)
            kept = len(list(Path(cache, "pieces").iterdir()))
            again, compiled = _run(cache, 1, asked.shapes, 0.0)
        assert right == asked.processes * asked.shapes and again == asked.shapes and not compiled, (right, compiled)
        rows.append([name, asked.processes, asked.shapes, right, pieces, kept, compiled])
        print(*rows[-1])
    text = "Processes that find a folder empty and fill it at once, then one more; `make cold-processes`."
    columns = ["folder", "processes", "shapes", "right results", "pieces compiled", "pieces kept", "then compiled"]
    record("Cold processes", text, columns, rows)


if __name__ == "__main__":
    main()
