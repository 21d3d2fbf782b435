"""What a fleet is sent: the sources of a revision or of a wheel as an archive, and their digests."""

from __future__ import annotations

import io
import json
import re
import shutil
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from suite.digests import digest, sources_digest
from suite.git import GitError, commit_of, git, repository_root
from suite.machine.environment import STATED_COMMIT, commit_of_sources
from suite.results.files import StoreError

__all__ = ["Sources", "archived", "pack", "unpack"]

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
        Digest of all files, by which they are unpacked and checked.
    kernels : str
        `suite.machine.environment.Machine.sources` of runs that are made of them.
    """

    archive: bytes
    packages: str
    kernels: str


def pack(revision: str = "", wheel: Path | None = None) -> Sources:
    """The sources that run, or a revision of their repository, or what a wheel holds.

    Raises
    ------
    StoreError
        There is no such revision, or it is no wheel of convmark.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if wheel is not None:
            _unzip(wheel, folder)
            commit, dirty = "", False
        elif revision:
            commit, dirty = _export(revision, folder), False
        else:
            commit, dirty, _ = commit_of_sources()
            for part in _PARTS:
                if (_ROOT / part).is_dir():
                    shutil.copytree(_ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
                elif (_ROOT / part).exists():
                    shutil.copy(_ROOT / part, folder / part)
        (folder / STATED_COMMIT).write_text(json.dumps({"commit": commit, "dirty": dirty}))
        return archived(folder)


def archived(folder: Path) -> Sources:
    """A folder with both packages as it is sent."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, path.name)
    return Sources(packed.getvalue(), _packages(folder), sources_digest(folder / "kernels"))


def _unzip(wheel: Path, folder: Path) -> None:
    """Unpack a wheel as if it were sources, with a project file of what it depends on."""
    try:
        with zipfile.ZipFile(wheel) as packed:
            [stated] = [name for name in packed.namelist() if name.endswith(".dist-info/METADATA")]
            packed.extractall(folder)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise StoreError(f"{wheel} cannot be read ({error}), expected a wheel of convmark") from error
    missing = [name for name in ("kernels", "suite") if not (folder / name).is_dir()]
    if missing:
        raise StoreError(f"{wheel} has no package {missing[0]!r}, expected a wheel of convmark")
    needs: dict[str, list[str]] = {"": []}
    for each in metadata.PathDistribution(folder / Path(stated).parent).requires or ():
        requirement, _, condition = each.partition(";")
        extra = re.search(r"""extra\s*==\s*['"]([\w-]+)""", condition)
        needs.setdefault(extra[1] if extra else "", []).append(requirement.strip())
    always = needs.pop("")
    lines = ["[project]", f"dependencies = {json.dumps(always)}", "[project.optional-dependencies]"]
    lines += [f"{extra} = {json.dumps(each)}" for extra, each in needs.items()]
    (folder / "pyproject.toml").write_text("\n".join(lines) + "\n")


def _export(revision: str, folder: Path) -> str:
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
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    return digest(part for path in paths for part in (path.relative_to(folder).as_posix(), path.read_bytes()))
