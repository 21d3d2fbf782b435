"""Git: the one function that runs it, and its own words if it refuses."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

__all__ = ["GitError", "commit_of", "git", "no_revision", "repository_root"]

#: Variables by which a process that git started, such as a hook, is bound to git's own repository; those that
#: ``git rev-parse --local-env-vars`` names, but for settings.
_BOUND = frozenset(
    ("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_DIR", "GIT_GRAFT_FILE", "GIT_IMPLICIT_WORK_TREE",
     "GIT_INDEX_FILE", "GIT_NO_REPLACE_OBJECTS", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_REPLACE_REF_BASE",
     "GIT_SHALLOW_FILE", "GIT_WORK_TREE", "GIT_NAMESPACE", "GIT_QUARANTINE_PATH")
)  # fmt: skip

#: Seconds after which git counts as stuck.
_PATIENCE_S = 120.0


class GitError(Exception):
    """Git cannot be run, or refuses; the message has its words.

    Attributes
    ----------
    is_outside : bool
        Whether it refuses because the folder is in no repository.
    """

    def __init__(self, message: str, *, is_outside: bool = False) -> None:
        super().__init__(message)
        self.is_outside = is_outside


def git(folder: Path, *arguments: str) -> bytes:
    """What a git command prints.

    Parameters
    ----------
    folder : Path
        Where it runs.
    *arguments : str

    Raises
    ------
    GitError
    """
    kept = {name: value for name, value in os.environ.items() if name not in _BOUND}
    # Its words are looked at, so that they must not be translated; nothing may be asked, and no lock be left.
    environment = {**kept, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, check=False, env=environment,
            stdin=subprocess.DEVNULL, timeout=_PATIENCE_S,
        )  # fmt: skip
    except OSError as error:
        raise GitError(f"git cannot be run: {error.strerror}, expected it to be installed") from error
    except subprocess.TimeoutExpired as error:
        raise GitError(f"git {arguments[0]} has not ended after {_PATIENCE_S:g} s in {folder}") from error
    if done.returncode:
        words = " ".join(done.stderr.decode(errors="replace").split()) or f"exit code {done.returncode}"
        raise GitError(f"git says of {folder}: {words}", is_outside="not a git repository" in words)
    return done.stdout


def repository_root(folder: Path) -> Path:
    """The top folder of the repository that a folder is in.

    Raises
    ------
    GitError
        It is in none, or git refuses to look at it.
    """
    return Path(os.fsdecode(git(folder, "rev-parse", "--show-toplevel").rstrip(b"\n")))


def commit_of(root: Path, name: str) -> str:
    """The commit that a revision of a repository is.

    Raises
    ------
    GitError
        There is no such revision; the message says what could bring it.
    """
    try:
        found = git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    except GitError as error:
        raise GitError(no_revision(root, name)) from error
    return found.decode().strip()


def no_revision(root: Path, name: str) -> str:
    """One sentence for a revision that a repository does not have, with what could bring it."""
    sentence = f"no revision {name!r} in {root}, expected a commit, branch or tag"
    remedies = []
    if _answers(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"origin/{name}^{{commit}}"):
        remedies.append(f"name it 'origin/{name}'")
    if _answers(root, "rev-parse", "--is-shallow-repository") == "true":
        remedies.append("this clone is shallow: git fetch --unshallow origin brings its history")
    elif not remedies:
        remedies.append("git fetch origin brings what others have")
    return f"{sentence}; {', or '.join(remedies)}"


def _answers(root: Path, *arguments: str) -> str:
    try:
        return git(root, *arguments).decode(errors="replace").strip()
    except GitError:
        return ""
