"""Whether asv and `convmark run` agree on a layer's time, within what each differs from itself.

``python results/asv/agree.py > results/asv/agree.md``, on a quiet machine; what was measured goes to
``results/asv/times.json``. Both tools measure the same layers and algorithms in turns, ``--rounds`` times. The A/A
noise is how far a tool's round is from its round before: the 95th percentile over layers, rounds and both tools. They
agree on a layer if the median over rounds of the ratio of their times is not farther from 1.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

_ROOT = Path(__file__).resolve().parents[2]
#: Seconds by tool, then by layer and algorithm, a number per round.
Times = dict[str, dict[str, list[float]]]


def noise_of(times: Times) -> float:
    """The A/A noise, as the logarithm of a ratio."""
    apart = [np.abs(np.diff(np.log(rounds))) for own in times.values() for rounds in own.values()]
    return float(np.quantile(np.concatenate(apart), 0.95))


def ratios_of(times: Times) -> dict[str, float]:
    """asv's time by ours, by layer and algorithm, as a logarithm: the median over rounds."""
    asv, ours = times["asv"], times["convmark"]
    return {name: float(np.median(np.log(asv[name]) - np.log(ours[name]))) for name in ours}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--network", default="quick")
    parser.add_argument("--algorithms", default="direct_tiled,im2col_gemm", help="names with commas between them")
    asked = parser.parse_args()
    from suite.machine.environment import this_machine

    times: Times = {"asv": {}, "convmark": {}}
    for _ in range(asked.rounds):
        for tool, measure in (("asv", _asv), ("convmark", _convmark)):
            with tempfile.TemporaryDirectory() as folder:
                for name, seconds in measure(asked.network, asked.algorithms, Path(folder)).items():
                    times[tool].setdefault(name, []).append(seconds)
    (_ROOT / "results" / "asv" / "times.json").write_text(json.dumps(times, indent=1) + "\n")
    noise, ratios = noise_of(times), ratios_of(times)
    machine = this_machine()
    print("# asv and convmark on the same layers\n")
    print(
        f"{machine.cpu}, {machine.cores} cores; `python results/asv/agree.py`, {asked.rounds} rounds of each in turns."
    )
    print(f"A/A noise: {np.expm1(noise):.1%}. asv's time by ours is within it on ", end="")
    print(f"{sum(abs(each) <= noise for each in ratios.values())} of {len(ratios)}.\n")
    print("| layer and algorithm | convmark (us) | asv (us) | asv by convmark |\n| --- | --- | --- | --- |")
    for name, ratio in ratios.items():
        ours, theirs = (1e6 * float(np.median(times[tool][name])) for tool in ("convmark", "asv"))
        print(f"| {name} | {ours:.1f} | {theirs:.1f} | {np.exp(ratio):.3f} |")


def _asv(network: str, algorithms: str, folder: Path) -> dict[str, float]:
    from suite.report.importers import read_asv_results

    config = json.loads((_ROOT / "asv.conf.json").read_text())
    config |= {
        "repo": str(_ROOT),
        "benchmark_dir": str(_ROOT / "suite" / "asv_bench"),
        "results_dir": str(folder / "asv"),
        # Whatever branch is checked out.
        "branches": ["HEAD"],
    }
    (folder / "asv.conf.json").write_text(json.dumps(config))
    environment = {"CONVMARK_BENCH_NETWORKS": network, "CONVMARK_BENCH_ALGORITHMS": algorithms}
    asv = [sys.executable, "-m", "asv"]
    options = ["--config", str(folder / "asv.conf.json")]
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=_ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()  # fmt: skip
    _run([*asv, "machine", "--yes", *options], folder, environment)
    where = ["-E", f"existing:{sys.executable}", "--set-commit-hash", commit]
    _run([*asv, "run", *options, *where, "--bench", "time_call"], folder, environment)
    [result] = read_asv_results(folder / "asv", lambda sentence: print(sentence, file=sys.stderr))
    return _times(result.rows)


def _convmark(network: str, algorithms: str, folder: Path) -> dict[str, float]:
    from suite.report.load import load

    contenders = [part for name in algorithms.split(",") for part in ("--contender", name)]
    command = [sys.executable, "-m", "suite", "run", "--network", network, *contenders, "--slower", "0"]
    _run([*command, "--results", str(folder)], folder, {})
    return _times(load("latest", results=folder).to_dict("records"))


def _times(rows: list[dict[str, object]]) -> dict[str, float]:
    return {
        f"{row['layer']} {row['algorithm']}": float(row["time_s"])
        for row in rows
        if row["status"] in ("ok", "mistrusted")
    }


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
    subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": path, **environment}, stdout=sys.stderr, check=True
    )  # fmt: skip


if __name__ == "__main__":
    main()
