"""What a fleet is sent: the sources of a revision as an archive, and their digests."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from suite.digests import digest, sources_digest
from suite.git import GitError, commit_of, git, repository_root
from suite.machine.environment import STATED_COMMIT, commit_of_sources
from suite.results.files import StoreError

__all__ = ["Sources", "pack", "unpack"]

_PARTS = ("kernels", "suite", "pyproject.toml", "constraints.txt")

_ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class Sources:
    """Sources as they are sent.

    Attributes
    ----------
    archive : bytes
        A tar file, compressed.
    packages : str
        Digest of the Python files of both packages, by which they are unpacked and checked.
    kernels : str
        `suite.machine.environment.Machine.sources` of runs that are made of them.
    """

    archive: bytes
    packages: str
    kernels: str


def pack(revision: str = "") -> Sources:
    """The sources that run, or a revision of their repository.

    Raises
    ------
    StoreError
        There is no such revision.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if revision:
            commit, dirty = _archived(revision, folder), False
        else:
            commit, dirty, _ = commit_of_sources()
            for part in _PARTS:
                if (_ROOT / part).is_dir():
                    shutil.copytree(_ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
                elif (_ROOT / part).exists():
                    shutil.copy(_ROOT / part, folder / part)
        (folder / STATED_COMMIT).write_text(json.dumps({"commit": commit, "dirty": dirty}))
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            for path in sorted(folder.iterdir()):
                archive.add(path, path.name)
        return Sources(packed.getvalue(), _packages(folder), sources_digest(folder / "kernels"))


def _archived(revision: str, folder: Path) -> str:
    root = repository_root(_ROOT)
    try:
        commit = commit_of(root, revision)
    except GitError as error:
        raise StoreError(str(error)) from error
    with tarfile.open(fileobj=io.BytesIO(git(root, "archive", commit, *_PARTS))) as archive:
        archive.extractall(folder, filter="data")
    return commit


def unpack(archive: bytes, packages: str, folder: Path) -> None:
    """Unpack sources into a folder, unless they are there; the folder's lock is the caller's.

    Raises
    ------
    StoreError
        The folder holds other sources.
    """
    if not folder.exists():
        part = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=folder.parent))
        with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
            packed.extractall(part, filter="data")
        part.rename(folder)
    if (found := _packages(folder)) != packages:
        raise StoreError(f"{folder} has sources {found}, expected {packages}; remove that folder there and run again")


def _packages(folder: Path) -> str:
    return digest(sources_digest(folder / name) for name in ("kernels", "suite"))
