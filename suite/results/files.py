"""Files of results: folders that survive a power cut, files that are replaced whole, and locks."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where nothing is locked
    fcntl = None  # type: ignore[assignment]

__all__ = ["StoreError", "adding_to", "file_name", "locked", "make_folder", "replace_file", "sync_folder", "unwritable"]


class StoreError(Exception):
    """A run cannot be read or written."""


def unwritable(path: Path, error: OSError) -> StoreError:
    """One sentence for a file or folder that cannot be written."""
    return StoreError(f"cannot write {path}: {error.strerror or error}, expected a folder that can be written to")


def make_folder(path: Path) -> None:
    """Make a folder and those above it; its name is on the disk when this returns.

    Raises
    ------
    OSError
        It cannot be made.
    """
    missing = []
    while not path.exists():
        missing.append(path)
        path = path.parent
    if not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        sync_folder(each.parent)


def sync_folder(path: Path) -> None:
    """Put the names in a folder on the disk; a system that cannot open folders does so by itself."""
    with contextlib.suppress(PermissionError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file next to it and move that over it, so that no reader sees half of it; on the disk after.

    Raises
    ------
    OSError
        It cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    write(part)
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(path)
    sync_folder(path.parent)


@contextmanager
def locked(path: Path, refusal: str = "") -> Iterator[int]:
    """Hold a lock in the block, which ends with the last process that has its descriptor at the latest.

    Parameters
    ----------
    path : Path
        The lock's file, which is made and stays.
    refusal : str
        What is raised if another process holds it; empty to wait for that.

    Raises
    ------
    StoreError
        Another process holds it.
    OSError
        The file cannot be made.
    """
    with path.open("w") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (fcntl.LOCK_NB if refusal else 0))
            except BlockingIOError as error:
                raise StoreError(refusal) from error
        yield file.fileno()


@contextmanager
def adding_to(folder: Path) -> Iterator[None]:
    """Make a folder if it is missing, and hold it in the block: one process adds to it at a time.

    Raises
    ------
    StoreError
        It cannot be written, or another process holds it.
    """
    refusal = f"{folder} is being added to by another process, expected one at a time"
    with ExitStack() as stack:
        try:
            make_folder(folder)
            stack.enter_context(locked(folder / ".lock", refusal))
        except OSError as error:
            raise unwritable(folder, error) from error
        yield


def file_name(text: str) -> str:
    """A text from elsewhere as part of a file's name: it names no folder, whatever it is."""
    kept = "".join(each if each.isalnum() or each in "-_." else "_" for each in text)
    return kept.lstrip(".")[:100] or "_"
