"""A run that is killed with SIGKILL loses nothing that it stored, leaves no worker, and goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

_ROOT = Path(__file__).parent.parent
_TEXTS = ("ic1ih6oc1kh3ph1", "ic1ih5oc1kh2", "ic1ih7oc1kh1")
_NAMES = ("direct_naive", "scipy")
_PROCESSES = 2


def _start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "suite", "run", *arguments],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def _children(pid: int) -> set[int]:
    """Processes whose parent it is."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if words[0] != "Z" and int(words[1]) == pid:
            found.add(int(path.parent.name))
    return found


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _measurements(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("results/runs/*/measurements.jsonl"))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a worker looks only once a second for its parent")
def test_a_killed_run_leaves_no_worker_and_goes_on_where_it_was(tmp_path: Path) -> None:
    problems = [word for text in _TEXTS for word in ("-p", text)]
    contenders = [word for name in _NAMES for word in ("-c", name)]
    process = _start(tmp_path, *problems, *contenders, "--seconds", "0.1", "--processes", str(_PROCESSES))
    try:
        end = time.monotonic() + 120
        while not _measurements(tmp_path).count(b"\n"):
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.01)
        workers = _children(process.pid)
    finally:
        process.kill()
        process.communicate()
    stored = _measurements(tmp_path)
    assert 1 <= stored.count(b"\n") < len(_TEXTS) * _PROCESSES
    assert len(workers) == len(_NAMES)
    end = time.monotonic() + 30
    while any(map(_alive, workers)) and time.monotonic() < end:
        time.sleep(0.02)
    assert not any(map(_alive, workers))

    process = _start(tmp_path, "--resume", "latest", "--json")
    out, err = process.communicate(timeout=240)
    # The machine may be busy: a mistrusted time is a time.
    assert process.returncode == 0, err
    rows = json.loads(out)["rows"]
    assert [(row["layer"], row["algorithm"]) for row in rows] == [(text, name) for text in _TEXTS for name in _NAMES]
    assert {row["status"] for row in rows} <= {"ok", "mistrusted"}
    assert all(row["time_s"] > 0 and 1 <= row["processes"] <= _PROCESSES for row in rows)
    after = _measurements(tmp_path)
    assert after.startswith(stored) and after.count(b"\n") == len(_TEXTS) * _PROCESSES
    keys = [(json.loads(line)["case"], json.loads(line)["generation"]) for line in after.splitlines()]
    assert len({str(key) for key in keys}) == len(keys)
