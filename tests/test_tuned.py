"""Measured choices: kept on disk by what a time depends on, and never in the way of a convolution."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernels import Conv2dProblem, TunedError, choose, tuned
from kernels.tuning import limits
from kernels.tuning.database import writing
from kernels.tuning.limits import Limits, measured_limits, remember_limits

_ROOT = Path(__file__).parent.parent
_PROBLEM = Conv2dProblem.parse("ic3ih6oc4kh2ph1")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The database's file, which does not exist yet."""
    path = tmp_path / "below" / "tuned.sqlite"
    monkeypatch.setenv("CONVMARK_TUNED", str(path))
    yield path
    tuned._loaded.pop(str(path), None)


def _from_disk(problem: Conv2dProblem = _PROBLEM, threads: int = 1) -> dict[str, float]:
    """What another process would recall."""
    tuned._loaded.clear()
    return dict(tuned.recall(problem, threads))


def test_what_is_remembered_is_recalled_at_once_and_by_a_later_process(file: Path) -> None:
    assert tuned.database() == file and _from_disk() == {}
    tuned.remember(_PROBLEM, 1, {"a": 0.5, "b": 0.25})
    assert tuned.recall(_PROBLEM, 1) == {"a": 0.5, "b": 0.25} == _from_disk()
    with pytest.raises(TypeError):
        tuned.recall(_PROBLEM, 1)["a"] = 1.0  # type: ignore[index]


def test_a_bias_changes_nothing_but_threads_vectors_sources_and_cpu_do(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned.remember(_PROBLEM.replace(bias=True), 1, {"a": 0.5})
    assert tuned.recall(_PROBLEM, 1) == _from_disk(_PROBLEM.replace(bias=True)) == {"a": 0.5}
    assert _from_disk(threads=2) == _from_disk(_PROBLEM.replace(mb=2)) == {}
    for name, value in (("vector_bytes", 1), ("code_digest", "other"), ("cpu_model", "other")):
        with monkeypatch.context() as patch:
            patch.setattr(tuned, name, lambda *_, value=value: value)
            assert _from_disk() == {}
            tuned.remember(_PROBLEM, 1, {name: 1.0})
            assert _from_disk() == {name: 1.0}
        # Theirs did not result the place of ours.
        assert _from_disk() == {"a": 0.5}


def test_only_times_that_were_measured_together_are_recalled(file: Path) -> None:
    tuned.remember(_PROBLEM, 1, {"a": 0.5, "b": 0.25})
    tuned.remember(_PROBLEM, 1, {"b": 0.75})
    assert tuned.recall(_PROBLEM, 1) == {"b": 0.75} == _from_disk()


def test_forgetting_limits_and_times_counts_every_row_of_this_cpu(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tuned.forget() == 0 and not file.exists()
    with monkeypatch.context() as patch:
        patch.setattr(tuned, "cpu_model", lambda: "other")
        tuned.remember(_PROBLEM, 1, {"a": 1.0})
    with monkeypatch.context() as patch:
        patch.setattr(tuned, "code_digest", lambda module: "earlier")
        tuned.remember(_PROBLEM, 1, {"a": 1.0})
    tuned.remember(_PROBLEM, 1, {"a": 1.0, "b": 2.0})
    remember_limits(4e9, 3e10)
    assert measured_limits() is not None and tuned.forget() == 4
    assert tuned.recall(_PROBLEM, 1) == {} == _from_disk() and measured_limits() is None
    monkeypatch.setattr(tuned, "cpu_model", lambda: "other")
    assert _from_disk() == {"a": 1.0}


@pytest.mark.parametrize("seconds", [{}, {"a": 0.0}, {"a": float("nan")}, {"a": 1.0, "b": float("inf")}])
def test_what_is_no_time_is_not_remembered(file: Path, seconds: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected a positive number an algorithm"):
        tuned.remember(_PROBLEM, 1, seconds)
    assert not file.exists()


def test_a_file_that_is_no_database_is_one_warning_and_no_data(file: Path) -> None:
    file.parent.mkdir()
    file.write_text("not a database, but long enough to be looked at" * 10)
    with pytest.warns(RuntimeWarning, match=rf"cannot read {file}: file is not a database, .*nothing measured is used"):
        assert tuned.recall(_PROBLEM, 1) == {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert tuned.recall(_PROBLEM, 1) == {}
    with pytest.raises(TunedError, match=rf"cannot write {file}: file is not a database, expected"):
        tuned.remember(_PROBLEM, 1, {"a": 1.0})
    assert file.read_text().startswith("not a database")


def test_a_folder_that_cannot_be_written_to_is_one_sentence(file: Path) -> None:
    file.parent.write_text("a file where the folder should be")
    assert tuned.recall(_PROBLEM, 1) == {}
    with pytest.raises(TunedError, match=rf"cannot write {file}: File exists, expected"):
        tuned.remember(_PROBLEM, 1, {"a": 1.0})


def test_a_home_that_one_may_not_look_into_holds_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        # Whoever runs the tests may be allowed everything.
        patch.setattr("os.stat", refuse)
        assert tuned.recall(_PROBLEM, 1) == {} and tuned.forget() == 0


def test_a_transaction_that_is_broken_off_leaves_what_was_there(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tuned.remember(_PROBLEM, 1, {"a": 1.0})
    with pytest.raises(KeyboardInterrupt), writing() as connection:
        connection.execute("DELETE FROM times")
        raise KeyboardInterrupt
    assert _from_disk() == {"a": 1.0}


def test_the_latest_times_count_whatever_the_clock_says(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    for hours, seconds in ((24, 1.0), (0, 2.0), (-24, 3.0)):
        monkeypatch.setattr("time.time", lambda hours=hours: now + hours * 3600)
        tuned.remember(_PROBLEM, 1, {"a": seconds})
        assert tuned.recall(_PROBLEM, 1) == {"a": seconds} == _from_disk()


_KILLED = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
# Spills pages into the file, with what they were in the journal, before anything is committed.
connection.execute("PRAGMA cache_size = 1")
connection.execute("BEGIN IMMEDIATE")
connection.execute("UPDATE times SET seconds = seconds + 1")
connection.execute("CREATE TABLE more (row TEXT)")
connection.executemany("INSERT INTO more VALUES (hex(randomblob(99)))", [()] * 9999)
os.kill(os.getpid(), 9)
"""


def test_what_a_killed_writer_left_is_undone_by_the_next_reader(file: Path) -> None:
    tuned.remember(_PROBLEM, 1, {"a": 1.0})
    subprocess.run([sys.executable, "-c", _KILLED, str(file)], check=False)
    assert Path(f"{file}-journal").stat().st_size > 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _from_disk() == {"a": 1.0}


def test_a_later_version_is_one_warning_and_is_not_written(file: Path) -> None:
    tuned.remember(_PROBLEM, 1, {"a": 1.0})
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.warns(RuntimeWarning, match=r"cannot read .*: it is of version 99, expected at most 1"):
        assert _from_disk() == {}
    with pytest.raises(TunedError, match="version 99"):
        tuned.remember(_PROBLEM, 1, {"a": 1.0})


@pytest.mark.parametrize("rate", ["-1.0", "0.0", "9e999", "'fast'", "NULL", "x'00'"])
def test_rates_that_no_machine_has_are_one_warning(file: Path, rate: str) -> None:
    remember_limits(4e9, 3e10)
    with sqlite3.connect(file) as connection:
        connection.execute(f"UPDATE limits SET fma_per_s = {rate}")
    cached = limits._measured
    cached.cache_clear()
    with pytest.warns(RuntimeWarning, match=r"rates of this machine are .*, expected positive numbers"):
        assert measured_limits() is None
    assert choose(_PROBLEM, 1).algorithm
    cached.cache_clear()


@pytest.mark.parametrize("time", ["-1.0", "9e999", "'soon'", "NULL"])
def test_times_that_are_none_are_one_warning(file: Path, time: str) -> None:
    tuned.remember(_PROBLEM, 1, {"a": 1.0})
    with sqlite3.connect(file) as connection:
        connection.execute(f"UPDATE times SET seconds = {time}")
    with pytest.warns(RuntimeWarning, match=r"a time of a on .* is .*, expected a positive number"):
        assert _from_disk() == {}


def test_without_a_home_nothing_is_known_and_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless(*_: object, **__: object) -> str:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.delenv("CONVMARK_TUNED", raising=False)
    monkeypatch.setattr("platformdirs.user_data_dir", homeless)
    tuned._loaded.pop(None, None)
    assert tuned.recall(_PROBLEM, 1) == {}
    for act in (lambda: tuned.remember(_PROBLEM, 1, {"a": 1.0}), tuned.forget, tuned.database):
        with pytest.raises(TunedError, match="the user has no home, expected CONVMARK_TUNED to name a file"):
            act()
    tuned._loaded.pop(None, None)


def test_off_reads_nothing_and_refuses_to_remember(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tuned.remember(_PROBLEM, 1, {"a": 1.0})
    monkeypatch.setenv("CONVMARK_TUNED", "off")
    assert tuned.recall(_PROBLEM, 1) == {}
    for act in (lambda: tuned.remember(_PROBLEM, 1, {"a": 1.0}), tuned.forget, tuned.database):
        with pytest.raises(TunedError, match="CONVMARK_TUNED is 'off', expected the path of a file"):
            act()


def test_the_latest_limits_of_measured_limits_count(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert measured_limits() is None
    remember_limits(4e9, 3e10)
    remember_limits(9e9, 5e10)
    assert measured_limits() == Limits(4.5e9, 9e9, 5e10)
    monkeypatch.setattr("kernels.tuning.limits.vector_bytes", lambda: 1)
    remember_limits(1e9, 1e10)
    assert measured_limits() == Limits(0.5e9, 1e9, 1e10)
    # Choices are none of theirs; who forgets forgets both.
    assert _from_disk() == {} and tuned.forget() == 3
    with pytest.raises(ValueError, match=r"rates are 0\.0 and 1\.0 a second, expected positive ones"):
        remember_limits(0.0, 1.0)


_WRITER = """
import sys
from kernels import Conv2dProblem, tuned
for i in range(20):
    tuned.remember(Conv2dProblem.parse(f"ic3ih{i + 5}oc4kh2"), int(sys.argv[1]), {"a": 1.0 + i, "b": 2.0})
"""


def test_two_processes_remember_at_once(file: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", _WRITER, str(n)], cwd=_ROOT) for n in (1, 2)]
    assert [each.wait() for each in writers] == [0, 0]
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT COUNT(*) FROM times").fetchone() == (80,)
    for threads in (1, 2):
        for i in range(20):
            assert tuned.recall(Conv2dProblem.parse(f"ic3ih{i + 5}oc4kh2"), threads) == {"a": 1.0 + i, "b": 2.0}


def test_without_a_database_sqlite_is_not_imported(file: Path) -> None:
    code = """
import sys
from kernels import Conv2dProblem, tuned
assert not tuned.recall(Conv2dProblem.parse("ic3ih6oc4kh2"), 1)
sys.exit("sqlite3" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=_ROOT, check=False).returncode == 0


def test_the_default_file_is_below_the_users_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONVMARK_TUNED")
    # Other systems have folders of their own.
    if os.name != "posix" or sys.platform == "darwin":
        pytest.skip("where data belongs is XDG's to say on Linux alone")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert tuned.database() == tmp_path / "convmark" / "tuned.sqlite"
