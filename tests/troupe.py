"""Workers that are played: they write into one log and do as they are told, in no time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kernels import conv2d_reference
from suite.blocks.inputs import make_block_inputs
from suite.blocks.oracle import block_reference
from suite.blocks.problem import Block
from suite.inputs import make_inputs
from suite.load import LoadGuard
from suite.meter import Sample
from suite.process import WorkerError
from suite.works import read_work


@dataclass
class Troupe:
    """Starts actors; what is asked of them is in ``log`` as (what, who)."""

    log: list[tuple[str, str]] = field(default_factory=list)
    spoil: dict[str, Callable[[np.ndarray], np.ndarray]] = field(default_factory=dict)
    raises: dict[str, str] = field(default_factory=dict)
    touches: dict[str, str] = field(default_factory=dict)
    samples: Callable[[str, int], list[Sample]] = lambda name, process: [Sample(1, 1.0, 1.0, 0.0)] * 2
    asked: Callable[[str, str], None] = lambda do, name: None
    chosen: Callable[[int], str] = lambda process: "direct_tiled"
    open: int = 0
    started: dict[str, int] = field(default_factory=dict)

    def start(self, name: str, threads: int, compiled: Path | None) -> Actor:
        self.open += 1
        self.started[name] = self.started.get(name, 0) + 1
        return Actor(self, name, self.started[name] - 1)

    @property
    def timed(self) -> list[str]:
        return [name for do, name in self.log if do == "time"]


@dataclass
class Actor:
    """Plays the ``process``-th worker of one contender."""

    troupe: Troupe
    name: str
    process: int
    problem: str = ""
    fill: str = ""
    slowdown: float = 0.0
    closed: bool = False

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        troupe = self.troupe
        assert not self.closed
        troupe.log.append((do, self.name))
        troupe.asked(do, self.name)
        if troupe.raises.get(self.name) == do:
            raise WorkerError(f"its process was ended by SIGSEGV at {do!r}")
        if do == "load":
            return {"load_s": 0.0, "version": "1"}
        if do == "prepare":
            self.problem, self.fill = request["problem"], request["fill"]
            chosen = troupe.chosen(self.process) if self.name == "auto" else ""
            return {"first_s": 3.0, "first_call_s": 2.0, "prepare_s": 0.5, "chosen": chosen, "workspace_bytes": 7}
        if do == "result":
            right = _right(self.problem, self.fill)
            spoil = troupe.spoil.get(self.name, lambda array: array)
            touched = [troupe.touches[self.name]] if self.name in troupe.touches else []
            return {"array": spoil(right), "touched": touched}
        self.slowdown = request["slowdown"]
        samples = troupe.samples(self.name, self.process)
        return {"samples": [astuple(each) for each in samples], "own_s": sum(each.cpu_s for each in samples)}

    def close(self) -> None:
        self.troupe.open -= not self.closed
        self.closed = True


def _right(text: str, fill: str) -> np.ndarray:
    """What is expected of a convolution or of a block."""
    work = read_work(text)
    if isinstance(work, Block):
        return work.graph.joined(block_reference(work.graph, make_block_inputs(work))).astype(work.dtype)
    inputs = make_inputs(work, fill)
    return conv2d_reference(work, inputs.src, inputs.wei, inputs.bia).astype(work.dtype)


def quiet_guard(threads: int = 1) -> LoadGuard:
    """A guard on a machine of which nothing is known and where no time passes."""
    return LoadGuard(threads, 2, lambda: None, lambda: 0.0, lambda seconds: None)
