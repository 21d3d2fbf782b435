"""Files of one JSON object per line, appended to and never rewritten."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

__all__ = ["append_line", "read_lines"]


def append_line(path: Path, value: object) -> None:
    """Add one line; it is on the disk when this returns.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    with path.open("ab+") as file:
        line = json.dumps(value).encode() + b"\n"
        # After a line that was cut off, start a new one rather than glue this one to it.
        if file.tell() and not _ends_with_newline(file):
            line = b"\n" + line
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def read_lines(path: Path, warn: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """Every line that is a whole object; a file that is not there has none.

    Parameters
    ----------
    path : Path
    warn : callable
        Told, in a sentence, of each line that is not.
    """
    if not path.exists():
        return
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        if not line:
            continue
        try:
            value = json.loads(line)
        except ValueError:
            value = None
        if isinstance(value, dict):
            yield value
        else:
            warn(f"{path} line {number} is not a whole row and is left out, expected one JSON object a line")


def _ends_with_newline(file: BinaryIO) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"
