"""Files that are replaced whole, and one sentence for those that cannot be written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

__all__ = ["StoreError", "replace_file", "unwritable"]


class StoreError(Exception):
    """A run cannot be read or written."""


def unwritable(path: Path, error: OSError) -> StoreError:
    """One sentence for a file or folder that cannot be written."""
    return StoreError(f"cannot write {path}: {error.strerror or error}, expected a folder that can be written to")


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file next to it and move that over it, so that no reader sees half of it."""
    part = path.with_name(f"{path.name}.part")
    write(part)
    part.replace(path)
