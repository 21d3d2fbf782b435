"""The findings as a page of Markdown, short enough for a job's summary.

GitHub shows no summary at all of a step that wrote more than 1 MiB, so that tables are cut
before that, and a sentence says how many lines are missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from suite.format import one_line
from suite.gate.findings import Finding, Findings, worst_first
from suite.gate.outputs.wording import BASE_ALONE, control_sentence, duration, interval

__all__ = ["SUMMARY_LIMIT", "summary"]

#: Bytes of a page; two of them fit into what GitHub takes of a step.
SUMMARY_LIMIT = 400 * 1024

_HEADINGS = ("benchmark", "verdict", "head / base (95 % interval)", "base", "head", "pairs", "why")

#: What could be taken for markup; an underscore within a word is none, and names have many.
_MARKUP = re.compile(r"[\\`*{}\[\]<>|~&$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")

_HOW_TO_READ = """\
head / base is head's time by base's, the median over pairs of fresh processes that were measured
in turns; above 1 is slower. Times are medians of one call and mean nothing on another machine.
A median within half the margin of {margin:.1%} is the same. What is beyond it is slower or faster
once a signed-rank test is sure, and undecided before; at most {risk:.1%} of runs may call slower
what did not change. wrong and failed: head's result is no longer right. unmeasured: base is at
fault, every pair was disturbed, or the time was up. The control is base against itself, in the
same turns."""


def summary(findings: Findings, limit: int = SUMMARY_LIMIT) -> str:
    """The whole page.

    Parameters
    ----------
    findings : Findings
    limit : int
        Bytes of UTF-8 that the page may have; what is no table needs some 20 KiB of them.

    Returns
    -------
    str
        Verdicts other than ``same`` in one table, the worst first; the others, the control and
        the machine folded away.
    """
    before = [
        f"## convmark gate: {_cell(findings.headline)}",
        f"base {_cell(findings.base)}, head {_cell(findings.head)}, exit code {findings.exit_code}"
        f"{_after(findings.seconds)}.",
    ]
    after = [f"### Control\n\n{_cell(control_sentence(findings))}"]
    if findings.control:
        after.append(_folded(f"{BASE_ALONE} ({len(findings.control)})", _benchmarks(findings.control, limit // 8)))
    if findings.machine:
        machine = _table(
            ("machine", ""), [(name, _words(value)) for name, value in findings.machine.items()], limit // 8
        )
        after.append(_folded("the machine", machine))
    after.append(f"### How to read this\n\n{_HOW_TO_READ.format(margin=findings.margin, risk=findings.risk)}")
    loud, quiet = [each for each in findings.findings if each.verdict != "same"], findings.of("same")
    middle: list[str] = []
    room = limit - _bytes(before) - _bytes(after)
    if loud:
        middle.append(_benchmarks(worst_first(loud), room))
    if quiet:
        title = f"{len(quiet)} the same"
        middle.append(_folded(title, _benchmarks(quiet, room - _bytes(middle) - _bytes([_folded(title, "")]))))
    return "\n\n".join([*before, *(middle or ["There are no benchmarks."]), *after]) + "\n"


def _benchmarks(findings: Sequence[Finding], room: int) -> str:
    lines = [
        (
            each.benchmark.name, each.verdict, interval(each), duration(each.base_s), duration(each.head_s),
            str(each.pairs), each.reason,
        )
        for each in findings
    ]  # fmt: skip
    return _table(_HEADINGS, lines, room)


def _table(headings: Sequence[str], lines: Sequence[Sequence[str]], room: int) -> str:
    """The first lines, as many as fit into ``room`` bytes, then how many did not."""
    text = [_row(headings), _row(["---"] * len(headings))]
    # With room for the sentence below.
    used = _bytes(text) + 200
    for line in lines:
        row = _row(_cell(cell) for cell in line)
        used += _bytes([row])
        if used > room:
            break
        text.append(row)
    table = "\n".join(text)
    if left_out := len(lines) + 2 - len(text):
        table += f"\n\n{left_out} more are left out, for this page may not be longer; findings.json has all of them."
    return table


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _folded(title: str, body: str) -> str:
    # Without the blank lines the table within is taken for HTML.
    return f"<details>\n<summary>{_cell(title)}</summary>\n\n{body}\n\n</details>"


def _cell(text: str) -> str:
    return _MARKUP.sub(lambda found: f"&#{ord(found[0])};", one_line(text))


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_words(each)}" for name, each in value.items())
    if isinstance(value, list | tuple):
        return " ".join(_words(each) for each in value)
    return str(value)


def _after(seconds: float) -> str:
    return f", after {text}" if (text := duration(seconds)) else ""


def _bytes(parts: Iterable[str]) -> int:
    """Bytes of parts with the blank line after each."""
    return sum(len(part.encode()) + 2 for part in parts)
