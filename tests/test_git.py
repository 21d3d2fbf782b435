"""Git runs in the repository that is asked for, whatever started this process, and its words reach the user."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from suite.gate import revisions
from suite.gate.revisions import WORKING_TREE, RevisionError, revision_builder
from suite.git import GitError, git, no_revision, repository_root
from suite.machine import environment


def _run(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _repository(folder: Path, commits: int = 1) -> Path:
    (folder / "kernels").mkdir(parents=True)
    (folder / "kernels" / "__init__.py").write_text("")
    _run(folder, "init", "-q", "-b", "main")
    _run(folder, "add", "-A")
    for number in range(commits):
        _run(folder, "commit", "-q", "--allow-empty", "-m", str(number))
    return folder


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CONVMARK_CACHE_DIR", str(tmp_path / "cache"))
    return _repository(tmp_path / "repository", 2)


@pytest.fixture
def foreign(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every repository belongs to another user, as a checkout that was mounted into a container does."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")


def test_in_a_hook_of_another_repository_it_is_still_the_asked_one(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = _repository(tmp_path / "hooks")
    for name, value in {"GIT_DIR": str(hooks / ".git"), "GIT_WORK_TREE": str(hooks), "GIT_INDEX_FILE": "x"}.items():
        monkeypatch.setenv(name, value)
    assert repository_root(repository / "kernels") == repository
    environment.commit_of_sources.cache_clear()
    inside = environment.commit_of_sources()
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name)
    environment.commit_of_sources.cache_clear()
    assert inside == environment.commit_of_sources()


def test_a_repository_of_another_user_is_refused_in_gits_words(
    repository: Path, foreign: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with revision_builder(repository) as here:
        with pytest.raises(RevisionError, match=r"dubious ownership.*safe\.directory"):
            here.build("main", own_environment=False)
        # What is there can be measured all the same.
        assert here.build(WORKING_TREE, own_environment=False).name == WORKING_TREE
    monkeypatch.setattr(environment, "_ROOT", repository)
    environment.commit_of_sources.cache_clear()
    commit, dirty, reason = environment.commit_of_sources()
    environment.commit_of_sources.cache_clear()
    assert (commit, dirty) == ("", False) and "dubious ownership" in reason


def test_a_shallow_clone_names_what_brings_its_history(repository: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    _run(tmp_path, "clone", "-q", "--depth", "1", f"file://{repository}", str(clone))
    _run(clone, "checkout", "-q", "--detach")
    _run(clone, "branch", "-q", "-D", "main")
    with revision_builder(clone) as here:
        with pytest.raises(RevisionError, match=r"no revision 'HEAD~1' in .*; this clone is shallow: git fetch --unsh"):
            here.build("HEAD~1", own_environment=False)
        with pytest.raises(
            RevisionError, match=r"no revision 'main' in .*; name it 'origin/main', or this clone is sh"
        ):
            here.build("main", own_environment=False)
    assert "git fetch origin" in no_revision(repository, "later")


def test_a_folder_below_the_root_is_in_the_repository(repository: Path) -> None:
    with revision_builder(repository / "kernels") as here:
        for name in ("HEAD", WORKING_TREE):
            assert (here.build(name, own_environment=False).sources / "kernels" / "__init__.py").exists()


def test_a_missing_git_is_one_sentence(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository))
    with pytest.raises(GitError, match=r"git cannot be run: .*, expected it to be installed"):
        git(repository, "status")


# -- several gates at once ------------------------------------------------------------


def test_no_gate_removes_the_folder_that_another_has_just_made(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = revisions.tempfile.mkdtemp

    def slow(*arguments: str, **options: str) -> str:
        folder = honest(*arguments, **options)
        time.sleep(0.05)
        return folder

    monkeypatch.setattr(revisions.tempfile, "mkdtemp", slow)

    def enter(number: int) -> bool:
        with revision_builder(repository) as here:
            time.sleep(0.02)
            return here._folder.exists()

    with ThreadPoolExecutor(4) as pool:
        assert Counter(pool.map(enter, range(8))) == {True: 8}


def test_an_environment_is_built_by_one_gate_and_waited_for_by_others(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / "pyproject.toml").write_text('[project]\ndependencies = ["numpy"]\n')
    built: list[str] = []
    first = threading.Event()

    def build(*command: str) -> None:
        built.append(command[2])
        first.set()
        time.sleep(0.1)
        Path(command[-1] if "venv" in command else command[0]).parent.mkdir(parents=True, exist_ok=True)

    def one(wait: bool) -> str:
        first.wait() if wait else None
        with revision_builder(repository) as here:
            python = here.build(WORKING_TREE).python
            assert (Path(python).parent.parent / "complete").exists()
            return python

    monkeypatch.setattr(revisions, "_build", build)
    with ThreadPoolExecutor(2) as pool:
        assert len({*pool.map(one, (False, True))}) == 1
    assert built == ["venv", "pip"]
