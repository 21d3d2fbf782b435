"""The gate's findings in the forms that servers and people read; one file per form."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from suite.gate.findings import Findings
from suite.gate.outputs.action_benchmark import action_benchmark
from suite.gate.outputs.annotations import workflow_commands
from suite.gate.outputs.bencher import bencher
from suite.gate.outputs.junit import junit
from suite.gate.outputs.markdown import summary
from suite.results.files import replace_file, unwritable

__all__ = ["announce", "write_outputs"]


def write_outputs(findings: Findings, folder: Path) -> list[Path]:
    """Write every form into ``folder``, which is made; no reader sees half of a file.

    Returns
    -------
    list of Path
        ``summary.md``, ``junit.xml``, ``bencher.json``, ``action-benchmark.json``, ``findings.json``.

    Raises
    ------
    StoreError
        The folder cannot be written.
    """
    contents = {
        "summary.md": summary(findings).encode(),
        "junit.xml": junit(findings),
        "bencher.json": _json(bencher(findings)),
        "action-benchmark.json": _json(action_benchmark(findings)),
        "findings.json": _json(findings.as_dict()),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            _write(folder / name, content)
    except OSError as error:
        raise unwritable(folder, error) from error
    return [folder / name for name in contents]


def announce(findings: Findings, stream: TextIO, environ: Mapping[str, str] = os.environ) -> None:
    """Under GitHub Actions, print annotations to ``stream`` and append the page to the job's summary.

    Anywhere else nothing happens.

    Raises
    ------
    StoreError
        The summary's file cannot be written.
    """
    if environ.get("GITHUB_ACTIONS") != "true":
        return
    for line in workflow_commands(findings):
        print(line, file=stream, flush=True)
    if name := environ.get("GITHUB_STEP_SUMMARY"):
        path = Path(name)
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(summary(findings))
        except OSError as error:
            raise unwritable(path, error) from error


def _write(path: Path, content: bytes) -> None:
    replace_file(path, lambda part: part.write_bytes(content))


def _json(value: object) -> bytes:
    return json.dumps(_finite(value), indent=2, allow_nan=False, default=str).encode() + b"\n"


def _finite(value: Any) -> Any:
    """The same value with ``None`` for numbers that JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value
