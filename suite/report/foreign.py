"""Results that asv and pytest-benchmark stored, as rows of the same table.

Both are written by the thin adapters in ``suite/asv_bench`` and ``suite/pytest_bench``;
benchmarks of other origin in the same files are left out. Such rows have times and speeds;
what only our own runner measures (limit, error, workspace) they have not.
"""

from __future__ import annotations

import ast
import itertools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kernels import Conv2dProblem, ProblemError, UnknownAlgorithm, get_algorithm
from suite.bench_params import read_label
from suite.rows import COLUMNS, Row

__all__ = ["ForeignError", "read_asv", "read_pytest_benchmark"]


class ForeignError(ValueError):
    """A file of another tool cannot be read."""


def read_asv(folder: Path) -> list[Row]:
    """Rows of everything below an asv results folder, such as ``.asv/results``.

    Raises
    ------
    ForeignError
        It is no such folder, or a file in it is damaged.
    """
    paths = [path for path in sorted(folder.glob("*/*.json")) if path.name not in ("machine.json", "benchmarks.json")]
    if not paths:
        raise ForeignError(f"no asv results in {folder}, expected a folder with MACHINE/COMMIT-ENV.json files")
    rows = []
    for path in paths:
        content = _load(path, "an asv result file")
        try:
            found = list(_asv_rows(content))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ForeignError(f"{path} is not an asv result file of version 2: {error!r}") from error
        rows += found
    return rows


def _asv_rows(content: dict[str, Any]) -> Iterator[Row]:
    columns = content["result_columns"]
    for values in content["results"].values():
        # Columns at the end that hold nothing are not written.
        result = dict(zip(columns, values, strict=False))
        params = result.get("params") or []
        if len(params) != 2 or result.get("result") is None:
            continue
        for i, (label, algorithm) in enumerate(itertools.product(*params)):
            try:
                network, layer, problem = read_label(ast.literal_eval(label))
            except (ValueError, SyntaxError):
                continue
            row = _row(network, layer, problem, ast.literal_eval(algorithm), 1)
            row.update(run=content["commit_hash"][:8], machine=content["params"]["machine"])
            seconds = result["result"][i]
            if seconds is None:
                row.update(status="failed", reason="asv has no number: it raised or took too long")
            elif math.isnan(seconds):
                row.update(status="skipped", reason=_refusal(row))
            else:
                samples = (result.get("samples") or [None] * (i + 1))[i]
                _timed(row, seconds, min(samples) if samples else None, len(samples) if samples else None)
                low, high = ((result.get(name) or [None] * (i + 1))[i] for name in ("stats_q_25", "stats_q_75"))
                if low is not None and high is not None:
                    row["time_spread"] = (high - low) / seconds
            yield row


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
