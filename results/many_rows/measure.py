"""Measure what many rows cost: seconds and memory of ``convmark report`` and ``convmark history``.

``python results/many_rows/measure.py > results/many_rows/history.md``, on a quiet machine. The history is made up: runs
of successive commits, each of the same rows with noise, and one step in a hundred series. ``--rows N`` takes others.

``python results/many_rows/measure.py --machines 50 > results/many_rows/machines.md`` measures what that many machines
of one commit cost: all are pushed to a history, read back, and put on one page. Each has the first 1,000 rows that
``results/layers/choice_avx512`` has recorded, its times by a factor of its own and with noise.
"""

from __future__ import annotations

import argparse
import functools
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
from suite.report.load import Stored, open_stored
from suite.results.rows import COLUMNS
from suite.results.runs import Run, start_run
from suite.selection import Request

_ROOT = Path(__file__).resolve().parents[2]
_ROWS_OF_A_RUN = 1000
_ALGORITHMS = ("direct_tiled", "im2col_gemm", "winograd_f4x3", "fft_tile16", "auto")
_NOISE, _STEP = 0.02, 1.1
_RECORDED = _ROOT / "results" / "layers" / "choice_avx512"
_REQUEST = Request(("quick",), (), ("ours",), None, (1,), 0.3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000, help="rows of all runs together")
    parser.add_argument("--machines", type=int, default=0, help="machines of one commit instead of commits")
    asked = parser.parse_args()
    machine = this_machine()
    with tempfile.TemporaryDirectory() as folder:
        results, shared = Path(folder) / "results", str(Path(folder) / "shared")
        if asked.machines:
            names = [_store_recorded(results, number) for number in range(asked.machines)]
            title = f"{asked.machines} machines of {_ROWS_OF_A_RUN:,} rows cost"
            argument = f" --machines {asked.machines}"
            commands = {
                "history --push": ["history", "--results", str(results), "--push", shared],
                "history --from": ["history", "--from", shared, "--output", folder],
                "report": ["report", *names, "--results", str(results), "--output", folder],
            }
        else:
            runs = max(1, asked.rows // _ROWS_OF_A_RUN)
            for number in range(runs):
                _store(results, machine, number, runs)
            title = f"a history of {runs * _ROWS_OF_A_RUN:,} rows in {runs} runs costs"
            argument = ""
            commands = {
                name: [name, "--results", str(results), "--output", str(results / name)]
                for name in ("report", "history")
            }
        print(f"# What {title}\n")
        print(f"{machine.cpu}, {machine.cores} cores; `python results/many_rows/measure.py{argument}`.\n")
        print("| command | seconds | most memory (MB) |\n| --- | --- | --- |")
        total = 0.0
        for name, command in commands.items():
            seconds, megabytes = _cost(command)
            total += seconds
            print(f"| `convmark {name}` | {seconds:.1f} | {megabytes:.0f} |", flush=True)
        print(f"| together | {total:.1f} | |")


def _store(results: Path, machine: Machine, number: int, runs: int) -> None:
    """A run of a commit of its own."""
    commit = f"{number + 1:040x}"
    limits = Limits({"float32": {1: 1e11}}, {1: 1e10})
    run = start_run(results, replace(machine, commit=commit), limits, _REQUEST, _ROWS_OF_A_RUN)
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
    _write(run)


def _store_recorded(results: Path, number: int) -> str:
    """A run of a machine of its own."""
    recorded = _recorded()
    machine = replace(recorded.machine, cpu=f"CPU {number}", dirty=False)
    run = start_run(results, machine, recorded.limits, _REQUEST, _ROWS_OF_A_RUN)
    rng = np.random.default_rng(number)
    factor = np.exp(rng.uniform(-1, 1))
    columns = recorded.frame[list(COLUMNS)].head(_ROWS_OF_A_RUN)
    for row in json.loads(columns.to_json(orient="records")):
        if row["time_s"] is not None:
            row["time_s"] *= float(factor * np.exp(_NOISE * rng.standard_normal()))
        run.rows.append({**row, "run": run.name, "machine": machine.stamp})
    _write(run)
    return run.name


@functools.cache
def _recorded() -> Stored:
    [found] = open_stored(_RECORDED, [_RECORDED], print)
    return found


def _write(run: Run) -> None:
    """All rows at once, while a run has each on the disk before the next."""
    (run.folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in run.rows))


def _cost(command: list[str]) -> tuple[float, float]:
    """Seconds and megabytes of one command in a process of its own."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "suite", *command],
        env={**os.environ, "PYTHONPATH": str(_ROOT)}, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    # 1: a row that was recorded is missing or not right.
    if process.returncode > 1:
        raise SystemExit(f"convmark {command[0]} ended with {process.returncode}, expected 0 or 1")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
