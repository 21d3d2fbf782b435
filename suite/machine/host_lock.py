"""The lock of a host: one command measures on it at a time, whoever's it is."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from suite.console import warn
from suite.results.files import StoreError, file_name

try:
    import fcntl
except ImportError:  # Windows, where nothing is locked
    fcntl = None  # type: ignore[assignment]

__all__ = ["host_lock", "host_name", "measuring_alone"]

#: The same for all users, whatever their TMPDIR says.
_FOLDER = Path("/tmp")


def host_name() -> str:
    """The name of this host; CONVMARK_HOST replaces the system's, as containers of one host have names of their own."""
    return os.environ.get("CONVMARK_HOST") or platform.node() or "localhost"


def host_lock() -> Path:
    """The file that is locked while this host is measured on."""
    return _FOLDER / f"convmark-{file_name(host_name())}.lock"


@contextmanager
def measuring_alone(*, wait: bool = True) -> Iterator[None]:
    """No other command measures on this host in the block; the lock ends with the process at the latest.

    Parameters
    ----------
    wait : bool
        Whether to wait for a command that measures already.

    Raises
    ------
    StoreError
        Another command measures, and it is not waited for.
    """
    if fcntl is None:
        yield
        return
    path = host_lock()
    try:
        descriptor = _opened(path)
    except OSError as error:
        warn(f"{path} cannot be opened: {error.strerror}; other commands that measure on this host are not waited for")
        yield
        return
    try:
        _acquire(descriptor, path, wait)
        _write(descriptor, {"pid": os.getpid(), "since": time.time(), "command": shlex.join(sys.argv)})
        yield
        _write(descriptor, {})
    finally:
        os.close(descriptor)


def _opened(path: Path) -> int:
    """Opened without making it if it is there: in a sticky folder Linux refuses that for a file of another user."""
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    with contextlib.suppress(FileNotFoundError):
        return os.open(path, flags)
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:  # made by another command meanwhile
        return os.open(path, flags)
    # For all users, whatever this one's umask is.
    os.fchmod(descriptor, 0o666)
    return descriptor


def _acquire(descriptor: int, path: Path, wait: bool) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = _holder(descriptor, path)
        if not wait:
            raise StoreError(f"this host is measured on by {holder}, expected no other with --no-wait") from None
        warn(f"waiting for {holder}, which measures on this host")
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _write(descriptor: int, holder: dict[str, object]) -> None:
    """Who holds the lock, for those who ask."""
    text = json.dumps(holder).encode()
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text, 0)


def _holder(descriptor: int, path: Path) -> str:
    try:
        held = json.loads(os.pread(descriptor, 65536, 0))
        since = time.strftime("%H:%M", time.localtime(float(held["since"])))
        return f"process {int(held['pid'])} since {since} ({str(held['command'])[:200]})"
    except (ValueError, TypeError, KeyError):
        return f"another process, which holds {path}"
