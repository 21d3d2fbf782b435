"""``convmark memory``: what does a network take of memory?"""

from __future__ import annotations

from typing import Annotated

import typer

from kernels import choose, memory_of
from suite import options
from suite.commands.arguments import batch_of, bytes_of, threads_of
from suite.console import fail, print_json, print_table
from suite.report.memory import MEMORY_HEADINGS, LayerMemory, memory_lines, total_lines, totals_of
from suite.selection import select_layers, select_networks

__all__ = ["EXAMPLES", "memory"]

EXAMPLES = (
    "convmark memory -n resnet50",
    "convmark memory -n vgg19 --mb 8 --threads 2 --max-workspace 4MiB",
    "convmark memory -p ic64ih56oc64kh3ph1 --json",
)


def memory(
    network: options.Networks = None,
    problem: options.Problems = None,
    mb: options.Batch = "1",
    threads: Annotated[str, typer.Option("--threads", "-t", metavar="N", help="Number of threads.")] = "1",
    max_error: options.MaxError = None,
    max_workspace: options.MaxWorkspace = None,
    as_json: options.Json = False,
) -> None:
    """Show what the layers of networks take of memory, with the algorithm that algorithm="auto" chooses.

    Packed weights are measured by packing: where that is slow, so is this.
    """
    if not (network or problem):
        fail("nothing is asked for, expected --network or --problem")
    counts = threads_of((threads,))
    if len(counts) != 1:
        fail(f"--threads is {threads!r}, expected one number")
    budget = bytes_of("--max-workspace", max_workspace)
    layers = select_layers(select_networks(network or (), problem or ()), problem or (), mb=batch_of(mb))
    found = []
    for layer in layers:
        chosen = choose(layer.problem, counts[0], max_error=max_error, max_workspace=budget).algorithm.name
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
