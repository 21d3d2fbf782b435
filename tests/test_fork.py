"""Forked children: locks are free, and several threads are refused to nothing but the layer."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import kernels

pytestmark = pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="forks nothing")

_ROOT = Path(kernels.__file__).parent.parent

_HEAD = """
import multiprocessing as mp, os, threading, time, warnings
import numpy as np
import kernels
p = kernels.Conv2dProblem.parse("ic16ih60oc16kh3ph1")
wei, src = np.ones(p.weight_shape, "f4"), np.ones(p.input_shape, "f4")
"""


def _run(code: str, layer: str = "default", seconds: float = 60) -> str:
    environment = {**os.environ, "NUMBA_NUM_THREADS": "2", "NUMBA_THREADING_LAYER": layer}
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", _HEAD + textwrap.dedent(code)],
        env=environment, cwd=_ROOT, capture_output=True, text=True, timeout=seconds,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_lock_that_another_thread_held_is_free_in_the_child() -> None:
    said = _run("""
        bound = kernels.plan(p, wei, algorithm="direct_naive", threads=1)
        expected = bound(src).sum()
        layer = kernels.Conv2d(16, 16, 3, padding=1, threads=1)
        layer(src), kernels.conv2d(src, wei, threads=1)
        held, done_with = threading.Event(), threading.Event()
        def hold():
            with bound._turn, layer._plans._lock, kernels.one_call.CALLS._lock:
                held.set()
                done_with.wait(60)
        threading.Thread(target=hold, daemon=True).start()
        held.wait()
        child = os.fork()
        if child == 0:
            layer(src), kernels.conv2d(src, wei, threads=1)
            os._exit(0 if bound(src).sum() == expected else 1)
        end = time.time() + 20
        while time.time() < end:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                print("ended", status)
                break
            time.sleep(0.02)
        else:
            os.kill(child, 9)
        done_with.set()
    """)
    assert said == "ended 0\n"


def test_a_fork_waits_until_no_other_thread_compiles() -> None:
    said = _run("""
        from numba.core.compiler_lock import global_compiler_lock
        held = threading.Event()
        def hold():
            with global_compiler_lock:
                held.set()
                time.sleep(0.3)
        threading.Thread(target=hold).start()
        held.wait()
        child = os.fork()
        if child == 0:
            got = global_compiler_lock._lock.acquire(timeout=20)
            os._exit(0 if got else 1)
        print("ended", os.waitpid(child, 0)[1])
    """)
    assert said == "ended 0\n"


@pytest.mark.parametrize("layer", ["default", "workqueue"])
def test_a_pool_by_fork_after_a_call_on_two_threads_gives_the_same_results(layer: str) -> None:
    said = _run("""
        def job(i):
            with warnings.catch_warnings(record=True) as seen:
                warnings.simplefilter("always")
                found = kernels.conv2d(src, wei, padding=1, algorithm="direct_tiled", threads=2)
                bound(src)
            return found.tobytes() == expected, len(seen)
        bound = kernels.plan(p, wei, algorithm="direct_tiled", threads=2)
        expected = kernels.conv2d(src, wei, padding=1, algorithm="direct_tiled", threads=2).tobytes()
        with mp.get_context("fork").Pool(1) as pool:
            found = pool.map_async(job, range(2)).get(timeout=30)
        import numba
        cut_off = numba.threading_layer() == "omp"
        print([same for same, _ in found], [count for _, count in found] == [int(cut_off), 0])
    """, layer)  # fmt: skip
    assert said == "[True, True] True\n"
