"""Runs below a folder of results: begun, listed, and read again to be reported or resumed.

A run is a folder: ``machine.json`` (stamp and limits), ``request.json`` (what was asked for), and
what `suite.run_folder` keeps there.
"""

from __future__ import annotations

import json
import secrets
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from suite.environment import Limits, Machine
from suite.lines import replace_file
from suite.run_folder import ROWS, Run, StoreError, read_rows, unwritable
from suite.selection import Request

__all__ = ["open_run", "require_writable", "run_names", "start_run"]


def require_writable(results: Path) -> None:
    """Find out before anything is measured whether runs can be stored below ``results``.

    Raises
    ------
    StoreError
        They cannot.
    """
    folder = results / "runs"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise unwritable(folder, error) from error


def start_run(results: Path, machine: Machine, limits: Limits, request: Request, expected: int) -> Run:
    """Make a new run's folder below ``results/runs``; ``expected`` is how many tasks it has.

    Raises
    ------
    StoreError
        The folder cannot be written.
    """
    name = "-".join(
        (time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()), machine.commit[:8] or "nogit", secrets.token_hex(2))
    )
    folder = results / "runs" / name
    try:
        folder.mkdir(parents=True)
        described = {"stamp": machine.stamp, "machine": machine.as_dict(), "limits": limits.as_dict()}
        _write_json(folder / "machine.json", described)
        _write_json(folder / "request.json", {"tasks": expected, "asked": request.as_dict()})
        (folder / ROWS).touch()
    except OSError as error:
        raise unwritable(folder, error) from error
    return Run(folder, machine, limits, request, expected, [])


def run_names(results: Path) -> list[str]:
    """Names of the runs below ``results``, oldest first."""
    return sorted(path.parent.name for path in results.glob("runs/*/request.json"))


def open_run(results: Path, name: str, warn: Callable[[str], None]) -> Run:
    """Read a run, to report or to resume it.

    Parameters
    ----------
    results : Path
    name : str
        Its name, ``"latest"``, or the path of its folder.
    warn : callable
        Told, in a sentence, of each line that is not a whole row.

    Raises
    ------
    StoreError
        There is no such run, or it cannot be read.
    """
    names = run_names(results)
    if name == "latest" and names:
        folder = results / "runs" / names[-1]
    else:
        folder = Path(name) if (Path(name) / "request.json").exists() else results / "runs" / name
    if not (folder / "request.json").exists():
        known = f"one of {', '.join(names[-3:])} or 'latest'" if names else "a run there, and there is none yet"
        raise StoreError(f"no run {name!r} below {results / 'runs'}, expected {known}")
    try:
        described = json.loads((folder / "machine.json").read_text(encoding="utf-8"))
        machine, limits = Machine.from_dict(described["machine"]), Limits.from_dict(described["limits"])
        wanted = json.loads((folder / "request.json").read_text(encoding="utf-8"))
        request, expected = Request.from_dict(wanted["asked"]), int(wanted["tasks"])
        rows = read_rows(folder / ROWS, warn)
    except OSError as error:
        raise StoreError(f"cannot read {error.filename}: {error.strerror}, expected a run's file") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreError(f"{folder} has a damaged machine.json or request.json, expected a run's own") from error
    return Run(folder, machine, limits, request, expected, rows)


def _write_json(path: Path, value: object) -> None:
    replace_file(path, lambda part: part.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8"))
