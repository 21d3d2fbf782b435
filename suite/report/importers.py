"""Results that asv and pytest-benchmark stored, as rows of the same table.

Both are written by the thin adapters in ``suite/asv_bench`` and ``suite/pytest_bench``; benchmarks of other
origin in the same files are left out. Ours have a mark: in asv's files a parameter that is a label of
`suite.bench_params`, in pytest-benchmark's an ``extra_info`` that the adapter wrote. Such rows have times and
speeds, and from asv error and compile seconds; what only our own runner measures they have not.

Nothing in such a file is trusted: what is damaged is left out with a sentence, and the rest is read.
"""

from __future__ import annotations

import ast
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kernels import Conv2dProblem, UnknownAlgorithm, get_algorithm
from suite.bench_params import read_label
from suite.format import one_line
from suite.results.jsonl import parse_json
from suite.results.rows import COLUMNS, LATER_COLUMNS, Row

__all__ = ["AsvResult", "ForeignError", "read_asv_results", "read_pytest_benchmark"]


class ForeignError(ValueError):
    """A file of another tool cannot be read."""


#: What a damaged file makes the code below raise.
_DAMAGE = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, RecursionError, MemoryError,
           SyntaxError)  # fmt: skip

#: No call takes longer, and no clock of a file is later, in seconds.
_MOST_S, _LAST_S = 1e9, 4e9

#: Keys of ``extra_info`` of a benchmark that is ours, and the kinds of their values; versions before had no mark.
_INFO = {"network": str, "layer": str, "problem": str, "algorithm": str, "threads": int}


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


def read_asv_results(folder: Path, warn: Callable[[str], None]) -> list[AsvResult]:
    """Everything below an asv results folder, file by file.

    Parameters
    ----------
    folder : Path
        Such as ``.asv/results``.
    warn : callable
        Called with a sentence for each file that is damaged, in whole or in part.

    Raises
    ------
    ForeignError
        It is no such folder.
    """
    paths = [path for path in sorted(folder.glob("*/*.json")) if path.name not in ("machine.json", "benchmarks.json")]
    if not paths:
        raise ForeignError(f"no asv results in {folder}, expected a folder with MACHINE/COMMIT-ENV.json files")
    found = []
    for path in paths:
        try:
            result, damaged = _asv_result(_load(path, "an asv result file"))
            found.append(result)
            if damaged:
                warn(f"{path} has {damaged} damaged values of ours, which are left out")
        except ForeignError as error:
            warn(f"{error}; it is left out")
        except _DAMAGE as error:
            warn(f"{path} is not an asv result file of version 2, and is left out: {one_line(repr(error))}")
    return found


def _asv_result(content: dict[str, Any]) -> tuple[AsvResult, int]:
    """A file's rows, and how many values are damaged."""
    # Columns at the end that hold nothing are not written.
    results = {
        name: dict(zip(content["result_columns"], values, strict=False)) for name, values in content["results"].items()
    }
    errors = _tracked(results, "track_rel_error")
    compiles = _tracked(results, "track_compile_s")
    commit = _text(content["commit_hash"])
    params = {str(name): _text(value) for name, value in content["params"].items() if isinstance(value, str)}
    rows, damaged = [], 0
    for name, result in results.items():
        if not name.rpartition(".")[2].startswith("time_"):
            continue
        for i, label, algorithm in _pairs(result):
            try:
                network, layer, problem = read_label(label)
                row = _row(network, layer, problem, algorithm, 1)
                row.update(run=commit[:8], machine=params["machine"])
                _asv_time(row, result, i)
                if row["status"] == "ok":
                    row.update(rel_error=errors.get((label, algorithm)), compile_s=compiles.get((label, algorithm)))
                rows.append(row)
            except _DAMAGE:
                damaged += 1
    started = [float(each) / 1e3 for result in results.values() if (each := result.get("started_at"))]
    first = min((each for each in started if 0 < each < _LAST_S), default=math.nan)
    return AsvResult(commit, first, params, rows), damaged


def _pairs(result: dict[str, Any]) -> Iterator[tuple[int, str, str]]:
    """Index, label and algorithm of each value of one of our benchmarks; nothing of another's."""
    params = result.get("params") or []
    if len(params) != 2 or result.get("result") is None:
        return
    for i, (label, algorithm) in enumerate(itertools.product(*params)):
        try:
            text, name = ast.literal_eval(label), ast.literal_eval(algorithm)
            read_label(text)
        except _DAMAGE:
            continue
        if isinstance(name, str):
            yield i, text, name


def _asv_time(row: Row, result: dict[str, Any], i: int) -> None:
    seconds = result["result"][i]
    if seconds is None:
        row.update(status="failed", reason="asv has no number: it raised or took too long")
    elif isinstance(seconds, float) and math.isnan(seconds):
        row.update(status="skipped", reason=_refusal(row))
    else:
        wanted = ("samples", "stats_q_25", "stats_q_75", "stats_repeat")
        samples, low, high, repeats = ((result.get(name) or [None] * (i + 1))[i] for name in wanted)
        # asv stores samples where it is told to, and how many there were always.
        _timed(row, seconds, min(samples) if samples else None, len(samples) if samples else repeats)
        if low is not None and high is not None:
            row["time_spread"] = (_number(high) - _number(low)) / row["time_s"]


def _tracked(results: dict[str, dict[str, Any]], name: str) -> dict[tuple[str, str], float]:
    """Values of a ``track_`` benchmark by label and algorithm, those that there are."""
    found = {}
    for whole, result in results.items():
        if whole.rpartition(".")[2] == name:
            for i, label, algorithm in _pairs(result):
                value = result["result"][i] if i < len(result["result"]) else None
                if isinstance(value, float) and math.isfinite(value):
                    found[label, algorithm] = value
    return found


def read_pytest_benchmark(path: Path, warn: Callable[[str], None]) -> list[Row]:
    """Rows of a file that ``pytest --benchmark-json`` wrote.

    Parameters
    ----------
    path : Path
    warn : callable
        Called with a sentence that says how many benchmarks are left out, if any.

    Raises
    ------
    ForeignError
        It is no such file.
    """
    content = _load(path, "a file of pytest --benchmark-json")
    benchmarks, node = content.get("benchmarks"), content.get("machine_info")
    if not isinstance(benchmarks, list) or not isinstance(node, dict):
        raise ForeignError(
            f"{path} is not a file of pytest --benchmark-json, expected one with benchmarks and machine_info"
        )
    rows, others = [], 0
    for benchmark in benchmarks:
        try:
            info, stats = benchmark["extra_info"], benchmark["stats"]
            if not all(type(info[name]) is kind for name, kind in _INFO.items()):
                raise TypeError("it is of another project")
            row = _row(info["network"], info["layer"], Conv2dProblem.parse(info["problem"]), info["algorithm"],
                       info["threads"])  # fmt: skip
            row.update(run=_text(path.stem), machine=_text(node["node"]))
            _timed(row, stats["median"], stats["min"], stats["rounds"])
            row["time_spread"] = _number(stats["iqr"]) / row["time_s"]
            rows.append(row)
        except _DAMAGE:
            others += 1
    if others:
        warn(
            f"{path} has {others} of {len(benchmarks)} benchmarks that are not ours or are damaged, which are left out"
        )
    return rows


def _text(value: object) -> str:
    """A text of a file, on one line and without what a terminal would act on."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is no text")
    return one_line(value)


def _number(value: object, most: float = _MOST_S) -> float:
    """A number of a file that is no larger than any that is measured."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise ValueError(f"{value!r:.40} is no number from 0 to {most:g}")
    return float(value)


def _load(path: Path, expected: str) -> dict[str, Any]:
    try:
        content = parse_json(path.read_bytes())
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
        "network": _text(network),
        "layer": _text(layer),
        "occurs": 1,
        "problem": str(problem),
        "algorithm": _text(algorithm),
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


def _timed(row: Row, value: object, least: object, samples: object) -> None:
    problem, seconds = Conv2dProblem.parse(row["problem"]), _number(value)
    if not seconds:
        raise ValueError("a call has taken no time")
    row.update(
        time_s=seconds,
        time_min_s=None if least is None else _number(least),
        samples=None if samples is None else int(_number(samples)),
        useful_gflops=float(np.divide(2e-9 * problem.macs_useful, seconds)),
        nominal_gflops=float(np.divide(2e-9 * problem.macs_nominal, seconds)),
    )
