"""The findings as workflow commands, which GitHub shows with a run as annotations.

Of one step it shows 10 errors, 10 warnings and 10 notices and drops the others without a
word, so that the worst come first and the last of each kind says how many there are besides.
"""

from __future__ import annotations

from collections.abc import Sequence

from suite.format import one_line
from suite.gate.findings import CLEAN, Finding, Findings, worst_first
from suite.gate.outputs.wording import BASE_ALONE, sentence

__all__ = ["workflow_commands"]

_ROOM = 10

#: The command of each verdict that is worth one. A benchmark that is gone guards nothing any more.
_LEVELS = {
    "wrong": "error",
    "failed": "error",
    "slower": "error",
    "unmeasured": "warning",
    "undecided": "warning",
    "gone": "warning",
    "new": "notice",
    "faster": "notice",
}


def workflow_commands(findings: Findings) -> list[str]:
    """Lines to print, the headline first: an error unless the exit code is 0."""
    found: dict[str, list[tuple[str, str]]] = {"error": [], "warning": [], "notice": []}
    outcome = f"{findings.headline} base {one_line(findings.base)}, head {one_line(findings.head)}"
    found["notice" if findings.exit_code == CLEAN else "error"].append(("convmark gate", outcome))
    found["error"] += [_told(f"{BASE_ALONE}, {each.verdict}", each) for each in worst_first(findings.dirty)]
    for each in worst_first(findings.findings):
        if each.verdict in _LEVELS:
            found[_LEVELS[each.verdict]].append(_told(each.verdict, each))
    return [
        f"::{level} title={_property(title)}::{_data(message)}"
        for level, lines in found.items()
        for title, message in _at_most(lines)
    ]


def _told(what: str, finding: Finding) -> tuple[str, str]:
    return f"{what}: {one_line(finding.benchmark.name)}", sentence(finding)


def _at_most(lines: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    if len(lines) <= _ROOM:
        return list(lines)
    shown = _ROOM - 1
    more = f"{len(lines) - shown} more are not shown here; the job's summary and the written files have them."
    return [*lines[:shown], ("convmark gate", more)]


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
