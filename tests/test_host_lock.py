"""The host's lock: measurements wait for each other, say for whom, and a lock ends with its process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from suite.machine import host_lock
from suite.machine.host_lock import measuring_alone
from suite.results.files import StoreError

_ROOT = Path(__file__).parent.parent

_HOLD = """
import sys
from pathlib import Path
from suite.machine import host_lock
host_lock._FOLDER = Path(sys.argv[1])
with host_lock.measuring_alone():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_lock, "_FOLDER", tmp_path)


@contextmanager
def _held(folder: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
    ) as process:  # fmt: skip
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_no_wait_names_the_holder_whose_death_frees_the_host(tmp_path: Path) -> None:
    with _held(tmp_path) as process:
        refused = pytest.raises(StoreError, match=f"measured on by process {process.pid} since .*expected no other")
        with refused, measuring_alone(wait=False):
            raise AssertionError("two measure at once")
        process.kill()
        process.wait()
        with measuring_alone(wait=False):
            pass


def test_one_that_waits_says_for_whom(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with _held(tmp_path) as process:
        waiting = subprocess.Popen(
            [sys.executable, "-c", _HOLD, str(tmp_path)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(_ROOT)},
        )  # fmt: skip
        assert waiting.stderr is not None
        assert f"waiting for process {process.pid} since" in waiting.stderr.readline()
        assert waiting.poll() is None
        assert process.stdin is not None
        process.stdin.close()
        assert waiting.communicate(timeout=30)[0] == "held\n"


def test_hosts_of_other_names_do_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with _held(tmp_path):
        monkeypatch.setenv("CONVMARK_HOST", "another")
        with measuring_alone(wait=False):
            assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
                {host_lock.host_lock().name, f"convmark-tests-{os.getpid()}.lock"}
            )


def test_a_folder_that_cannot_be_written_does_not_keep_from_measuring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(host_lock, "_FOLDER", tmp_path / "missing")
    with measuring_alone(wait=False):
        assert "are not waited for" in capfd.readouterr().err
