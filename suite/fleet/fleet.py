"""A fleet's run as files: what was asked for, and what came of it so far."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from suite.fleet.sources import Sources
from suite.results.files import StoreError, file_name, make_folder, replace_file
from suite.results.jsonl import parse_json
from suite.results.runs import Run, open_run

__all__ = ["Fleet", "FleetMachine", "open_fleet", "start_fleet"]

_FILE, _SOURCES = "fleet.json", "sources.tar.gz"


@dataclass
class FleetMachine:
    """A machine of a fleet.

    Attributes
    ----------
    platform : str
        What its times depend on, as its worker states it.
    part : tuple of int
        The part of the layers that it measures, and of how many: ``(1, 1)`` is all of them.
    runs : list of str
        Names of its runs, as far as they were fetched; the last one counts.
    code : int or None
        Exit code of the last attempt; None before.
    said : str
        That attempt's last words.
    attempts : int
        How often it failed before.
    """

    platform: str
    part: tuple[int, int] = (1, 1)
    runs: list[str] = field(default_factory=list)
    code: int | None = None
    said: str = ""
    attempts: int = 0

    @property
    def state(self) -> str:
        """In a word or two."""
        return "under way" if self.code is None else "done" if self.code in (0, 1) else "failed"


@dataclass
class Fleet:
    """What was asked for, and what came of it so far.

    Attributes
    ----------
    name : str
    folder : Path
        Its file and its sources.
    command : str
        Of convmark, that each machine carries out: ``"run"`` or ``"tune"``.
    arguments : list of str
        Of that command.
    environment : str
        One of `suite.fleet.tasks.ENVIRONMENTS`.
    packages, kernels : str
        Digests of the sources.
    split : bool
        Whether machines of one platform share the layers.
    machines : dict of str to FleetMachine
        By name.
    merged : dict of str to str
        Name of the run that the parts of a platform's machines were merged into, by platform.
    collected : list of str
        Machines whose tuned database was added to this user's.
    """

    name: str
    folder: Path
    command: str
    arguments: list[str]
    environment: str
    packages: str
    kernels: str
    split: bool = False
    machines: dict[str, FleetMachine] = field(default_factory=dict)
    merged: dict[str, str] = field(default_factory=dict)
    collected: list[str] = field(default_factory=list)

    def save(self) -> None:
        """Put it on the disk."""
        values = {name: value for name, value in asdict(self).items() if name != "folder"}
        replace_file(self.folder / _FILE, lambda part: part.write_text(json.dumps(values, indent=1) + "\n"))

    @property
    def results(self) -> Path:
        """The folder of all results."""
        return self.folder.parent.parent

    @property
    def archive(self) -> bytes:
        """The sources that it measures."""
        return (self.folder / _SOURCES).read_bytes()

    @property
    def due(self) -> list[str]:
        """Names of the machines that are not through."""
        return [name for name, machine in self.machines.items() if machine.code is None]

    def keep_tuned(self, name: str, tuned: dict[str, Any]) -> None:
        """Store what a machine's ``tune`` has measured, as `suite.fleet.tasks.carry_out` returns it."""
        replace_file(self._tuned(name), lambda part: part.write_text(json.dumps(tuned)))

    def tuned(self, name: str) -> dict[str, Any] | None:
        """What a machine's ``tune`` has measured; None before it is through."""
        path = self._tuned(name)
        found: dict[str, Any] | None = parse_json(path.read_bytes()) if path.exists() else None
        return found

    def _tuned(self, name: str) -> Path:
        return self.folder / f"tuned-{file_name(name)}.json"

    def run(self, name: str, warn: Callable[[str], None]) -> Run | None:
        """A machine's run as far as it was fetched; None before anything was."""
        known = [each for each in self.machines[name].runs if (self.results / "runs" / each / "request.json").exists()]
        return open_run(self.results, known[-1], warn) if known else None


def start_fleet(
    results: Path, command: str, arguments: list[str], sources: Sources, environment: str, split: bool = False
) -> Fleet:
    """A new fleet's folder with the sources that it measures."""
    name = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(2)}"
    folder = results / "fleet" / name
    make_folder(folder)
    replace_file(folder / _SOURCES, lambda part: part.write_bytes(sources.archive))
    fleet = Fleet(name, folder, command, arguments, environment, sources.packages, sources.kernels, split)
    fleet.save()
    return fleet


def open_fleet(results: Path, name: str) -> Fleet:
    """A fleet by its name, or the ``"latest"``.

    Raises
    ------
    StoreError
        There is none, or it cannot be read.
    """
    names = sorted(path.parent.name for path in results.glob(f"fleet/*/{_FILE}"))
    if name == "latest" and names:
        name = names[-1]
    if name not in names:
        raise StoreError(f"no fleet {name!r} below {results / 'fleet'}, expected one of {', '.join(names[-3:]) or '-'}")
    folder = results / "fleet" / name
    try:
        values = parse_json((folder / _FILE).read_bytes())
        machines = {each: _machine(**known) for each, known in values.pop("machines").items()}
        return Fleet(folder=folder, machines=machines, **values)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreError(f"{folder} has a damaged {_FILE}, expected a fleet's own") from error


def _machine(part: list[int], **values: Any) -> FleetMachine:
    return FleetMachine(part=(part[0], part[1]), **values)
