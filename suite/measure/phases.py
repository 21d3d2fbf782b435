"""Phases of a convolution by transform, each against its own limit.

Products are held against the multiply-add limit, or against reading the weights once, whatever takes
longer. A transform moves data that it computes little on, so its bytes are held against the bandwidth
that a plain loop has over as many bytes as lie between two uses of them: source, weights and
result are used again after all of the layer, points and products after what a block works
on. So each lives in the smallest cache that holds that much, and in part in the next if it just does not.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from kernels import Conv2dProblem, get_algorithm, plan
from suite.check.inputs import make_inputs
from suite.machine import probes
from suite.machine.environment import this_machine

__all__ = ["MEMORY", "Ceilings", "PhaseTime", "Profile", "profile_phases"]

#: The level of what no cache holds.
MEMORY = "memory"

#: Seconds that whole calls are repeated for.
_PATIENCE_S = 0.3


class Ceilings:
    """What one core can do at most; everything is measured once, when it is asked for.

    Times are processor times, as those of the phases: what others take of the core is in neither.

    Attributes
    ----------
    fma_gflops : float
        Multiply-adds in float32, two operations each.
    """

    def __init__(self) -> None:
        self.fma_gflops = probes.measure_fma("float32", 1, clock=time.thread_time)
        self._known: dict[tuple[str, int], float] = {}

    def moving_gb_s(self, nbytes: int) -> float:
        """Bandwidth of a loop over so many bytes that reads two arrays and writes a third."""
        return self._once("moving", nbytes, lambda: probes.measure_bandwidth(1, nbytes, clock=time.thread_time))

    def reading_gb_s(self, nbytes: int) -> float:
        """Bandwidth of a loop that reads so many bytes."""
        return self._once("reading", nbytes, lambda: probes.measure_reading(nbytes, clock=time.thread_time))

    def _once(self, kind: str, nbytes: int, measure: Callable[[], float]) -> float:
        if (kind, nbytes) not in self._known:
            self._known[kind, nbytes] = measure()
        return self._known[kind, nbytes]

    @staticmethod
    def level_of(nbytes: int) -> str:
        """The smallest cache that holds so many bytes, or `MEMORY`."""
        caches = this_machine().caches
        return next((name for name in sorted(caches, key=lambda name: caches[name]) if nbytes <= caches[name]), MEMORY)


@dataclass(frozen=True)
class PhaseTime:
    """One phase of all blocks of a layer.

    Attributes
    ----------
    name : str
    seconds, share : float
        Processor time, and as a fraction of all phases'.
    limit : str
        What holds it: ``FMA``, reading the weights, or moving what is read and what is written; with
        levels and GB/s.
    limit_s : float
        Seconds that it would take at that limit.
    gflops : float
        Of the products, as they are done: those of tiles and channels that are cut off included. Else 0.
    gb_s : float
        Source, points and result of the phase, each once.
    """

    name: str
    seconds: float
    share: float
    limit: str
    limit_s: float
    gflops: float
    gb_s: float

    @property
    def pct_of_limit(self) -> float:
        """Its rate in % of its limit."""
        return 100 * self.limit_s / self.seconds


@dataclass(frozen=True)
class Profile:
    """One algorithm on one problem, on one thread.

    Attributes
    ----------
    problem, algorithm : str
    reason : str
        Why the problem is refused; then there is nothing else.
    call_s : float
        Processor time of a whole call.
    nominal_gflops : float
        Of the whole call, by the formula of the direct sum.
    phases : tuple of PhaseTime
        Each was run by itself over all blocks; their sum is not exactly the call's time.
    """

    problem: str
    algorithm: str
    reason: str = ""
    call_s: float = 0.0
    nominal_gflops: float = 0.0
    phases: tuple[PhaseTime, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Everything, in types that JSON knows."""
        phases = [{**asdict(phase), "pct_of_limit": phase.pct_of_limit} for phase in self.phases]
        return {**asdict(self), "phases": phases}


def profile_phases(problem: Conv2dProblem, algorithm: str, ceilings: Ceilings) -> Profile:
    """Profile an algorithm, of a family in `suite.machine.probes.PHASED`, on a problem; compiles first."""
    refusal = get_algorithm(algorithm).unsupported(problem)
    return Profile(str(problem), algorithm, refusal) if refusal else _profile(problem, algorithm, ceilings)


def _profile(p: Conv2dProblem, name: str, ceilings: Ceilings) -> Profile:
    inputs = make_inputs(p)
    bound = plan(p, inputs.second, inputs.bia, algorithm=name, threads=1)
    dst = bound(inputs.first)
    [call_s] = probes.least_seconds([lambda: bound(inputs.first, out=dst)], _PATIENCE_S)
    into, products, out = probes.measure_phases(p, name)
    src_bytes, dst_bytes = inputs.first.nbytes, dst.nbytes
    points, sums = into.nbytes - src_bytes, out.nbytes - dst_bytes
    weights = products.nbytes - points - sums
    block = bound.workspace_bytes
    layer = int(src_bytes + weights + dst_bytes + block)
    far, near = ceilings.moving_gb_s(layer), ceilings.moving_gb_s(block)
    there, here = (f"{ceilings.level_of(n)} {rate:.0f}" for n, rate in ((layer, far), (block, near)))
    held = (
        (f"{there}, {here}", 1e-9 * (src_bytes / far + points / near)),
        _of_products(products.flops, weights, layer, ceilings),
        (f"{here}, {there}", 1e-9 * (sums / near + dst_bytes / far)),
    )
    total = into.seconds + products.seconds + out.seconds
    phases = tuple(
        PhaseTime(
            phase.name, phase.seconds, phase.seconds / total, *limit, 1e-9 * phase.flops / phase.seconds,
            1e-9 * phase.nbytes / phase.seconds,
        )
        for phase, limit in zip((into, products, out), held, strict=True)
    )  # fmt: skip
    return Profile(str(p), name, "", call_s, 2e-9 * p.macs_nominal / call_s, phases)


def _of_products(flops: float, weights: float, layer: int, ceilings: Ceilings) -> tuple[str, float]:
    """What products are held by, and the seconds that they take then."""
    multiplying_s, reading = 1e-9 * flops / ceilings.fma_gflops, ceilings.reading_gb_s(layer)
    reading_s = 1e-9 * weights / reading
    if reading_s <= multiplying_s:
        return "FMA", multiplying_s
    return f"weights: {ceilings.level_of(layer)} {reading:.0f}", reading_s
