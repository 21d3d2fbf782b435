"""Short digests of texts and of source folders."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

__all__ = ["digest", "sources_digest"]


def digest(parts: Iterable[str | bytes], length: int = 20) -> str:
    """The first digits of the SHA-256 of parts one after the other."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part.encode() if isinstance(part, str) else part)
    return found.hexdigest()[:length]


def sources_digest(folder: Path) -> str:
    """Digest of the names and contents of all Python files below a folder."""
    paths = sorted(folder.rglob("*.py"))
    return digest(part for path in paths for part in (path.relative_to(folder).as_posix(), path.read_bytes()))
