"""A fleet's run as its client sees it: one task per host, whose files are fetched while it goes on.

The client keeps no state but files: what a fleet was asked for, and the runs as far as they were fetched. Workers keep
theirs on their disks. So each of client, scheduler and workers may be killed and come back.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from suite.fleet.sources import Sources, pack
from suite.fleet.tasks import describe, fetch, measure
from suite.results.files import StoreError, make_folder, replace_file
from suite.results.jsonl import parse_json
from suite.results.runs import Run, open_run

__all__ = ["Fleet", "carry_out", "connect", "open_fleet", "start_fleet"]

#: So often the task of a host is begun again after an error of its own.
_ATTEMPTS = 3

#: Seconds after which a scheduler is looked for again, and seconds that one look may take.
_AGAIN_S, _LOOK_S = 1.0, 5.0

#: The resource that a worker has one of: it measures one thing at a time.
_RESOURCES = {"BENCH": 1}


@dataclass
class Fleet:
    """What was asked for, and what came of it so far.

    Attributes
    ----------
    name : str
    folder : Path
        Its file and its sources.
    arguments : list of str
        Of ``convmark run``.
    environment : str
        ``"own"``, or ``"current"`` for the worker's interpreter.
    packages, kernels : str
        Digests of the sources.
    hosts : dict
        By name: ``runs`` (names), ``code`` (exit code of the last attempt, None before), ``said``, ``attempts``.
    """

    name: str
    folder: Path
    arguments: list[str]
    environment: str
    packages: str
    kernels: str
    hosts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def save(self) -> None:
        """Put it on the disk."""
        values = {name: value for name, value in vars(self).items() if name != "folder"}
        replace_file(self.folder / "fleet.json", lambda part: part.write_text(json.dumps(values, indent=1) + "\n"))

    @property
    def results(self) -> Path:
        """The folder of all results."""
        return self.folder.parent.parent

    def host(self, name: str) -> dict[str, Any]:
        """What is known of a host; an entry is made for a new one."""
        return self.hosts.setdefault(name, {"runs": [], "code": None, "said": "", "attempts": 0})

    def runs(self, warn: Callable[[str], None]) -> list[Run]:
        """Every run that was fetched, as far as it was."""
        names = [name for each in self.hosts.values() for name in each["runs"]]
        return [open_run(self.results, name, warn) for name in names]


def start_fleet(results: Path, arguments: list[str], revision: str, environment: str) -> Fleet:
    """A new fleet's folder with the sources that it measures."""
    sources: Sources = pack(revision)
    name = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(2)}"
    folder = results / "fleet" / name
    make_folder(folder)
    replace_file(folder / "sources.tar.gz", lambda part: part.write_bytes(sources.archive))
    fleet = Fleet(name, folder, arguments, environment, sources.packages, sources.kernels)
    fleet.save()
    return fleet


def open_fleet(results: Path, name: str) -> Fleet:
    """A fleet by its name, or the ``"latest"``.

    Raises
    ------
    StoreError
        There is none, or it cannot be read.
    """
    names = sorted(path.parent.name for path in results.glob("fleet/*/fleet.json"))
    if name == "latest" and names:
        name = names[-1]
    if name not in names:
        raise StoreError(f"no fleet {name!r} below {results / 'fleet'}, expected one of {', '.join(names[-3:]) or '-'}")
    folder = results / "fleet" / name
    try:
        return Fleet(folder=folder, **parse_json((folder / "fleet.json").read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise StoreError(f"{folder} has a damaged fleet.json, expected a fleet's own") from error


def connect(scheduler: str) -> Any:
    """A client of a scheduler, which does not wait for workers.

    Raises
    ------
    StoreError
        Dask is not installed, or the scheduler cannot be reached.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise StoreError("a fleet needs Dask, expected it installed: pip install 'convmark[fleet]'") from error
    try:
        make: Any = Client
        return make(scheduler, timeout=_LOOK_S, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise StoreError(f"no scheduler answers at {scheduler}, expected one: dask scheduler") from error


def carry_out(
    fleet: Fleet,
    scheduler: str,
    pattern: str,
    least: int,
    patience_s: float,
    poll_s: float,
    warn: Callable[[str], None],
) -> None:
    """Measure on every host until each has its rows, or none that lacks some has been there for ``patience_s``.

    Parameters
    ----------
    fleet : Fleet
    scheduler : str
        Its address.
    pattern : str
        Of names of hosts.
    least : int
        So many hosts are waited for.
    patience_s : float
        Seconds without a scheduler, or without a host that is due, before this ends.
    poll_s : float
        Seconds from one look for new rows to the next.
    warn : callable
        Called with a sentence for what is lost, refused and found again.
    """
    client, seen = None, time.monotonic()
    tasks: dict[str, tuple[Any, tuple[str, ...]]] = {}
    while True:
        try:
            if client is None:
                client, tasks = connect(scheduler), {}
            hosts = _hosts(client, pattern)
            _begin(fleet, client, hosts, tasks)
            _fetch(fleet, client, hosts, warn)
            _settle(fleet, client, hosts, tasks, warn)
            if tasks:
                seen = time.monotonic()
        except (StoreError, OSError, TimeoutError) as error:
            if client is not None:
                warn(f"the scheduler is lost ({type(error).__name__}); it is looked for again")
                client.close(timeout=0)
            elif time.monotonic() - seen > patience_s:
                raise
            client = None
        due = [name for name, each in fleet.hosts.items() if each["code"] is None]
        if client is not None and not due and len(fleet.hosts) >= least:
            client.close()
            return
        if time.monotonic() - seen > patience_s:
            if client is not None:
                client.close()
            missing = ", ".join(due) or f"{least - len(fleet.hosts)} more hosts"
            raise StoreError(f"fleet {fleet.name} waits for {missing}, expected workers there; go on with --resume")
        time.sleep(poll_s if client is not None else _AGAIN_S)


def _hosts(client: Any, pattern: str) -> dict[str, list[str]]:
    """Addresses of the workers by host."""
    found: dict[str, list[str]] = {}
    for address, told in client.run(describe, on_error="ignore").items():
        if fnmatch(told["host"], pattern):
            found.setdefault(told["host"], []).append(address)
    return found


def _begin(fleet: Fleet, client: Any, hosts: dict[str, list[str]], tasks: dict[str, Any]) -> None:
    """Hand out the tasks of hosts that have none, and of those whose workers are others now."""
    archive = (fleet.folder / "sources.tar.gz").read_bytes()
    for host, addresses in hosts.items():
        known = fleet.host(host)
        if known["code"] is not None:
            continue
        if host in tasks:
            future, pinned = tasks[host]
            if set(pinned) & set(addresses) or future.done():
                continue
            future.cancel(force=True)
        # By this key a client that comes back finds the task that goes on.
        key = f"convmark-{fleet.name}-{host}-{min(addresses)}-{known['attempts']}"
        future = client.submit(
            measure, fleet.name, archive, fleet.packages, fleet.environment, fleet.arguments, key=key,
            workers=addresses, allow_other_workers=False, resources=_RESOURCES, retries=0,
        )  # fmt: skip
        tasks[host] = (future, tuple(addresses))
    for host in [host for host in tasks if host not in hosts]:
        tasks.pop(host)[0].cancel(force=True)
    fleet.save()


def _fetch(fleet: Fleet, client: Any, hosts: dict[str, list[str]], warn: Callable[[str], None]) -> None:
    """Add what is new to the runs."""
    for host, addresses in hosts.items():
        known = fleet.host(host)
        if known["code"] is not None:
            continue
        runs = fleet.results / "runs"
        while True:
            paths = [path for name in known["runs"] for path in (runs / name).iterdir()]
            sizes = {f"{path.parent.name}/{path.name}": path.stat().st_size for path in paths}
            found = client.run(fetch, fleet.name, sizes, workers=addresses[:1], on_error="ignore").get(addresses[0], {})
            if not found:
                break
            for name in sorted(found, key=lambda name: (name.endswith("request.json"), name)):
                run, file = name.split("/")
                if file == "machine.json":
                    sources = parse_json(found[name])["machine"]["sources"]
                    if sources != fleet.kernels:
                        known |= {"code": 2, "said": f"{host} measured sources {sources}, expected {fleet.kernels}"}
                        warn(f"{known['said']}; its rows are refused: remove its cache folder and run again")
                        return
                if run not in known["runs"]:
                    known["runs"].append(run)
                make_folder(runs / run)
                with (runs / run / file).open("ab") as local:
                    local.write(found[name])
        fleet.save()


def _settle(
    fleet: Fleet, client: Any, hosts: dict[str, list[str]], tasks: dict[str, Any], warn: Callable[[str], None]
) -> None:
    """Take the results of tasks that are done."""
    for host in [host for host, (future, _) in tasks.items() if future.done()]:
        future, _ = tasks.pop(host)
        known = fleet.host(host)
        if known["code"] is not None:
            continue
        if future.status == "finished":
            told = future.result(timeout=_LOOK_S)
        else:
            told = {"code": 70, "said": f"the task was lost: {future.status}"}
        _fetch(fleet, client, {host: hosts[host]} if host in hosts else {}, warn)
        known["said"] = told["said"]
        # Another one could not do better if what is asked for is refused; rows that are wrong are complete.
        if told["code"] in (0, 1, 2) or known["attempts"] + 1 >= _ATTEMPTS:
            known["code"] = told["code"]
            if told["code"] not in (0, 1):
                warn(f"host {host} ended with {told['code']}: {told['said']}")
        else:
            known["attempts"] += 1
    fleet.save()
