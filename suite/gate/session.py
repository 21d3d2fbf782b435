"""What the gate and its control have in common: who is measured on what, and how much at a time."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from suite.catalogue import Layer
from suite.gate.duel import BASE, HEAD, Offer, StartSide, offer_of, start_side
from suite.gate.findings import Benchmark, Finding
from suite.gate.revisions import Revision
from suite.interleave import Schedule

__all__ = ["SCHEDULE", "line_up", "offers_of"]

#: Visits of milliseconds, many in turns: what a shared machine does to one side it then does to the
#: other as well. (Two visits of 30 ms a process left three times the noise in a pair.)
SCHEDULE = Schedule(visit_s=0.004, rounds=16, spend_s=0.25, settle_s=1.0, retries=2)


def offers_of(
    revisions: dict[str, Revision], problems: Sequence[str], start: StartSide = start_side
) -> dict[str, Offer]:
    """What each side offers; one that is the same revision as another is asked once.

    Raises
    ------
    WorkerError
        A side cannot be started.
    """
    known: dict[Revision, Offer] = {}
    for revision in revisions.values():
        if revision not in known:
            known[revision] = offer_of(revision, problems, start)
    return {side: known[revision] for side, revision in revisions.items()}


def line_up(
    layers: Sequence[Layer],
    threads: Sequence[int],
    offers: dict[str, Offer],
    algorithms: Sequence[str] = (),
    *,
    without: Sequence[str] = (),
) -> tuple[list[Benchmark], list[Finding]]:
    """Benchmarks that both sides have; and a finding each for what is new in head or gone from it.

    Parameters
    ----------
    layers : sequence of Layer
    threads : sequence of int
    offers : dict
        By side.
    algorithms : sequence of str
        Those that are wanted; empty for all that either side has ...
    without : sequence of str
        ... but these.
    """
    base, head = offers[BASE], offers[HEAD]
    names = list(algorithms) or [*dict.fromkeys((*base.refusals, *head.refusals))]
    both, others = [], []
    for layer, count, name in itertools.product(layers, threads, (name for name in names if name not in without)):
        benchmark = Benchmark(layer.network, layer.name, str(layer.problem), name, count)
        missing = {side: offers[side].absence(name, benchmark.problem) for side in (BASE, HEAD)}
        if missing[BASE] is None and missing[HEAD] is None:
            both.append(benchmark)
        elif missing[HEAD] is None:
            others.append(Finding(benchmark, "new", reason=f"in base, {missing[BASE]}"))
        elif missing[BASE] is None:
            others.append(Finding(benchmark, "gone", reason=f"in head, {missing[HEAD]}"))
    return both, others
