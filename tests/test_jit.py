"""The disk cache: warm in a second process, never stale after an edit of a callee."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numba

import kernels

_RUN = """
import numpy as np, kernels
from kernels.algorithms import naive
p = kernels.Conv2dProblem.parse("ic2ih5oc3kh3")
y = kernels.plan(p, np.ones(p.weight_shape, "f4"), algorithm="direct_naive", threads=1)(np.ones(p.input_shape, "f4"))
print(y.flat[0], sum(naive._naive_serial.stats.cache_misses.values()))
"""


def _start(package_parent: Path, cache: Path) -> tuple[float, int]:
    environment = {**os.environ, "CONVMARK_CACHE_DIR": str(cache), "PYTHONPATH": str(package_parent)}
    done = subprocess.run(
        [sys.executable, "-c", _RUN], env=environment, cwd=package_parent, capture_output=True, text=True, check=True
    )
    value, misses = done.stdout.split()
    return float(value), int(misses)


def test_second_process_is_warm_and_an_edit_of_a_callee_is_seen(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(Path(kernels.__file__).parent, copy / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    cache = tmp_path / "cache"
    assert _start(copy, cache) == (18.0, 1)
    assert _start(copy, cache) == (18.0, 0)
    callee = copy / "kernels" / "algorithms" / "naive.py"
    text = callee.read_text()
    assert "w = wei[oc, ic, kh, kw]" in text
    callee.write_text(text.replace("w = wei[oc, ic, kh, kw]", "w = wei[oc, ic, kh, kw] * 2"))
    assert _start(copy, cache) == (36.0, 1)


def test_import_leaves_numbas_settings_alone() -> None:
    code = """
import numba.core.config as c
before = {k: repr(v) for k, v in vars(c).items() if k.isupper()}
import kernels
assert before == {k: repr(v) for k, v in vars(c).items() if k.isupper()}
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(kernels.__file__).parent.parent)


def test_a_run_puts_the_thread_mask_back() -> None:
    import numpy as np

    p = kernels.Conv2dProblem.parse("ic2ih5oc3kh3")
    before = numba.get_num_threads()
    kernels.plan(p, np.ones(p.weight_shape, "f4"), threads=1)(np.ones(p.input_shape, "f4"))
    assert numba.get_num_threads() == before
