"""Files of one JSON object per line, appended to and never rewritten."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from suite.results.files import StoreError, sync_folder

__all__ = ["append_line", "parse_json", "read_lines"]


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text.

    Raises
    ------
    ValueError
        It is none, or so deeply nested that it cannot be read.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def append_line(path: Path, value: object) -> None:
    """Add one line; it is on the disk when this returns.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    is_new = not path.exists()
    with path.open("ab+") as file:
        line = json.dumps(value).encode() + b"\n"
        # After a line that was cut off, start a new one rather than glue this one to it.
        if file.tell() and not _ends_with_newline(file):
            line = b"\n" + line
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        sync_folder(path.parent)


def read_lines(path: Path, warn: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """Every line that is a whole object; a file that is not there has none.

    Parameters
    ----------
    path : Path
    warn : callable
        Called with a sentence for each line that is not.

    Raises
    ------
    StoreError
        It is no file that can be read.
    """
    if not path.exists():
        return
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}, expected a file of JSON objects") from error
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line:
            continue
        try:
            value = parse_json(line)
        except ValueError:
            value = None
        if isinstance(value, dict):
            yield value
        else:
            warn(f"{path} line {number} is not a whole row and is left out, expected one JSON object a line")


def _ends_with_newline(file: BinaryIO) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"
