"""What a finding says in one line, and text from elsewhere made safe to show.

Reasons hold what compilers and failed processes said, and names what people called their
branches: nothing in them may break the line, the encoding or the document that it stands in.
"""

from __future__ import annotations

import math

from suite.format import one_line, span
from suite.gate.findings import Finding, Findings

__all__ = ["BASE_ALONE", "control_sentence", "duration", "interval", "sentence"]

_MEANINGS = {
    "slower": "slower",
    "faster": "faster",
    "same": "the same",
    "undecided": "undecided",
    "new": "in head alone",
    "gone": "in base alone",
    "wrong": "head's result is no longer right",
    "failed": "head fails",
    "unmeasured": "could not be measured",
}

#: What the control is.
BASE_ALONE = "base against itself"


def duration(seconds: float) -> str:
    """Seconds as people read them; nothing if nothing was measured."""
    return span(seconds if math.isfinite(seconds) else None)


def interval(finding: Finding) -> str:
    """The ratio and its interval, as ``1.083 (1.071 to 1.095)``; what there is not is left out."""
    if not math.isfinite(finding.ratio):
        return ""
    whole = math.isfinite(finding.low) and math.isfinite(finding.high)
    return f"{finding.ratio:.3f}" + (f" ({finding.low:.3f} to {finding.high:.3f})" if whole else "")


def sentence(finding: Finding) -> str:
    """Everything that a finding says but its benchmark's name, on one line."""
    parts = [_MEANINGS[finding.verdict]]
    if ratio := interval(finding):
        parts.append(f"head / base {ratio} over {finding.pairs} pair{'' if finding.pairs == 1 else 's'}")
    times = [(name, duration(value)) for name, value in (("base", finding.base_s), ("head", finding.head_s))]
    parts += [f"{name} {text}" for name, text in times if text]
    if reason := one_line(finding.reason):
        parts.append(reason)
    return "; ".join(parts)


def control_sentence(findings: Findings) -> str:
    """What the control found, and what that means."""
    total, dirty = len(findings.control), len(findings.dirty)
    same = sum(each.verdict == "same" for each in findings.control)
    if not total:
        return "There was no control: nothing says how quiet the machine was."
    if dirty:
        return f"The control is dirty: {dirty} of {total} differ from themselves, so no difference means anything."
    if not same:
        return f"The control says nothing: none of its {total} could be decided."
    rest = f", {total - same} could not be decided" if same < total else ""
    return f"The control is clean: {same} of {total} are the same as themselves{rest}."
