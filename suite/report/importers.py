"""Results that asv and pytest-benchmark stored, as rows of the same table.

Both are written by the thin adapters in ``suite/asv_bench`` and ``suite/pytest_bench``;
benchmarks of other origin in the same files are left out. Such rows have times and speeds, and
from asv error and compile seconds; what only our own runner measures they have not.
"""

from __future__ import annotations

import ast
import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kernels import Conv2dProblem, ProblemError, UnknownAlgorithm, get_algorithm
from suite.bench_params import read_label
from suite.results.rows import COLUMNS, LATER_COLUMNS, Row

__all__ = ["AsvResult", "ForeignError", "read_asv_results", "read_pytest_benchmark"]


class ForeignError(ValueError):
    """A file of another tool cannot be read."""


@dataclass(frozen=True)
class AsvResult:
    """One file of asv's results: one commit in one environment on one machine.

    Attributes
    ----------
    commit : str
        The whole hash.
    started : float
        When its first benchmark was started, in seconds since 1970; NaN where that is not stored.
    machine : dict
        What asv knows of the machine: ``machine`` (its name), ``cpu``, ``num_cpu``, ...
    rows : list of Row
    """

    commit: str
    started: float
    machine: dict[str, str]
    rows: list[Row]


def read_asv_results(folder: Path) -> list[AsvResult]:
    """Everything below an asv results folder, file by file.

    Raises
    ------
    ForeignError
        It is no such folder, or a file in it is damaged.
    """
    paths = [path for path in sorted(folder.glob("*/*.json")) if path.name not in ("machine.json", "benchmarks.json")]
    if not paths:
        raise ForeignError(f"no asv results in {folder}, expected a folder with MACHINE/COMMIT-ENV.json files")
    found = []
    for path in paths:
        content = _load(path, "an asv result file")
        try:
            found.append(_asv_result(content))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ForeignError(f"{path} is not an asv result file of version 2: {error!r}") from error
    return found


def _asv_result(content: dict[str, Any]) -> AsvResult:
    # Columns at the end that hold nothing are not written.
    results = {
        name: dict(zip(content["result_columns"], values, strict=False)) for name, values in content["results"].items()
    }
    errors = _tracked(results, "track_rel_error")
    compiles = _tracked(results, "track_compile_s")
    rows = []
    for name, result in results.items():
        if not name.rpartition(".")[2].startswith("time_"):
            continue
        for i, label, algorithm in _pairs(result):
            network, layer, problem = read_label(label)
            row = _row(network, layer, problem, algorithm, 1)
            row.update(run=content["commit_hash"][:8], machine=content["params"]["machine"])
            _asv_time(row, result, i)
            if row["status"] == "ok":
                row.update(rel_error=errors.get((label, algorithm)), compile_s=compiles.get((label, algorithm)))
            rows.append(row)
    started = [result["started_at"] / 1e3 for result in results.values() if result.get("started_at")]
    return AsvResult(content["commit_hash"], min(started, default=math.nan), dict(content["params"]), rows)


def _pairs(result: dict[str, Any]) -> Iterator[tuple[int, str, str]]:
    """Index, label and algorithm of each value of one of our benchmarks; nothing of another's."""
    params = result.get("params") or []
    if len(params) != 2 or result.get("result") is None:
        return
    for i, (label, algorithm) in enumerate(itertools.product(*params)):
        try:
            text = ast.literal_eval(label)
            read_label(text)
        except (ValueError, SyntaxError, AttributeError):
            continue
        yield i, text, ast.literal_eval(algorithm)


def _asv_time(row: Row, result: dict[str, Any], i: int) -> None:
    seconds = result["result"][i]
    if seconds is None:
        row.update(status="failed", reason="asv has no number: it raised or took too long")
    elif math.isnan(seconds):
        row.update(status="skipped", reason=_refusal(row))
    else:
        wanted = ("samples", "stats_q_25", "stats_q_75", "stats_repeat")
        samples, low, high, repeats = ((result.get(name) or [None] * (i + 1))[i] for name in wanted)
        # asv stores samples where it is told to, and how many there were always.
        _timed(row, seconds, min(samples) if samples else None, len(samples) if samples else repeats)
        if low is not None and high is not None:
            row["time_spread"] = (high - low) / seconds


def _tracked(results: dict[str, dict[str, Any]], name: str) -> dict[tuple[str, str], float]:
    """Values of a ``track_`` benchmark by label and algorithm, those that there are."""
    found = {}
    for whole, result in results.items():
        if whole.rpartition(".")[2] == name:
            for i, label, algorithm in _pairs(result):
                value = result["result"][i]
                if value is not None and not math.isnan(value):
                    found[label, algorithm] = float(value)
    return found


def read_pytest_benchmark(path: Path) -> list[Row]:
    """Rows of a file that ``pytest --benchmark-json`` wrote.

    Raises
    ------
    ForeignError
        It is no such file.
    """
    content = _load(path, "a file of pytest --benchmark-json")
    rows = []
    try:
        for benchmark in content["benchmarks"]:
            info, stats = benchmark["extra_info"], benchmark["stats"]
            if "problem" not in info:
                continue
            problem = Conv2dProblem.parse(info["problem"])
            row = _row(info["network"], info["layer"], problem, info["algorithm"], info["threads"])
            row.update(run=path.stem, machine=content["machine_info"]["node"])
            _timed(row, stats["median"], stats["min"], stats["rounds"])
            row["time_spread"] = stats["iqr"] / stats["median"]
            rows.append(row)
    except (KeyError, TypeError, ProblemError) as error:
        raise ForeignError(f"{path} is not a file of pytest --benchmark-json: {error!r}") from error
    return rows


def _load(path: Path, expected: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ForeignError(f"cannot read {path}: {error.strerror}, expected {expected}") from error
    except ValueError as error:
        raise ForeignError(f"{path} is cut off or not JSON, expected {expected}") from error
    if not isinstance(content, dict):
        raise ForeignError(f"{path} holds a {type(content).__name__}, expected {expected}")
    return content


def _row(network: str, layer: str, problem: Conv2dProblem, algorithm: str, threads: int) -> Row:
    try:
        family = get_algorithm(algorithm).family
    except UnknownAlgorithm:
        family = "unknown"
    return {
        **dict.fromkeys(COLUMNS),
        **LATER_COLUMNS,
        "network": network,
        "layer": layer,
        "occurs": 1,
        "problem": str(problem),
        "algorithm": algorithm,
        "family": family,
        "threads": threads,
        "status": "ok",
        "reason": "",
    }


def _refusal(row: Row) -> str:
    """Why an algorithm refuses a problem; asv stores that it did, not why."""
    try:
        reason = get_algorithm(row["algorithm"]).unsupported(Conv2dProblem.parse(row["problem"]))
    except UnknownAlgorithm as error:
        return str(error)
    return reason or "asv skipped it"


def _timed(row: Row, seconds: float, least: float | None, samples: int | None) -> None:
    problem = Conv2dProblem.parse(row["problem"])
    row.update(
        time_s=float(seconds),
        time_min_s=least,
        samples=samples,
        useful_gflops=float(np.divide(2e-9 * problem.macs_useful, seconds)),
        nominal_gflops=float(np.divide(2e-9 * problem.macs_nominal, seconds)),
    )
