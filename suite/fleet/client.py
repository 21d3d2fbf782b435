"""A fleet as its client sees it: one task per machine, whose files are fetched while it goes on.

The client keeps no state but files: what a fleet was asked for, and the runs as far as they were fetched. Workers keep
theirs on their disks. So each of client, scheduler and workers may be killed and come back.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from suite.fleet.dask import distributed_for
from suite.fleet.fleet import Fleet, FleetMachine
from suite.fleet.tasks import RESOURCE, carry_out, fetch, stop, tasks_digest
from suite.results.files import StoreError, make_folder, replace_file, unwritable
from suite.results.jsonl import parse_json

__all__ = ["Attendance", "attend", "machines_of", "stop_all"]

#: So often the task of a machine is begun again after an error of its own.
_ATTEMPTS = 3

#: Seconds after which a scheduler is looked for again, and seconds that one look may take.
_AGAIN_S, _LOOK_S = 1.0, 5.0


class _SchedulerLost(Exception):
    """The scheduler does not answer."""


def attend(
    fleet: Fleet,
    scheduler: str,
    pattern: str,
    least: int,
    patience_s: float,
    poll_s: float,
    warn: Callable[[str], None],
    told: Callable[[str], None] = lambda sentence: None,
) -> None:
    """Have every machine carry out its command, until each is through or nothing has happened for ``patience_s``.

    Parameters
    ----------
    fleet : Fleet
    scheduler : str
        Its address.
    pattern : str
        Of names of machines.
    least : int
        So many machines are waited for.
    patience_s : float
        Seconds without a scheduler, or without a machine that is due, before this ends.
    poll_s : float
        Seconds from one look for new rows to the next.
    warn : callable
        Called with a sentence for what is lost, refused and found again.
    told : callable
        Called with a sentence for each machine that got further.

    Raises
    ------
    StoreError
        Machines or the scheduler are missing, or the fleet was stopped.
    """
    attendance = Attendance(fleet, scheduler, pattern, least, warn, told)
    seen = time.monotonic()
    try:
        while True:
            is_lost = False
            try:
                attendance.look()
                if attendance.tasks:
                    seen = time.monotonic()
            except _SchedulerLost:
                is_lost = True
            if attendance.is_done:
                return
            if time.monotonic() - seen > patience_s:
                missing = ", ".join(fleet.due) or f"{least - len(fleet.machines)} more machines"
                raise StoreError(
                    f"no scheduler answers at {scheduler}, expected one: dask scheduler"
                    if is_lost
                    else f"fleet {fleet.name} waits for {missing}, expected workers there"
                )
            time.sleep(_AGAIN_S if is_lost else poll_s)
    finally:
        attendance.close()


def stop_all(fleet: Fleet, scheduler: str) -> list[str]:
    """End what is carried out for a fleet on every machine that is there; their names.

    Raises
    ------
    StoreError
        The scheduler cannot be reached.
    """
    try:
        client = _connect(scheduler)
        try:
            found = machines_of(client, "*", lambda sentence: None)
            client.run(stop, fleet.name, [*found], workers=[each for own, _ in found.values() for each in own])
        finally:
            client.close()
    except (_SchedulerLost, OSError) as error:
        raise StoreError(f"no scheduler answers at {scheduler}, expected one: dask scheduler") from error
    return sorted(found)


class Attendance:
    """A client of a scheduler as long as that is there, and the tasks that it has handed out.

    Attributes
    ----------
    tasks : dict
        By machine: the future, and the addresses of the workers that may carry it out.
    """

    def __init__(
        self, fleet: Fleet, scheduler: str, pattern: str, least: int, warn: Callable[[str], None],
        told: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.tasks: dict[str, tuple[Any, tuple[str, ...]]] = {}
        self._fleet, self._scheduler, self._pattern, self._least = fleet, scheduler, pattern, least
        self._warn, self._told = warn, told
        self._archive = fleet.archive
        self._client: Any = None
        self._said: set[str] = set()
        self._shown: dict[str, str] = {}

    @property
    def is_done(self) -> bool:
        """Whether there are as many machines as were asked for, and each is through."""
        return len(self._fleet.machines) >= self._least and not self._fleet.due

    def look(self) -> None:
        """Hand out tasks, fetch what is new, take results.

        Raises
        ------
        _SchedulerLost
            It is told once, and looked for again by the next look.
        """
        was_there = self._client is not None
        try:
            if self._client is None:
                self._client = _connect(self._scheduler)
            machines = machines_of(self._client, self._pattern, self._once)
            self._admit({name: platform for name, (_, platform) in machines.items()})
            there = {name: addresses for name, (addresses, _) in machines.items() if name in self._fleet.machines}
            self._hand_out(there)
            for name, addresses in there.items():
                if self._fleet.machines[name].code is None:
                    self._fetch(name, addresses)
                    self._settle(name)
        except StoreError:
            raise
        except Exception as error:
            # Dask raises one of many kinds when its client has lost its scheduler.
            is_here = self._client is not None and self._client.status == "running"
            if is_here and not isinstance(error, OSError | TimeoutError | CancelledError):
                raise
            if was_there:
                self._warn(f"the scheduler at {self._scheduler} is lost; it is looked for again")
            else:
                self._once(f"no scheduler answers at {self._scheduler}; it is looked for again")
            self.close()
            raise _SchedulerLost from error
        finally:
            self._fleet.save()
            self._show()

    def close(self) -> None:
        """Let go of the scheduler; what it has goes on."""
        client, self._client, self.tasks = self._client, None, {}
        if client is not None:
            _close(client)

    def _once(self, sentence: str) -> None:
        if sentence not in self._said:
            self._said.add(sentence)
            self._warn(sentence)

    def _admit(self, platforms: dict[str, str]) -> None:
        """Make entries for new machines; those that share layers are counted once, when there are enough."""
        known = self._fleet.machines
        new = {name: platform for name, platform in sorted(platforms.items()) if name not in known}
        if not self._fleet.split:
            known.update((name, FleetMachine(platform)) for name, platform in new.items())
        elif known:
            for name in new:
                self._once(f"machine {name} comes after the layers were divided; it is left out")
        elif len(new) >= self._least:
            for name, platform in new.items():
                alike = [each for each in new if new[each] == platform]
                known[name] = FleetMachine(platform, (alike.index(name) + 1, len(alike)))

    def _hand_out(self, there: dict[str, list[str]]) -> None:
        """Hand out the tasks of machines that have none, and of those whose workers are others now."""
        fleet = self._fleet
        for name in [name for name in self.tasks if name not in there]:
            self.tasks.pop(name)[0].cancel(force=True)
        for name, addresses in there.items():
            machine = fleet.machines[name]
            if machine.code is not None:
                continue
            if name in self.tasks:
                future, pinned = self.tasks[name]
                # What the scheduler lost with its worker, or with itself, is no fault of the machine.
                if future.status != "cancelled" and (future.done() or set(pinned) & set(addresses)):
                    continue
                future.cancel(force=True)
            part = [] if machine.part[1] == 1 else ["--part", f"{machine.part[0]}/{machine.part[1]}"]
            # By this key a client that comes back finds the task that goes on.
            key = f"convmark-{fleet.name}-{name}-{min(addresses)}-{machine.attempts}"
            future = self._client.submit(
                carry_out, fleet.name, name, self._archive, fleet.packages, fleet.environment, fleet.command,
                [*fleet.arguments, *part], key=key, workers=addresses, allow_other_workers=False, resources=RESOURCE,
                retries=0,
            )  # fmt: skip
            self.tasks[name] = (future, tuple(addresses))

    def _sizes(self, name: str) -> dict[str, int]:
        """Of the files that were fetched of a machine's runs."""
        runs = self._fleet.results / "runs"
        paths = [path for run in self._fleet.machines[name].runs for path in (runs / run).iterdir()]
        return {f"{path.parent.name}/{path.name}": path.stat().st_size for path in paths}

    def _fetch(self, name: str, addresses: list[str]) -> None:
        """Add what is new to the runs."""
        for address in addresses:
            while True:
                arguments = (self._fleet.name, name, self._sizes(name))
                found = self._client.run(fetch, *arguments, workers=[address], on_error="return").get(address, {})
                if isinstance(found, Exception):
                    # One that the scheduler cannot reach is about to be lost.
                    if not isinstance(found, OSError | TimeoutError):
                        raise found
                    break
                if not found or not self.keep(name, found):
                    break

    def keep(self, name: str, found: dict[str, bytes]) -> bool:
        """Store parts of files of a machine's runs; whether its sources are the right ones."""
        machine, runs = self._fleet.machines[name], self._fleet.results / "runs"
        for each in found:
            sources = parse_json(found[each])["machine"]["sources"] if each.endswith("/machine.json") else None
            if sources not in (None, self._fleet.kernels):
                machine.code, machine.said = 2, f"{name} measured sources {sources}, expected {self._fleet.kernels}"
                self._warn(f"{machine.said}; its rows are refused: remove its cache folder and run again")
                return False
        new = {each.split("/")[0] for each in found} - {*machine.runs}
        machine.runs += sorted(new)
        # Files that are there are of a client that was killed before it noted the run: the next look goes on with them.
        if not any((runs / run).exists() for run in new):
            # The file that makes a folder a run comes last.
            for each in sorted(found, key=lambda each: each.endswith("/request.json")):
                _store(runs / each, found[each])
        return True

    def _settle(self, name: str) -> None:
        """Take the result of a task that is done, once all that it made is here."""
        if name not in self.tasks or self.tasks[name][0].status not in ("finished", "error"):
            return
        future, machine = self.tasks[name][0], self._fleet.machines[name]
        if future.status == "finished":
            outcome = future.result(timeout=_LOOK_S)
        else:
            said = f"its task failed: {future.exception()!r}"
            outcome = {"code": 70, "said": said, "sizes": {}, "tuned": None, "stopped": False}
        sizes = self._sizes(name)
        if machine.code is not None or any(sizes.get(each, 0) < size for each, size in outcome["sizes"].items()):
            return
        del self.tasks[name]
        if outcome["stopped"]:
            raise StoreError(
                f"fleet {self._fleet.name} was stopped on {name}, expected to be left alone until it is done"
            )
        if outcome["tuned"] is not None:
            self._fleet.keep_tuned(name, outcome["tuned"])
        machine.said = outcome["said"]
        # Another one could not do better if what is asked for is refused; rows that are wrong are complete.
        if outcome["code"] in (0, 1, 2) or machine.attempts + 1 >= _ATTEMPTS:
            machine.code = outcome["code"]
            if outcome["code"] not in (0, 1):
                self._warn(f"machine {name} ended with {outcome['code']}: {outcome['said']}")
        else:
            machine.attempts += 1

    def _show(self) -> None:
        """Tell what has changed since it was told last."""
        fleet = self._fleet
        sentences = {}
        if len(fleet.machines) < self._least:
            sentences[""] = f"waiting for {self._least - len(fleet.machines)} of {self._least} machines"
        for name, machine in fleet.machines.items():
            run = fleet.run(name, lambda sentence: None)
            count = f", {run.expected - run.missing} of {run.expected} rows" if run else ""
            sentences[name] = f"{name}: {machine.state}{count}"
        for name, sentence in sentences.items():
            if self._shown.get(name) != sentence:
                self._told(sentence)
        self._shown = sentences


def _store(path: Path, part: bytes) -> None:
    """Add to a file, or make it if it is JSON, which is written whole; on the disk after."""
    try:
        make_folder(path.parent)
        if path.suffix == ".json":
            replace_file(path, lambda new: new.write_bytes(part))
            return
        with path.open("ab") as file:
            file.write(part)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise unwritable(path, error) from error


def _connect(scheduler: str) -> Any:
    """A client of a scheduler, which does not wait for workers."""
    distributed = distributed_for(scheduler)
    try:
        return distributed.Client(scheduler, timeout=_LOOK_S, set_as_default=False)
    except (OSError, TimeoutError) as error:
        raise _SchedulerLost from error


def _close(client: Any) -> None:
    """End a client, of a scheduler that may be gone."""
    with contextlib.suppress(OSError, TimeoutError):
        client.close(timeout=_LOOK_S)


def machines_of(client: Any, pattern: str, refuse: Callable[[str], None]) -> dict[str, tuple[list[str], str]]:
    """Addresses of workers, and the platform, of each machine that is there."""
    known = client.scheduler_info(n_workers=-1)["workers"]
    # What it returns is old if the scheduler did not answer.
    if client.status != "running":
        raise _SchedulerLost
    found: dict[str, tuple[list[str], str]] = {}
    ours = tasks_digest()
    for address, worker in known.items():
        stated = worker.get("convmark")
        if stated is None or not fnmatch(stated["name"], pattern):
            continue
        if stated["tasks"] != ours:
            refuse(
                f"machine {stated['name']} serves with another version of suite.fleet, {stated['tasks']}, expected "
                f"{ours}; install the same convmark there"
            )
            continue
        found.setdefault(stated["name"], ([], stated["platform"]))[0].append(address)
    return found
