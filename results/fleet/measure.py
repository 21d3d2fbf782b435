"""Measure whether a layer takes longer under a fleet than in the same run without one.

``python results/fleet/measure.py > results/fleet/under_fleet.md``, on a quiet machine; about four minutes. A scheduler
and one worker serve on this machine. In each round come a run without them, the same one as a fleet's, and one without
again: the ratio of the first two is the fleet's, that of the two without is what no difference looks like.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from suite.check.statistics import ratio_interval, ratio_of
from suite.fleet.client import attend
from suite.fleet.fleet import start_fleet
from suite.fleet.local import local_fleet
from suite.fleet.sources import Sources, pack
from suite.machine.environment import this_machine
from suite.results.runs import open_run

_ROOT = Path(__file__).resolve().parents[2]
_LAYERS = ("ic64ih56oc64kh3ph1", "ic256ih14oc256kh3ph1")
_RUN = [word for text in _LAYERS for word in ("-p", text)]
_RUN += ["-c", "direct_tiled", "--threads", "1,2", "--seconds", "0.4", "--processes", "1", "--slower", "0"]
_POLL_S = 2.0

#: Seconds of the samples by problem and threads.
_Times = dict[tuple[str, int], float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="of three runs")
    count = parser.parse_args().rounds
    sources = pack()
    with tempfile.TemporaryDirectory() as name, local_fleet(1) as address:
        folder, spent = Path(name), _worker_cpu()
        _under_fleet(folder, address, sources)  # compiles
        rounds: list[tuple[_Times, _Times, _Times]] = []
        begun, cpu_s = 0.0, 0.0
        for number in range(count):
            order = ("alone", "fleet", "again") if number % 2 else ("again", "fleet", "alone")
            found: dict[str, _Times] = {}
            for each in order:
                start, used = time.monotonic(), spent()
                found[each] = _under_fleet(folder, address, sources) if each == "fleet" else _alone(folder)
                if each == "fleet":
                    begun, cpu_s = begun + time.monotonic() - start, cpu_s + spent() - used
            rounds.append((found["alone"], found["fleet"], found["again"]))
    machine = this_machine()
    print("# A layer's time under a fleet\n")
    print(f"{machine.cpu}, {machine.cores} cores; `python results/fleet/measure.py`, {count} rounds of three runs.\n")
    print("| layer | threads | fleet / alone | 95 % interval | alone / alone | 95 % interval |")
    print("| --- | --- | --- | --- | --- | --- |")
    keys = list(rounds[0][0])
    times = np.array([[[side[key] for key in keys] for side in each] for each in rounds])
    logs = np.log(times[:, 1:] / times[:, :1])
    for i, (problem, threads) in enumerate(keys):
        _print_line(f"{problem} | {threads}", logs[:, :, i])
    _print_line("all, geometric mean |", logs.mean(axis=2))
    print(f"\nThe worker's own process took {1000 * cpu_s / begun:.1f} ms of processor time a second meanwhile.")


def _print_line(name: str, logs: np.ndarray) -> None:
    """Ratios of a line of rounds: the fleet's, and that of the two runs without one."""
    cells = []
    for each in logs.T:
        low, high = ratio_interval(each)
        cells.append(f"{ratio_of(each):.3f} | {low:.3f} to {high:.3f}")
    print(f"| {name} | {' | '.join(cells)} |")


def _alone(folder: Path) -> _Times:
    results = folder / f"alone-{time.time_ns()}"
    subprocess.run(
        [sys.executable, "-m", "suite", "run", *_RUN, "--results", str(results), "--json"],
        env={**os.environ, "PYTHONPATH": str(_ROOT)}, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return _times(results, "latest")


def _under_fleet(folder: Path, address: str, sources: Sources) -> _Times:
    fleet = start_fleet(folder / "results", "run", _RUN, sources, "current")
    attend(fleet, address, "*", 1, 60.0, _POLL_S, print)
    [machine] = fleet.machines.values()
    if machine.code != 0:
        raise SystemExit(f"the fleet's run ended with {machine.code}: {machine.said}, expected 0")
    return _times(fleet.results, machine.runs[-1])


def _times(results: Path, name: str) -> _Times:
    return {(row["problem"], row["threads"]): row["time_s"] for row in open_run(results, name, print).rows}


def _worker_cpu() -> Callable[[], float]:
    """Processor time that the one worker of this process has taken by itself so far."""
    [path] = [
        path.with_name("stat")
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if b"suite.fleet.child" in path.read_bytes()
        and int(path.with_name("stat").read_text().rpartition(")")[2].split()[1]) == os.getpid()
    ]
    ticks = os.sysconf("SC_CLK_TCK")

    def spent() -> float:
        words = path.read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / ticks

    return spent


if __name__ == "__main__":
    main()
