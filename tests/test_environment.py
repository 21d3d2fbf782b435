"""The stamp names this machine, and the probes measure what they say."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from kernels.machine import cpu, tile_shape
from kernels.machine.static import static
from suite.machine import environment, probes
from suite.machine.environment import Limits, Machine, this_machine


def test_the_stamp_survives_json_and_names_versions() -> None:
    machine = this_machine()
    assert Machine.from_dict(json.loads(json.dumps(machine.as_dict()))) == machine
    assert machine.numpy == np.__version__
    assert machine.vector_bytes in (16, 32, 64)
    assert machine.threads >= 1 and machine.cpu


def test_the_digest_tells_two_states_of_the_sources_apart() -> None:
    values = this_machine().as_dict()
    other = Machine.from_dict({**values, "sources": "changed"})
    assert other.stamp != this_machine().stamp
    assert Machine.from_dict(values).stamp == this_machine().stamp


def test_caches_are_read_as_linux_writes_them(tmp_path: Path) -> None:
    for index, (level, kind, size) in enumerate(
        [("1", "Data", "48K"), ("1", "Instruction", "32K"), ("2", "Unified", "1024K"), ("3", "Unified", "32M")]
    ):
        folder = tmp_path / f"index{index}"
        folder.mkdir()
        for name, text in (("level", level), ("type", kind), ("size", size)):
            (folder / name).write_text(text + "\n")
    (tmp_path / "index9").mkdir()
    assert environment._caches(tmp_path) == {"L1d": 48 * 1024, "L2": 2**20, "L3": 32 * 2**20}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_fma_probe_multiplies_as_often_as_it_counts(dtype: str) -> None:

    MR, NV, depth, repeats = 4, 2, 8, 5
    shape = tile_shape.TileShape(MR, NV, cpu.lanes_of(dtype))
    a, b = np.ones(depth * MR, dtype), np.full(depth * shape.NR, 2, dtype)
    c = np.zeros(2 * MR * shape.NR, dtype)
    probes._fma_loop(static(shape), MR, shape.NR, a, b, c, MR * shape.NR, depth, repeats)
    # Each element has had depth x repeats multiply-adds of 1 and 2, and only the asked tile is written.
    assert (c[MR * shape.NR :] == 2 * depth * repeats).all()
    assert (c[: MR * shape.NR] == 0).all()


def test_limits_are_positive_and_survive_json() -> None:
    limits = Limits(
        {"float32": {1: probes.measure_fma("float32", 1, least_s=1e-4)}},
        {1: probes.measure_bandwidth(1, 2**16, least_s=1e-4)},
    )
    assert all(math.isfinite(x) and x > 0 for x in (limits.fma_gflops["float32"][1], limits.bandwidth_gb_s[1]))
    assert Limits.from_dict(json.loads(json.dumps(limits.as_dict()))) == limits


def test_every_thread_works_in_the_parallel_probe() -> None:
    threads = this_machine().threads
    if threads < 2:
        pytest.skip("one thread: nothing is parallel")
    assert probes.measure_fma("float32", 2, least_s=1e-4) > 0
    assert probes.measure_bandwidth(2, 2**16, least_s=1e-4) > 0


def test_threads_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="threads is 0, expected a whole number from 1 to"):
        probes.resolve_threads(0)
