"""The findings as Bencher Metric Format, for ``bencher run --adapter json --file bencher.json``.

The format is described at https://bencher.dev/docs/reference/bencher-metric-format: benchmark,
then measure, then ``value`` and, if known, ``lower_value`` and ``upper_value``.
"""

from __future__ import annotations

import math

from suite.gate.findings import Finding, Findings

__all__ = ["bencher"]

#: The time of what is not right is no time.
_NOT_RIGHT = ("wrong", "failed")


def bencher(findings: Findings) -> dict[str, dict[str, dict[str, float]]]:
    """Measures by benchmark.

    ``latency``, a measure that Bencher has built in, is head's time in nanoseconds: compare it
    on one machine only. ``ratio`` is head's time by base's with its 95 % interval, and the one
    to set thresholds on. What the format cannot say, that a benchmark is wrong or undecided or
    that nothing was measured, is in the ``exit-code`` of ``convmark gate``: 0 or not green.
    """
    measures = {each.benchmark.name: _measures(each) for each in findings.findings if each.verdict not in _NOT_RIGHT}
    outcome = {"convmark gate": {"exit-code": {"value": float(findings.exit_code)}}}
    return {**outcome, **{name: found for name, found in measures.items() if found}}


def _measures(finding: Finding) -> dict[str, dict[str, float]]:
    latency = {"value": finding.head_s * 1e9}
    ratio = {"value": finding.ratio, "lower_value": finding.low, "upper_value": finding.high}
    found = {}
    timed = (("latency", latency),) if finding.benchmark.metric == "time" else ()
    for name, metric in (*timed, ("ratio", ratio)):
        if math.isfinite(metric["value"]):
            found[name] = {key: value for key, value in metric.items() if math.isfinite(value)}
    return found
