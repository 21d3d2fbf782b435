"""The rows of a case: what all processes of its contenders come to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from suite.check.statistics import ratio_interval, ratio_of, spread
from suite.contenders import Contender
from suite.machine.environment import Limits
from suite.measure.measurements import Measurements
from suite.measure.result import Result
from suite.results.rows import MEASURED, Row
from suite.selection import Case

__all__ = ["identity_of", "rows_of_case"]


def identity_of(case: Case, contender: Contender[Any, Any]) -> Row:
    """The columns that are known before anything is measured."""
    return {
        **case.columns,
        "occurs": case.layer.occurs,
        "algorithm": contender.name,
        "family": contender.family,
        "library": contender.library,
        "version": contender.version() or "",
    }


def rows_of_case(
    case: Case,
    contenders: Sequence[Contender[Any, Any]],
    measurements: Measurements,
    limits: Limits,
    reference: str = "",
) -> list[Row]:
    """One row per contender.

    Parameters
    ----------
    case : Case
    contenders : sequence of Contender
        Those of the case.
    measurements : Measurements
        Has results of all of them.
    limits : Limits
        What ``pct_of_peak`` is stated against.
    reference : str
        Contender that ratios are stated to; else the fastest peer that is right, or the
        fastest of all if there is no such peer.

    Returns
    -------
    list of Row
        All of `suite.results.rows.COLUMNS` except ``run`` and ``machine``.
    """
    results = {each.name: Result(measurements.of(case, each.name)) for each in contenders}
    peers = {each.name for each in contenders if each.is_peer}
    best_peer = _fastest({name: each for name, each in results.items() if name in peers})
    against = reference if reference in results else best_peer or _fastest(results)
    rows, slow = [], measurements.slow(case, contenders)
    for contender in contenders:
        result = results[contender.name]
        reason = result.reason
        if contender.name in slow and result.status == "ok" and len(result.processes) == 1:
            reason = "; ".join(filter(None, (reason, measurements.screen.reason)))
        row: Row = {
            **identity_of(case, contender), "status": result.status, "reason": reason, **dict.fromkeys(MEASURED)
        }  # fmt: skip
        errors = [each.rel_error for each in result.processes if each.rel_error is not None]
        row["rel_error"] = max(errors, default=None)
        if result.timed:
            row.update(_times(case, result, limits))
            if against:
                row.update(_ratio(result, results[against], against))
            if best_peer:
                row["speedup_vs_best_peer"] = results[best_peer].time_s / result.time_s
        rows.append(row)
    return rows


def _fastest(results: dict[str, Result]) -> str:
    right = {name: result.time_s for name, result in results.items() if result.status == "ok"}
    return min(right, key=lambda name: right[name], default="")


def _times(case: Case, result: Result, limits: Limits) -> Row:
    problem, processes, time_s = case.layer.problem, result.timed, result.time_s
    useful, nominal = (2e-9 * macs / time_s for macs in (problem.macs_useful, problem.macs_nominal))
    prepare_s = float(np.median([each.prepare_s for each in processes if each.prepare_s is not None]))
    # All processes but the first find compiled code on the disk.
    first, *later = [
        max(0.0, each.first_s - prepare_s - time_s) for each in result.processes if each.first_s is not None
    ]
    return {
        "time_s": time_s,
        "time_min_s": min(min(each.seconds) for each in processes),
        "time_spread": spread([each.median_s for each in processes]),
        "processes": len(processes),
        "samples": sum(len(each.seconds) for each in processes),
        "compile_s": first,
        "reload_s": float(np.median(later)) if later else None,
        "first_call_s": result.processes[0].first_call_s,
        "prepare_s": prepare_s,
        "workspace_bytes": result.processes[-1].workspace_bytes,
        "useful_gflops": useful,
        "nominal_gflops": nominal,
        "pct_of_peak": 100 * useful / limits.fma_gflops[problem.dtype][case.threads],
    }


def _ratio(result: Result, reference: Result, name: str) -> Row:
    logs = result.log_ratios_to(reference)
    if not logs.size:
        return {"reference": name}
    low, high = ratio_interval(logs)
    ends = {} if np.isnan(low) else {"ratio_low": low, "ratio_high": high}
    return {"reference": name, "ratio": ratio_of(logs), **ends}
