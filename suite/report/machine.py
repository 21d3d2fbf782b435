"""What a machine is, can do, and what its control of the gate found: the facts that a report begins with."""

from __future__ import annotations

import json
from pathlib import Path

from suite.format import circumstances, number, size
from suite.machine.environment import Limits, Machine
from suite.report.table import Table, table_of

__all__ = ["control_facts", "machine_facts", "machine_table"]


def machine_facts(machine: Machine, limits: Limits | None) -> list[tuple[str, str]]:
    """What a machine is and can do, as pairs of name and value."""
    facts = [
        ("CPU", machine.cpu),
        ("cores", f"{machine.cores} (Numba may use {machine.threads} threads)"),
        ("caches", ", ".join(f"{name} {size(nbytes)}" for name, nbytes in machine.caches.items()) or "unknown"),
        ("features", " ".join(machine.features)),
        ("vectors", f"{machine.vector_bytes} bytes"),
        ("system", machine.os),
        (
            "versions",
            f"Python {machine.python}, NumPy {machine.numpy}, Numba {machine.numba}, "
            f"llvmlite {machine.llvmlite}, pandas {machine.pandas}",
        ),
        ("commit", (machine.commit or "none") + (" with changes" if machine.dirty else "")),
        ("stamp", machine.stamp),
    ]
    for dtype, rates in (limits.fma_gflops if limits else {}).items():
        facts += [
            (f"FMA limit {dtype}, {circumstances(n, 'warm')}", f"{number(rate)} GFLOP/s") for n, rate in rates.items()
        ]
    for n, rate in (limits.bandwidth_gb_s if limits else {}).items():
        facts.append((f"memory bandwidth, {circumstances(n, 'warm')}", f"{number(rate)} GB/s"))
    return facts


def machine_table(machine: Machine, limits: Limits | None, others: list[tuple[str, str]] | None = None) -> Table:
    """The same as a table, with other facts below."""
    return table_of(("machine", ""), [*machine_facts(machine, limits), *(others or ())])


def control_facts(results: Path, machine: Machine) -> list[tuple[str, str]]:
    """What the newest A/A control below ``results`` found on this CPU, as pairs of name and value; else nothing."""
    for path in sorted(results.glob("aa/*/rates.json"), reverse=True):
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            if stored["machine"]["cpu"] != machine.cpu or stored["machine"]["cores"] != machine.cores:
                continue
            found = ", ".join(f"{each['slowdown']:.0%} in {each['detection']:.1%}" for each in stored["powers"])
            return [
                ("A/A control of", path.parent.name),
                ("noise of a pair of processes", f"{stored['pair_noise']:.2%}"),
                ("false alarms of a gate run", f"{stored['false_alarm']:.2%} of {stored['runs']} resampled"),
                ("slowdowns found", found),
            ]
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return []
