"""What a network takes of memory, layer by layer and together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kernels import Memory
from suite.catalogue import Layer
from suite.format import size

__all__ = ["MEMORY_HEADINGS", "LayerMemory", "memory_lines", "total_lines", "totals_of"]

MEMORY_HEADINGS = ("layer", "occurs", "algorithm", "input", "output", "weights", "packed", "workspace")

#: Totals by their name in JSON, and in words.
_TOTALS = {
    "weight_bytes": "weights of all layers",
    "packed_bytes": "packed weights of all layers",
    "workspace_bytes_largest": "largest workspace, where layers share one",
    "workspace_bytes_sum": "workspaces, where each layer has a plan of its own",
    "activation_bytes_largest": "largest input and output of one layer",
}


@dataclass(frozen=True)
class LayerMemory:
    """A layer, the algorithm that is chosen for it, and what that takes."""

    layer: Layer[Any]
    algorithm: str
    memory: Memory

    def as_dict(self) -> dict[str, Any]:
        """In types that JSON knows."""
        layer = self.layer
        return {
            "network": layer.network, "layer": layer.name, "problem": str(layer.problem), "occurs": layer.occurs,
            "algorithm": self.algorithm, **self.memory._asdict(),
        }  # fmt: skip


def totals_of(found: Sequence[LayerMemory]) -> dict[str, int]:
    """Bytes of all layers, each as often as it occurs."""
    return {
        "weight_bytes": sum(each.layer.occurs * each.memory.weight_bytes for each in found),
        "packed_bytes": sum(each.layer.occurs * each.memory.packed_bytes for each in found),
        "workspace_bytes_largest": max(each.memory.workspace_bytes for each in found),
        "workspace_bytes_sum": sum(each.layer.occurs * each.memory.workspace_bytes for each in found),
        "activation_bytes_largest": max(each.memory.activation_bytes for each in found),
    }


def memory_lines(found: Sequence[LayerMemory]) -> list[tuple[str, ...]]:
    """A line of cells for each layer."""
    return [
        (
            each.layer.name, str(each.layer.occurs), each.algorithm, size(each.memory.input_bytes),
            size(each.memory.output_bytes), size(each.memory.weight_bytes), size(each.memory.packed_bytes),
            size(each.memory.workspace_bytes),
        )
        for each in found
    ]  # fmt: skip


def total_lines(found: Sequence[LayerMemory]) -> list[tuple[str, str]]:
    """Pairs of what and how much."""
    totals = totals_of(found)
    return [(words, size(totals[name])) for name, words in _TOTALS.items()]
