"""One run as other tools' JSON: LNT's report format, and results for Conbench.

LNT: https://llvm.org/docs/lnt/importing_data.html, format version 2. Conbench: what its API's ``benchmark-results``
is posted, one per row.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from suite.report.load import Stored
from suite.report.table import records
from suite.results.files import StoreError, replace_file, unwritable
from suite.results.rows import key_of

__all__ = ["conbench_results", "lnt_report", "write_exports"]

#: What a row has when it is a measurement; what is mistrusted tells nothing of a commit.
_TIMED = "ok"


def lnt_report(stored: Stored, warn: Callable[[str], None]) -> dict[str, Any]:
    """A run as LNT imports it: the machine, the run and its tests with the medians of all processes."""
    machine = stored.machine
    ended = datetime.now(UTC)
    started = _started(stored, ended)
    return {
        "format_version": "2",
        "machine": {"name": f"{machine.cpu} {machine.stamp}", **_described(stored)},
        "run": {
            "start_time": started.strftime("%Y-%m-%dT%H:%M:%S"),
            "end_time": ended.strftime("%Y-%m-%dT%H:%M:%S"),
            "llvm_project_revision": machine.commit or machine.sources,
            "run": stored.name,
        },
        "tests": [
            {"name": "/".join(str(part) for part in key), "execution_time": seconds}
            for key, _, seconds in _measured(stored, warn)
        ],
    }


def conbench_results(stored: Stored, warn: Callable[[str], None]) -> list[dict[str, Any]]:
    """A run as results for Conbench: tags say what was timed, context what it depends on.

    The commit is named as Conbench wants it if GITHUB_REPOSITORY says of which repository it is.
    """
    machine, caches = stored.machine, stored.machine.caches
    repository = os.environ.get("GITHUB_REPOSITORY", "")
    described = {
        "name": machine.cpu,
        "cpu_model_name": machine.cpu,
        "cpu_core_count": str(machine.cores),
        "cpu_thread_count": str(machine.threads),
        "os_name": machine.os,
        "cpu_l1d_cache_bytes": str(caches.get("L1d", 0)),
        "cpu_l2_cache_bytes": str(caches.get("L2", 0)),
        "cpu_l3_cache_bytes": str(caches.get("L3", 0)),
    }
    versions = {name: value for name, value in _described(stored).items() if name not in ("commit", "sources")}
    common: dict[str, Any] = {
        "run_id": stored.name,
        "batch_id": stored.name,
        "timestamp": _started(stored, datetime.now(UTC)).isoformat(),
        "machine_info": described,
        "info": {"commit": machine.commit, "sources": machine.sources},
    }
    if machine.commit and repository:
        common["github"] = {"commit": machine.commit, "repository": f"https://github.com/{repository}"}
    return [
        {
            **common,
            "tags": {**row, "name": f"{row['network']}/{row['layer']}"},
            "context": {**versions, "benchmark_language": "Python"},
            "stats": {"data": seconds, "unit": "s", "times": [], "time_unit": "s", "iterations": len(seconds)},
        }
        for _, row, seconds in _measured(stored, warn)
    ]


def write_exports(stored: list[Stored], lnt: Path | None, conbench: Path | None, warn: Callable[[str], None]) -> None:
    """Write the files that are asked for.

    Raises
    ------
    StoreError
        There is not one run, or a file cannot be written.
    """
    for path, value in ((lnt, lnt_report), (conbench, conbench_results)):
        if path is None:
            continue
        if len(stored) != 1:
            raise StoreError(f"{path} is of one run and {len(stored)} are reported, expected one RUN")
        text = json.dumps(value(stored[0], warn), indent=1) + "\n"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, lambda part, text=text: part.write_text(text, encoding="utf-8"))  # type: ignore[misc]
        except OSError as error:
            raise unwritable(path, error) from error


def _described(stored: Stored) -> dict[str, str]:
    """The stamp's facts as texts: neither tool knows others."""
    values = stored.machine.as_dict()
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}


def _started(stored: Stored, otherwise: datetime) -> datetime:
    found = stored.frame["started"].iloc[0] if len(stored.frame) else None
    return otherwise if found is None or pd.isna(found) else found.to_pydatetime()


def _measured(stored: Stored, warn: Callable[[str], None]) -> list[tuple[tuple[Any, ...], dict[str, Any], list[float]]]:
    """Key, what was asked for, and each process's median, of every row that was timed."""
    samples = stored.samples(warn)
    found = []
    for row in records(stored.frame[stored.frame["status"] == _TIMED]):
        key = key_of(row)
        medians = [float(pd.Series(seconds).median()) for seconds in samples.get(key, [])]
        asked = {name: row[name] for name in ("network", "layer", "problem", "algorithm", "threads", "cache")}
        found.append((key, asked, medians or [float(row["time_s"])]))
    return found
