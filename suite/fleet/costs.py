"""What machines of a fleet have tuned: into this user's database, and as rows that the cost model can be fitted to."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from kernels import tuned
from suite.fleet.fleet import Fleet
from suite.results.files import file_name, make_folder, unwritable

__all__ = ["collect"]

_COLUMNS = ("problem", "algorithm", "threads", "seconds", "rel_error")


def collect(fleet: Fleet) -> list[dict[str, Any]]:
    """Add what was measured to the database, and write ``costs/KIND/MACHINE`` as ``results/costs/KIND`` has its files.

    Parameters
    ----------
    fleet : Fleet
        Of the command ``tune``.

    Returns
    -------
    list of dict
        Of each machine that is through: ``machine``, ``kind`` of CPU, ``times`` that were added, ``folder``.

    Raises
    ------
    TunedError, StoreError
        The database or the folder cannot be written.
    """
    lines = []
    for name in fleet.machines:
        found = fleet.tuned(name)
        if found is None:
            continue
        # Added once, however often a fleet is collected.
        if name not in fleet.collected:
            tuned.add(found)
            fleet.collected.append(name)
            fleet.save()
        folder = fleet.folder / "costs" / found["kind"] / file_name(name)
        try:
            make_folder(folder)
            _write(folder, found)
        except OSError as error:
            raise unwritable(folder, error) from error
        lines.append({"machine": name, "kind": found["kind"], "times": len(found["times"]), "folder": str(folder)})
    return lines


def _write(folder: Path, found: dict[str, Any]) -> None:
    # Those of one thread that were measured last: `export` has them in order.
    latest = {
        (problem, algorithm, 1): seconds
        for _, _, _, threads, problem, _, algorithm, seconds, _ in found["times"]
        if threads == 1
    }
    with (folder / "layers.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows((*key, f"{seconds:.4g}", "") for key, seconds in latest.items())
    if found["limits"]:
        cpu, _, fma_per_s, memory_bytes_per_s = found["limits"][-1]
        limits = {"cpu": cpu, "fma_per_s": fma_per_s, "memory_bytes_per_s": memory_bytes_per_s}
        (folder / "limits.json").write_text(json.dumps(limits, indent=1) + "\n")
