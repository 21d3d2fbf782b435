"""The work of ``convmark list`` and ``convmark machine``."""

from __future__ import annotations

from kernels import algorithms
from suite.actions.arguments import threads_of
from suite.catalogue import blocks, layers, networks
from suite.console import print_json, print_table
from suite.contenders import absence, block_contenders, contenders
from suite.machine.environment import measure_limits, this_machine
from suite.machine.host_lock import measuring_alone
from suite.report.machine import machine_facts

__all__ = ["list_", "machine"]


def list_(network: list[str] | None, as_json: bool) -> None:
    """See `suite.commands.listing.list_`."""
    chosen = {name: layers(name) for name in network or networks()}
    known = algorithms()
    peers = [each for each in contenders() if each.is_peer]
    if as_json:
        print_json(
            {
                "networks": {
                    name: [
                        {"layer": each.name, "problem": str(each.problem), "occurs": each.occurs} for each in of_network
                    ]
                    for name, of_network in chosen.items()
                },
                "algorithms": [{"name": a.name, "family": a.family, "summary": a.summary} for a in known],
                "peers": [{"name": p.name, "library": p.library, "version": p.version()} for p in peers],
                "blocks": [
                    {"block": each.name, "problem": str(each.problem), "occurs": each.occurs} for each in blocks()
                ],
                "block_contenders": [
                    {"name": each.name, "library": each.library, "version": each.version()}
                    for each in block_contenders()
                ],
            }
        )
    elif network:
        lines = [(name, each.name, str(each.problem), str(each.occurs)) for name in chosen for each in chosen[name]]
        print_table(("network", "layer", "problem", "occurs"), lines)
    else:
        print_table(("network", "layers"), [(name, str(len(of_network))) for name, of_network in chosen.items()])
        print_table(("algorithm", "family", "what it is"), [(a.name, a.family, a.summary) for a in known])
        print_table(
            ("peer", "library", "version"), [(p.name, p.library, p.version() or str(absence(p))) for p in peers]
        )
        print_table(("block", "problem", "occurs"), [(b.name, str(b.problem), str(b.occurs)) for b in blocks()])
        print_table(
            ("contender on blocks", "library", "version"),
            [(each.name, each.library, each.version() or str(absence(each))) for each in block_contenders()],
        )


def machine(threads: list[str] | None, no_wait: bool, as_json: bool) -> None:
    """See `suite.commands.listing.machine`."""
    counts = threads_of(threads) or tuple(sorted({1, this_machine().threads}))
    with measuring_alone(wait=not no_wait):
        limits = measure_limits(counts, ("float32", "float64"))
    if as_json:
        print_json({"stamp": this_machine().stamp, "machine": this_machine().as_dict(), "limits": limits.as_dict()})
    else:
        print_table(("machine", ""), machine_facts(this_machine(), limits))
