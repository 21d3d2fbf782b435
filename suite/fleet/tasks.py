"""What a worker of a fleet is asked for; sent by name, so that worker and client must have the same of it."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kernels import tuned
from suite.digests import sources_digest
from suite.fleet.sources import unpack
from suite.gate.revisions import RevisionError, build_environment, cache_folder
from suite.machine.environment import this_machine
from suite.machine.host_lock import host_name
from suite.machine.probes import cpu_class
from suite.results.files import StoreError, file_name, locked, make_folder

__all__ = ["ENVIRONMENTS", "RESOURCE", "carry_out", "fetch", "statement", "stop", "tasks_digest"]

#: The resource that a worker has one of, and a task takes: it does one thing at a time.
RESOURCE = {"BENCH": 1}

#: What a task's interpreter has by the name of its environment; nothing is the worker's own.
ENVIRONMENTS = {"own": ("suite",), "peers": ("suite", "peers"), "current": ()}

#: Files of a run that are only ever appended to, and those that are written whole before its first row.
_GROWING, _WHOLE = ("measurements.jsonl", "rows.jsonl"), ("machine.json", "request.json")

#: A part holds at most so many bytes: it passes through the loop that keeps the worker in touch.
_MOST_BYTES = 8 * 2**20

_POLL_S = 0.5


@functools.cache
def tasks_digest() -> str:
    """Digest of this package: a worker of another one does not understand what it is sent."""
    return sources_digest(Path(__file__).parent)


def statement(name: str) -> dict[str, str]:
    """What a worker says of itself: its machine's name in fleets, what times depend on there, and `tasks_digest`."""
    return {"name": name or host_name(), "platform": this_machine().platform, "tasks": tasks_digest()}


def _work_folder(fleet: str, machine: str) -> Path:
    return cache_folder() / "fleet" / "runs" / f"{fleet}-{file_name(machine)}"


def _database(work: Path) -> Path:
    return work / "tuned.sqlite"


def carry_out(
    fleet: str, machine: str, archive: bytes, packages: str, environment: str, command: str, arguments: list[str]
) -> dict[str, Any]:
    """Carry out a machine's command of a fleet, or go on with it, as a process of its own.

    Returns
    -------
    dict
        ``code`` and ``said``, its exit code and last words; ``sizes`` of the files of its runs in whole lines;
        ``tuned``, what ``tune`` has measured, and on which kind of CPU; ``stopped``, whether somebody asked for its
        end.
    """
    sources, work = cache_folder() / "fleet" / "sources" / packages, _work_folder(fleet, machine)
    try:
        make_folder(sources.parent)
        make_folder(work)
        with locked(sources.with_name(f"{packages}.lock")):
            unpack(archive, packages, sources)
        extras = ENVIRONMENTS[environment]
        python = build_environment(sources, extras) if extras else sys.executable
        # What a worker that was lost has begun may still be about to end: it is waited for.
        with locked(work / "lock") as held:
            (work / "stop").unlink(missing_ok=True)
            code, said = _run(python, sources, work, held, command, arguments)
            stopped = (work / "stop").exists()
    except (StoreError, RevisionError, OSError) as error:
        return {"code": 2, "said": str(error), "sizes": {}, "tuned": None, "stopped": False}
    sizes = {name: path.read_bytes().rfind(b"\n") + 1 for name, path, _ in _files(work)}
    measured = {"kind": cpu_class(), **tuned.export(_database(work))} if command == "tune" else None
    return {"code": code, "said": said, "sizes": sizes, "tuned": measured, "stopped": stopped}


def _run(python: str, sources: Path, work: Path, held: int, command: str, arguments: list[str]) -> tuple[int, str]:
    """Exit code and last words of the command's process, which ends with this one and with what it works for."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("DASK_")}
    variables["PYTHONPATH"] = str(sources)
    if command == "run":
        begun = any((work / "results" / "runs").glob("*/request.json"))
        selection = ["--resume", "latest"] if begun else arguments
        arguments = [*selection, "--results", str(work / "results")]
    else:
        # One that was begun goes on with the problems that its database lacks.
        variables["CONVMARK_TUNED"] = str(_database(work))
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [python, "-m", "suite.fleet.child", command, *arguments],
            cwd=work, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said,
            # It holds the lock as long as it lives, which may be longer than this process does.
            pass_fds=(held,), env=variables,
        )  # fmt: skip
        assert process.stdin is not None
        with process.stdin:
            while process.poll() is None:
                if not _in_touch() or (work / "stop").exists():
                    # Closing standard input ends the process; its rows are on the disk.
                    break
                time.sleep(_POLL_S)
        code = process.wait()
        said.seek(0)
        words = said.read().decode(errors="replace").strip().splitlines()
    return code, words[-1] if words else ""


def _in_touch() -> bool:
    """Whether this thread's worker is still at work: a worker that lost its scheduler is closed around its tasks."""
    from distributed import get_worker

    return str(get_worker().status.name) in ("running", "paused")


def stop(fleet: str, machines: list[str]) -> None:
    """End what is carried out for a fleet here; its rows stay, and it can be gone on with."""
    for machine in machines:
        if (work := _work_folder(fleet, machine)).exists():
            (work / "stop").touch()


def fetch(fleet: str, machine: str, sizes: dict[str, int]) -> dict[str, bytes]:
    """What a machine's runs of a fleet have beyond the sizes that are known, by ``RUN/FILE``."""
    found = {}
    for name, path, size in _files(_work_folder(fleet, machine)):
        is_whole, known = path.name in _WHOLE, sizes.get(name, 0)
        if size <= known:
            continue
        with path.open("rb") as file:
            file.seek(0 if is_whole else known)
            part = file.read(_MOST_BYTES)
        # Whole lines: another part begins with a whole one.
        if part := part if is_whole else part[: part.rfind(b"\n") + 1]:
            found[name] = part
    return found


def _files(work: Path) -> Iterator[tuple[str, Path, int]]:
    """Name, path and size of each file that makes up a run."""
    for path in sorted((work / "results" / "runs").glob("*/*")):
        if path.name in (*_GROWING, *_WHOLE) and (path.parent / "request.json").exists():
            yield f"{path.parent.name}/{path.name}", path, path.stat().st_size
