"""What a worker of a fleet is asked for; sent by name, so that worker and client must have the same of it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from suite.fleet.sources import unpack
from suite.gate.revisions import RevisionError, build_environment, cache_folder
from suite.machine.host_lock import host_name
from suite.results.files import StoreError, locked, make_folder

__all__ = ["describe", "fetch", "measure"]

#: Files of a run that are only ever appended to, and those that are written whole before its first row.
_GROWING, _WHOLE = ("measurements.jsonl", "rows.jsonl"), ("machine.json", "request.json")

#: A part holds at most so many bytes: it passes through the loop that keeps the worker in touch.
_MOST_BYTES = 8 * 2**20

_POLL_S = 0.5


def describe() -> dict[str, Any]:
    """Which host a worker is on, and its process."""
    return {"host": host_name(), "pid": os.getpid()}


def measure(fleet: str, archive: bytes, packages: str, environment: str, arguments: list[str]) -> dict[str, Any]:
    """Make or go on with this host's run of a fleet, as a process of its own; returns its exit code and last words."""
    root = cache_folder() / "fleet"
    sources, work = root / "sources" / packages, root / "runs" / f"{fleet}-{host_name()}"
    try:
        make_folder(sources.parent)
        make_folder(work)
        with locked(root / "sources" / f"{packages}.lock"):
            unpack(archive, packages, sources)
        python = build_environment(sources, ("suite",)) if environment == "own" else sys.executable
        # A task that was given up may still go on: it is waited for, and what it did is not done again.
        with locked(work / "lock"):
            return _run(python, sources, work, arguments)
    except (StoreError, RevisionError, OSError) as error:
        return {"code": 2, "said": str(error)}


def _run(python: str, sources: Path, work: Path, arguments: list[str]) -> dict[str, Any]:
    begun = any((work / "results" / "runs").glob("*/request.json"))
    selection = ["--resume", "latest"] if begun else arguments
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DASK_")}
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [python, "-m", "suite.fleet.child", "run", *selection, "--results", str(work / "results")],
            cwd=work, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said,
            env={**kept, "PYTHONPATH": str(sources)},
        )  # fmt: skip
        assert process.stdin is not None
        with process.stdin:
            while process.poll() is None:
                if not _in_touch():
                    # Closing standard input ends the process; its rows are on the disk.
                    break
                time.sleep(_POLL_S)
        code = process.wait()
        said.seek(0)
        words = said.read().decode(errors="replace").strip().splitlines()
    return {"code": code, "said": words[-1] if words else ""}


def _in_touch() -> bool:
    """Whether this thread's worker is still at work: a worker that lost its scheduler is closed around its tasks."""
    from distributed import get_worker

    try:
        return str(get_worker().status.name) in ("running", "paused")
    except ValueError:  # no worker: called by a test, in its main thread
        return threading.current_thread() is threading.main_thread()


def fetch(fleet: str, sizes: dict[str, int]) -> dict[str, bytes]:
    """What this host's runs of a fleet have beyond the sizes that are known, by ``RUN/FILE``."""
    found = {}
    runs = cache_folder() / "fleet" / "runs" / f"{fleet}-{host_name()}" / "results" / "runs"
    for path in sorted(runs.glob("*/*")):
        name, known = f"{path.parent.name}/{path.name}", sizes.get(f"{path.parent.name}/{path.name}", 0)
        if (path.parent / "request.json").exists() and (path.name in _GROWING or (path.name in _WHOLE and not known)):
            with path.open("rb") as file:
                file.seek(known)
                if part := file.read(_MOST_BYTES):
                    # Whole lines: another part begins with a whole one.
                    whole = part if path.name in _WHOLE else part[: part.rfind(b"\n") + 1]
                    found[name] = whole
    return {name: part for name, part in found.items() if part}
