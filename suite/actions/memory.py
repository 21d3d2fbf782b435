"""The work of ``convmark memory``."""

from __future__ import annotations

from kernels import choose, memory_of
from suite.actions.arguments import batch_of, bytes_of, directions_of, threads_of
from suite.console import fail, print_json, print_table
from suite.report.memory import MEMORY_HEADINGS, LayerMemory, memory_lines, total_lines, totals_of
from suite.selection import select_layers, select_networks

__all__ = ["memory"]


def memory(
    network: list[str] | None,
    problem: list[str] | None,
    mb: str,
    direction: str,
    threads: str,
    max_error: float | None,
    max_workspace: str | None,
    window_only: bool,
    as_json: bool,
) -> None:
    """See `suite.commands.memory.memory`."""
    if not (network or problem):
        fail("nothing is asked for, expected --network or --problem")
    counts = threads_of((threads,))
    if len(counts) != 1:
        fail(f"--threads is {threads!r}, expected one number")
    budget = bytes_of("--max-workspace", max_workspace)
    names, directions = select_networks(network or (), problem or ()), directions_of(direction)
    layers = select_layers(names, problem or (), mb=batch_of(mb), directions=directions)
    found = []
    for layer in layers:
        chosen = choose(
            layer.problem, counts[0], max_error=max_error, max_workspace=budget, window_only=window_only
        ).algorithm.name
        found.append(LayerMemory(layer, chosen, memory_of(layer.problem, chosen, counts[0])))
    by_network: dict[str, list[LayerMemory]] = {}
    for each in found:
        by_network.setdefault(each.layer.network, []).append(each)
    if as_json:
        print_json(
            {
                "threads": counts[0],
                "layers": [each.as_dict() for each in found],
                "totals": {name: totals_of(part) for name, part in by_network.items()},
            }
        )
        return
    for name, part in by_network.items():
        print_table(MEMORY_HEADINGS, memory_lines(part))
        print_table((name, "bytes"), total_lines(part))
