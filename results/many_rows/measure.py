"""Measure what a long history costs: seconds and memory of ``convmark report`` and ``convmark history``.

``python results/many_rows/measure.py > results/many_rows/history.md``, on a quiet machine. The history is made up: runs
of successive commits, each of the same rows with noise, and one step in a hundred series. ``--rows N`` takes others.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from suite.machine.environment import Limits, Machine, this_machine
from suite.results.rows import COLUMNS
from suite.results.runs import start_run
from suite.selection import Request

_ROOT = Path(__file__).resolve().parents[2]
_ROWS_OF_A_RUN = 1000
_ALGORITHMS = ("direct_tiled", "im2col_gemm", "winograd_f4x3", "fft_tile16", "auto")
_NOISE, _STEP = 0.02, 1.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000, help="rows of all runs together")
    count = parser.parse_args().rows
    machine = this_machine()
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results"
        runs = max(1, count // _ROWS_OF_A_RUN)
        for number in range(runs):
            _store(results, machine, number, runs)
        print(f"# What a history of {runs * _ROWS_OF_A_RUN:,} rows in {runs} runs costs\n")
        print(f"{machine.cpu}, {machine.cores} cores; `python results/many_rows/measure.py`.\n")
        print("| command | seconds | most memory (MB) |\n| --- | --- | --- |")
        for name in ("report", "history"):
            seconds, megabytes = _cost(name, results)
            print(f"| `convmark {name}` | {seconds:.1f} | {megabytes:.0f} |")


def _store(results: Path, machine: Machine, number: int, runs: int) -> None:
    """A run of a commit of its own."""
    commit = f"{number + 1:040x}"
    request = Request(("quick",), (), ("ours",), None, (1,), 0.3)
    limits = Limits({"float32": {1: 1e11}}, {1: 1e10})
    run = start_run(results, replace(machine, commit=commit), limits, request, _ROWS_OF_A_RUN)
    rng = np.random.default_rng(number)
    kinds = {name: kind() for name, kind in COLUMNS.items()}
    for i in range(_ROWS_OF_A_RUN):
        layer, algorithm = divmod(i, len(_ALGORITHMS))
        channels = 8 * (1 + layer)
        step = _STEP if i % 100 == 0 and number >= runs // 2 else 1.0
        run.rows.append(
            {
                **kinds, "run": run.name, "machine": machine.stamp, "network": f"net{layer // 50}",
                "layer": f"layer{layer}", "occurs": 1, "problem": f"ic{channels}ih28oc{channels}kh3ph1",
                "algorithm": _ALGORITHMS[algorithm], "family": "direct", "threads": 1, "cache": "warm", "status": "ok",
                "time_s": float(1e-6 * channels * step * np.exp(_NOISE * rng.standard_normal())), "rel_error": 1e-7,
            }
        )  # fmt: skip
    # Written at once, while a run has each row on the disk before the next.
    (run.folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in run.rows))


def _cost(name: str, results: Path) -> tuple[float, float]:
    """Seconds and megabytes of one command in a process of its own."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "suite", name, "--results", str(results), "--output", str(results / name)],
        env={**os.environ, "PYTHONPATH": str(_ROOT)}, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"convmark {name} ended with {process.returncode}, expected 0")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
