"""The findings for the action ``benchmark-action/github-action-benchmark``.

The file is for its tool ``customSmallerIsBetter``: a list of ``name``, ``unit``, ``value`` and,
if known, ``range`` and ``extra``. The action draws a chart over commits. Each point here is
already a comparison, so that its own alerts, which compare a point with the one before, should
stay off: the point after one that is twice as fast looks twice as slow. The gate's exit code
is what fails a job.
"""

from __future__ import annotations

import math
from typing import Any

from suite.format import one_line
from suite.gate.findings import Finding, Findings
from suite.gate.outputs.wording import duration, interval

__all__ = ["action_benchmark"]


def action_benchmark(findings: Findings) -> list[dict[str, Any]]:
    """Head's time by base's of each benchmark that has such a ratio, after the gate's exit code.

    The exit code says what ratios cannot: that something is wrong or that nothing was measured.
    """
    sides = f"base {one_line(findings.base)}\nhead {one_line(findings.head)}"
    outcome = {
        "name": "convmark gate",
        "unit": "exit code",
        "value": findings.exit_code,
        "extra": f"{findings.headline}\n{sides}",
    }
    return [outcome, *(_point(each, sides) for each in findings.findings if math.isfinite(each.ratio))]


def _point(finding: Finding, sides: str) -> dict[str, Any]:
    point: dict[str, Any] = {"name": finding.benchmark.name, "unit": "ratio", "value": finding.ratio}
    if math.isfinite(finding.low) and math.isfinite(finding.high):
        # The action reads a half width; the interval is not symmetric, and stands whole below.
        point["range"] = f"± {max(finding.high - finding.ratio, finding.ratio - finding.low):.4f}"
    lines = (
        f"{finding.verdict}, {finding.pairs} pairs",
        f"head / base (95 % interval) {interval(finding)}",
        f"base {duration(finding.base_s)}, head {duration(finding.head_s)}",
        sides,
        one_line(finding.reason),
    )
    point["extra"] = "\n".join(line for line in lines if line)
    return point
