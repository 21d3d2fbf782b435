"""A revision of the kernels as something that can be run: its sources unpacked, its environment built.

Only ``kernels`` is the revision's own. It is measured by the ``suite`` that is running, so
that no change of the harness can pass for a change of the kernels. Sources are unpacked by
``git archive`` rather than as worktrees of the repository: nothing is registered there, and
nothing of it is left to be cleaned up in it when a run is killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from suite.digests import digest
from suite.git import GitError, commit_of, git, repository_root
from suite.results.files import locked

__all__ = [
    "WORKING_TREE",
    "Revision",
    "RevisionBuilder",
    "RevisionError",
    "build_environment",
    "cache_folder",
    "revision_builder",
]

#: What stands for the files as they are, committed or not.
WORKING_TREE = "working tree"

_SUITE = Path(__file__).resolve().parent.parent

#: Files that an environment follows from.
_STATES_DEPENDENCIES = ("pyproject.toml", "constraints.txt")


class RevisionError(Exception):
    """A revision cannot be had or built; the message says why in one sentence."""


@dataclass(frozen=True)
class Revision:
    """One side of a comparison.

    Attributes
    ----------
    name : str
        As people name it, with its hash.
    sources : Path
        Folder with the revision's ``kernels`` and the running ``suite``.
    python : str
        Interpreter that has what the revision depends on.
    """

    name: str
    sources: Path
    python: str


@contextmanager
def revision_builder(repository: Path) -> Iterator[RevisionBuilder]:
    """A builder whose folder is removed afterwards; what killed runs left behind is removed first."""
    root = cache_folder() / "revisions"
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RevisionError(
            f"{root} cannot be made: {error.strerror}, expected CONVMARK_CACHE_DIR to name a folder"
        ) from error
    # Folders without an owner are looked for by one at a time: none is seen between its making and its locking.
    with locked(root / "lock"):
        _sweep(root)
        folder = Path(tempfile.mkdtemp(prefix="run-", dir=root))
        own = (folder / "lock").open("w")
        # Held until the process ends, however it ends: an unlocked folder has no owner.
        fcntl.flock(own, fcntl.LOCK_EX)
    try:
        yield RevisionBuilder(repository, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        own.close()


def _sweep(root: Path) -> None:
    for folder in root.glob("run-*"):
        with contextlib.suppress(OSError), (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)


def cache_folder() -> Path:
    """Where sources and environments are kept."""
    root = os.environ.get("CONVMARK_CACHE_DIR")
    try:
        return Path(root).expanduser() if root else user_cache_path("convmark")
    except RuntimeError as error:
        raise RevisionError("the user has no home, expected CONVMARK_CACHE_DIR to name a folder") from error


class RevisionBuilder:
    """Unpacks and builds revisions of one repository.

    Parameters
    ----------
    repository : Path
    folder : Path
        Where sources go.
    """

    def __init__(self, repository: Path, folder: Path) -> None:
        self._repository = repository
        self._folder = folder

    def build(self, name: str, *, own_environment: bool = True) -> Revision:
        """A revision, ready to be measured.

        Parameters
        ----------
        name : str
            Anything that git knows as a commit, or `WORKING_TREE`.
        own_environment : bool
            Whether it gets an environment made of what it says that it depends on; else the
            running interpreter serves.

        Raises
        ------
        RevisionError
            There is no such revision, it has no kernels, or its environment cannot be built.
        """
        sources = Path(tempfile.mkdtemp(prefix="sources-", dir=self._folder))
        title = self._unpack(name, sources)
        python = build_environment(sources) if own_environment else sys.executable
        (sources / "suite").symlink_to(_SUITE)
        return Revision(title, sources, python)

    def _unpack(self, name: str, sources: Path) -> str:
        wanted = ("kernels", *_STATES_DEPENDENCIES)
        if name == WORKING_TREE:
            root = self._working_root()
            if not (root / "kernels" / "__init__.py").exists():
                raise RevisionError(f"{root} has no package 'kernels', expected one to measure")
            for part in wanted:
                found = root / part
                if found.is_dir():
                    shutil.copytree(found, sources / part, ignore=shutil.ignore_patterns("__pycache__"))
                elif found.exists():
                    shutil.copy(found, sources / part)
            return WORKING_TREE
        try:
            root = repository_root(self._repository)
            commit = commit_of(root, name)
            present = git(root, "ls-tree", "--name-only", commit, *wanted).decode().split()
            if "kernels" not in present:
                raise RevisionError(
                    f"{name} ({commit[:10]}) of {root} has no package 'kernels', expected one to measure"
                )
            content = git(root, "archive", commit, *present)
        except GitError as error:
            raise RevisionError(str(error)) from error
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            archive.extractall(sources, filter="data")
        return name if commit.startswith(name) else f"{name} ({commit[:10]})"

    def _working_root(self) -> Path:
        """The repository's root; the folder itself if git does not know better."""
        try:
            return repository_root(self._repository)
        except GitError:
            return self._repository


def build_environment(sources: Path, extras: tuple[str, ...] = ()) -> str:
    """An interpreter with what sources depend on; kept for all sources that state the same.

    Parameters
    ----------
    sources : Path
    extras : tuple of str
        Names of optional dependencies that it has as well.

    Raises
    ------
    RevisionError
        It cannot be built.
    """
    stated = [path.read_bytes() for part in _STATES_DEPENDENCIES if (path := sources / part).exists()]
    folder = cache_folder() / "environments" / digest((f"{sys.version} {sys.executable}", *stated, *extras))
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Another process may be building the same one: it is waited for.
    with locked(folder.with_suffix(".lock")):
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            constraints = sources / "constraints.txt"
            limits = ["-c", str(constraints)] if constraints.exists() else []
            _build(sys.executable, "-m", "venv", str(folder))
            _build(str(python), "-m", "pip", "install", "--quiet", *limits, *_dependencies(sources, extras))
            (folder / "complete").touch()
    return str(python)


def _dependencies(sources: Path, extras: tuple[str, ...]) -> list[str]:
    """What the kernels need, and extras, as their revision's own project file says it."""
    try:
        project = tomllib.loads((sources / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        optional = [project["optional-dependencies"][name] for name in extras]
        return [*project["dependencies"], *(each for needed in optional for each in needed)]
    except (OSError, KeyError, tomllib.TOMLDecodeError) as error:
        raise RevisionError(
            f"its pyproject.toml states no dependencies ({error!r}), expected a list of them"
        ) from error


def _build(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        words = " ".join(done.stderr.split())[-400:]
        raise RevisionError(f"the environment could not be built, {' '.join(command[1:4])} failed: {words}")
