"""Fake workers: they write into one log and answer as they are told, in no time."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kernels import conv2d_reference
from suite.blocks.inputs import make_block_inputs
from suite.blocks.oracle import block_reference
from suite.blocks.problem import Block
from suite.check.inputs import make_inputs
from suite.measure.load_guard import LoadGuard
from suite.measure.sampling import Sample
from suite.measure.worker import WorkerError
from suite.workload import parse_workload


@dataclass
class FakeWorkers:
    """Starts fake workers; what is asked of them is in ``log`` as (what, who)."""

    log: list[tuple[str, str]] = field(default_factory=list)
    spoil: dict[str, Callable[[np.ndarray], np.ndarray]] = field(default_factory=dict)
    raises: dict[str, str] = field(default_factory=dict)
    touches: dict[str, str] = field(default_factory=dict)
    rots: dict[str, Callable[[np.ndarray], np.ndarray]] = field(default_factory=dict)
    samples: Callable[[str, int], list[Sample]] = lambda name, process: [Sample(1, 1.0, 1.0, 0.0)] * 2
    asked: Callable[[str, str], None] = lambda do, name: None
    chosen: Callable[[int], str] = lambda process: "direct_tiled"
    open: int = 0
    started: dict[str, int] = field(default_factory=dict)

    def start(self, name: str, threads: int, compiled: Path | None) -> FakeWorker:
        self.open += 1
        self.started[name] = self.started.get(name, 0) + 1
        return FakeWorker(self, name, self.started[name] - 1)

    @property
    def timed(self) -> list[str]:
        return [name for do, name in self.log if do == "time"]


@dataclass
class FakeWorker:
    """The ``process``-th worker of one contender."""

    workers: FakeWorkers
    name: str
    process: int
    problem: str = ""
    fill: str = ""
    slowdown: float = 0.0
    closed: bool = False

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        workers = self.workers
        assert not self.closed
        workers.log.append((do, self.name))
        workers.asked(do, self.name)
        if workers.raises.get(self.name) == do:
            raise WorkerError(f"its process was ended by SIGSEGV at {do!r}")
        if do == "load":
            return {"load_s": 0.0, "version": "1"}
        if do == "prepare":
            self.problem, self.fill = request["problem"], request["fill"]
            chosen = workers.chosen(self.process) if self.name == "auto" else ""
            return {"first_s": 3.0, "first_call_s": 2.0, "prepare_s": 0.5, "chosen": chosen, "workspace_bytes": 7}
        if do == "result":
            right = _right(self.problem, self.fill)
            spoil = workers.spoil.get(self.name, lambda array: array)
            touched = [workers.touches[self.name]] if self.name in workers.touches else []
            return {"array": spoil(right), "digest": zlib.crc32(spoil(right).tobytes()), "touched": touched}
        if do == "last":
            last = workers.rots.get(self.name, lambda array: array)(_right(self.problem, self.fill))
            digest = zlib.crc32(np.ascontiguousarray(last).tobytes())
            return {"touched": []} | ({} if digest in request["known"] else {"array": last})
        self.slowdown = request["slowdown"]
        samples = workers.samples(self.name, self.process)
        return {"samples": [astuple(each) for each in samples], "own_s": sum(each.cpu_s for each in samples)}

    def close(self) -> None:
        self.workers.open -= not self.closed
        self.closed = True


def _right(text: str, fill: str) -> np.ndarray:
    """What is expected of a convolution or of a block."""
    work = parse_workload(text)
    if isinstance(work, Block):
        return work.graph.joined(block_reference(work.graph, make_block_inputs(work))).astype(work.dtype)
    inputs = make_inputs(work, fill)
    return conv2d_reference(work, inputs.first, inputs.second, inputs.bia).astype(work.dtype)


def quiet_guard(threads: int = 1) -> LoadGuard:
    """A guard on a machine of which nothing is known and where no time passes."""
    return LoadGuard(threads, 2, lambda: None, lambda: 0.0, lambda seconds: None)
