"""Revisions are unpacked and built apart, and nothing of them is left behind, however a run ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from suite.gate import revisions
from suite.gate.revisions import WORKING_TREE, RevisionError, revision_builder

_ROOT = Path(__file__).parent.parent

#: A package that answers as ours does, to be committed into a repository of the test's own.
_KERNELS = ("kernels", "pyproject.toml", "constraints.txt")


def _git(repository: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org"]
    done = subprocess.run(["git", *identity, *arguments], cwd=repository, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("CONVMARK_CACHE_DIR", str(folder))
    return folder


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    subprocess.run(["mkdir", "-p", str(folder / "kernels")], check=True)
    (folder / "kernels" / "__init__.py").write_text("VERSION = 1\n")
    (folder / "pyproject.toml").write_text('[project]\ndependencies = ["numpy"]\n')
    _git(folder, "init", "-q", "-b", "main")
    _git(folder, "add", "-A")
    _git(folder, "commit", "-q", "-m", "one")
    (folder / "kernels" / "__init__.py").write_text("VERSION = 2\n")
    _git(folder, "commit", "-q", "-a", "-m", "two")
    (folder / "kernels" / "__init__.py").write_text("VERSION = 3\n")
    return folder


def test_revisions_and_the_working_tree_are_what_they_are(repository: Path, cache: Path) -> None:
    with revision_builder(repository) as here:
        found = [here.build(name, own_environment=False) for name in ("HEAD~1", "main", WORKING_TREE)]
        texts = [(each.sources / "kernels" / "__init__.py").read_text() for each in found]
        assert texts == ["VERSION = 1\n", "VERSION = 2\n", "VERSION = 3\n"]
        assert all((each.sources / "suite" / "cli.py").samefile(_ROOT / "suite" / "cli.py") for each in found)
        assert found[0].name.startswith("HEAD~1 (") and found[2].name == WORKING_TREE
        assert found[0].python == sys.executable
        folders = [each.sources for each in found]
    assert not any(folder.exists() for folder in folders)
    assert (_ROOT / "suite" / "cli.py").exists()
    assert _git(repository, "worktree", "list").count("\n") == 0 and _git(repository, "status", "-s") == (
        "M kernels/__init__.py"
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mian", r"no revision 'mian' in .*, expected a commit, branch or tag"),
        ("--help", r"no revision '--help' in .*, expected a commit, branch or tag"),
        ("empty", r"empty \(.*\) of .* has no package 'kernels', expected one to measure"),
    ],
)
def test_what_cannot_be_measured_is_one_sentence(repository: Path, cache: Path, name: str, said: str) -> None:
    _git(repository, "checkout", "-q", "--orphan", "empty", "--force")
    _git(repository, "rm", "-q", "-rf", ".")
    _git(repository, "commit", "-q", "--allow-empty", "-m", "nothing")
    with revision_builder(repository) as here, pytest.raises(RevisionError, match=said):
        here.build(name, own_environment=False)


def test_a_folder_without_a_repository_is_one_sentence(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with revision_builder(tmp_path) as here, pytest.raises(RevisionError, match="not a git repository"):
        here.build("HEAD", own_environment=False)


def test_an_environment_is_built_once_for_what_depends_on_the_same(
    repository: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[tuple[str, ...]] = []

    def build(*command: str) -> None:
        built.append(command)
        if "venv" in command:
            Path(command[-1]).mkdir(parents=True)

    monkeypatch.setattr(revisions, "_build", build)
    with revision_builder(repository) as here:
        first, second = here.build("HEAD~1"), here.build("main")
        assert first.python == second.python and len(built) == 2
        assert built[1][-1] == "numpy"
        (repository / "constraints.txt").write_text("numpy==2.4.6\n")
        third = here.build(WORKING_TREE)
        assert third.python != first.python and "-c" in built[3]


def test_an_environment_that_was_not_finished_is_built_again(
    repository: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[tuple[str, ...]] = []

    def build(*command: str) -> None:
        built.append(command)
        if len(built) == 2:
            raise RevisionError("the index cannot be reached")

    monkeypatch.setattr(revisions, "_build", build)
    with revision_builder(repository) as here:
        with pytest.raises(RevisionError, match="the index cannot be reached"):
            here.build("main")
        (cache / "environments").mkdir(parents=True, exist_ok=True)
        built_folder = Path(built[0][-1])
        built_folder.mkdir()
        monkeypatch.setattr(revisions, "_build", lambda *command: built_folder.mkdir(exist_ok=True))
        here.build("main")
        assert (built_folder / "complete").exists()


def test_what_a_killed_run_left_behind_is_swept_and_what_is_in_use_is_not(repository: Path, cache: Path) -> None:
    with revision_builder(repository) as other:
        kept = other.build("main", own_environment=False).sources
        stale = cache / "revisions" / "run-stale"
        (stale / "sources").mkdir(parents=True)
        (stale / "lock").touch()
        with revision_builder(repository):
            assert not stale.exists() and kept.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a worker looks only once a second")
def test_a_gate_that_is_killed_leaves_its_pairs_and_no_process_and_its_folder_goes_at_the_next_start(
    tmp_path: Path, cache: Path
) -> None:
    repository = tmp_path / "clone"
    subprocess.run(["git", "init", "-q", str(repository)], check=True)
    for name in _KERNELS:
        subprocess.run(["cp", "-r", str(_ROOT / name), str(repository)], check=True)
    _git(repository, "add", "-A")
    _git(repository, "commit", "-q", "-m", "as it is")
    command = [
        sys.executable, "-m", "suite", "gate", "--base", "HEAD", "-p", "ic2ih6oc3kh3", "-a", "direct_naive",
        "--environment", "current", "-o", str(tmp_path / "out"),
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    process = subprocess.Popen(command, cwd=repository, env=environment, stdout=subprocess.DEVNULL)
    pairs = tmp_path / "out" / "pairs.jsonl"
    _wait_for(pairs.exists)
    left = [*(cache / "revisions").glob("run-*")]
    # Between two pairs there are none.
    _wait_for(lambda: _workers_below(cache / "revisions"))
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(left) == 1
    _wait_for(lambda: not _workers_below(cache / "revisions"))
    stored = pairs.read_bytes()
    assert json.loads(stored.split(b"\n")[0])["generation"] == 0
    with revision_builder(repository):
        assert not left[0].exists()
    assert pairs.read_bytes() == stored


def _wait_for(condition: object, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "it did not come in time"
        time.sleep(0.02)


def _workers_below(folder: Path) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cwd").resolve().is_relative_to(folder):
                found.append(int(entry.name))
        except OSError:
            continue
    return found
