"""Takes -> rows: what all processes of a bout's contenders come to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from suite.environment import Limits
from suite.outcome import Outcome
from suite.rows import MEASURED, Row
from suite.runner import Ledger
from suite.selection import Bout, Task
from suite.statistics import ratio_interval, ratio_of, spread

__all__ = ["identity_of", "rows_of_bout"]


def identity_of(task: Task) -> Row:
    """The columns that say what was asked for."""
    layer, contender = task.layer, task.contender
    return {
        "network": layer.network,
        "layer": layer.name,
        "occurs": layer.occurs,
        "problem": str(layer.problem),
        "algorithm": contender.name,
        "family": contender.family,
        "library": contender.library,
        "version": contender.version() or "",
        "threads": task.threads,
        "cache": task.cache,
    }


def rows_of_bout(bout: Bout, tasks: Sequence[Task], ledger: Ledger, limits: Limits, reference: str = "") -> list[Row]:
    """A row a contender.

    Parameters
    ----------
    bout : Bout
    tasks : sequence of Task
        Those of the bout.
    ledger : Ledger
        Has takes of all of them.
    limits : Limits
        What ``pct_of_peak`` is stated against.
    reference : str
        Contender that ratios are stated to; else the fastest peer that is right, or the
        fastest of all where there is no such peer.

    Returns
    -------
    list of Row
        All of `suite.rows.COLUMNS` but ``run`` and ``machine``.
    """
    outcomes = {task.contender.name: Outcome(ledger.of(bout, task.contender.name)) for task in tasks}
    peers = {task.contender.name for task in tasks if task.contender.is_peer}
    best_peer = _fastest({name: each for name, each in outcomes.items() if name in peers})
    against = reference if reference in outcomes else best_peer or _fastest(outcomes)
    rows, slow = [], ledger.slow(bout, tasks)
    for task in tasks:
        outcome = outcomes[task.contender.name]
        reason = outcome.reason
        if task.contender.name in slow and outcome.status == "ok" and len(outcome.takes) == 1:
            reason = "; ".join(filter(None, (reason, ledger.screen.reason)))
        row: Row = {**identity_of(task), "status": outcome.status, "reason": reason, **dict.fromkeys(MEASURED)}
        errors = [take.rel_error for take in outcome.takes if take.rel_error is not None]
        row["rel_error"] = max(errors, default=None)
        if outcome.timed:
            row.update(_times(bout, outcome, limits))
            if against:
                row.update(_ratio(outcome, outcomes[against], against))
            if best_peer:
                row["speedup_vs_best_peer"] = outcomes[best_peer].time_s / outcome.time_s
        rows.append(row)
    return rows


def _fastest(outcomes: dict[str, Outcome]) -> str:
    right = {name: outcome.time_s for name, outcome in outcomes.items() if outcome.status == "ok"}
    return min(right, key=lambda name: right[name], default="")


def _times(bout: Bout, outcome: Outcome, limits: Limits) -> Row:
    problem, takes, time_s = bout.layer.problem, outcome.timed, outcome.time_s
    useful, nominal = (2e-9 * macs / time_s for macs in (problem.macs_useful, problem.macs_nominal))
    prepare_s = float(np.median([take.prepare_s for take in takes if take.prepare_s is not None]))
    # All processes but the first find compiled code on the disk.
    first, *later = [max(0.0, take.first_s - prepare_s - time_s) for take in outcome.takes if take.first_s is not None]
    return {
        "time_s": time_s,
        "time_min_s": min(min(take.seconds) for take in takes),
        "time_spread": spread([take.median_s for take in takes]),
        "processes": len(takes),
        "samples": sum(len(take.seconds) for take in takes),
        "compile_s": first,
        "reload_s": float(np.median(later)) if later else None,
        "first_call_s": outcome.takes[0].first_call_s,
        "prepare_s": prepare_s,
        "workspace_bytes": outcome.takes[-1].workspace_bytes,
        "useful_gflops": useful,
        "nominal_gflops": nominal,
        "pct_of_peak": 100 * useful / limits.fma_gflops[problem.dtype][bout.threads],
    }


def _ratio(outcome: Outcome, reference: Outcome, name: str) -> Row:
    logs = outcome.log_ratios_to(reference)
    if not logs.size:
        return {"reference": name}
    low, high = ratio_interval(logs)
    ends = {} if np.isnan(low) else {"ratio_low": low, "ratio_high": high}
    return {"reference": name, "ratio": ratio_of(logs), **ends}
