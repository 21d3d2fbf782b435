"""Workload files are read whole, and a bad line is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernels import Conv2dProblem
from suite.catalogue import UnknownNetwork, WorkloadError, layers, networks, read_workload


@pytest.mark.parametrize("network", networks())
def test_every_file_has_a_source_and_layers(network: str) -> None:
    found = layers(network)
    assert found
    assert len({layer.name for layer in found}) == len(found)
    text = (Path(__file__).parent.parent / "suite" / "workloads" / f"{network}.txt").read_text()
    assert "# Source: " in text


def test_resnet50_is_its_fifty_three_convolutions() -> None:
    found = layers("resnet50")
    assert sum(layer.occurs for layer in found) == 53
    assert found[3].problem == Conv2dProblem.parse("ic64ih56oc64kh3ph1")


def test_unknown_network_suggests_a_near_match() -> None:
    with pytest.raises(UnknownNetwork, match="did you mean resnet50"):
        layers("resnet5")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ic4ih8oc4kh3 only_a_name", "line 2 is .* expected 'problem name count'"),
        ("ic4ih8oc4kh3 name 0", "expected 'problem name count'"),
        ("ic4ih8oc4kh3 name \N{SUPERSCRIPT TWO}", "expected 'problem name count'"),
        (f"ic4ih8oc4kh3 name {'9' * 5000}", "expected 'problem name count'"),
        ("ic4ih2oc4kh3 name 1", "line 2: kernel extent 3x3"),
        ("ic4ih8oc4kh3 first 1", "names layer 'first' a second time"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "net.txt"
    path.write_text(f"ic4ih8oc4kh3 first 1\n{line}\n")
    with pytest.raises(WorkloadError, match=said):
        read_workload(path)
