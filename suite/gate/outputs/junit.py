"""The findings as JUnit XML, which Jenkins, GitLab and most other servers show as tests.

What stands where is what the schema ``junit-10.xsd`` of Jenkins' xUnit plugin allows.
"""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ET
from collections.abc import Sequence

from suite.format import one_line, printable
from suite.gate.findings import Finding, Findings
from suite.gate.outputs.wording import BASE_ALONE, control_sentence, sentence

__all__ = ["junit"]

#: The element within its test that a verdict becomes; ``same`` and ``faster`` pass.
_OUTCOMES = {
    "slower": "failure",
    "wrong": "failure",
    "failed": "failure",
    "unmeasured": "error",
    "undecided": "error",
    "new": "skipped",
    "gone": "skipped",
}

#: In the control either direction fails. What is not decided there accuses no one: the gate goes on without it.
_CONTROL_OUTCOMES = {**_OUTCOMES, "faster": "failure", "unmeasured": "skipped", "undecided": "skipped"}


def junit(findings: Findings) -> bytes:
    """One XML document in UTF-8: a suite of the benchmarks, a suite of the control.

    A test's ``time`` is head's time of one call in seconds. The first test asks whether
    anything was measured: a server takes a suite without tests for one that passed.
    """
    root = ET.Element("testsuites", name="convmark gate", time=_seconds(findings.seconds))
    suite = ET.SubElement(root, "testsuite", name="convmark gate", time=_seconds(findings.seconds))
    _properties(suite, findings)
    _measured(suite, findings)
    for each in findings.findings:
        _case(suite, each, _OUTCOMES.get(each.verdict), "")
    _count(suite)
    control = ET.SubElement(root, "testsuite", name=f"convmark gate control: {BASE_ALONE}")
    for each in findings.control:
        _case(control, each, _CONTROL_OUTCOMES.get(each.verdict), "control.")
    ET.SubElement(control, "system-out").text = control_sentence(findings)
    _count(control)
    for name in ("tests", "failures", "errors"):
        root.set(name, str(sum(int(each.get(name, "0")) for each in (suite, control))))
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _properties(suite: ET.Element, findings: Findings) -> None:
    pairs = {
        "base": findings.base,
        "head": findings.head,
        "headline": findings.headline,
        "exit_code": str(findings.exit_code),
        "margin": f"{findings.margin:g}",
        "risk": f"{findings.risk:g}",
        **{f"machine.{name}": _text(value) for name, value in findings.machine.items()},
    }
    inside = ET.SubElement(suite, "properties")
    for name, value in pairs.items():
        ET.SubElement(inside, "property", name=printable(name), value=printable(value))


def _measured(suite: ET.Element, findings: Findings) -> None:
    case = ET.SubElement(suite, "testcase", classname="convmark.gate", name="something was measured")
    if not findings.measured:
        ET.SubElement(case, "error", type="unmeasured", message=one_line(findings.headline))


def _case(suite: ET.Element, finding: Finding, outcome: str | None, prefix: str) -> None:
    benchmark = finding.benchmark
    case = ET.SubElement(
        suite,
        "testcase",
        classname=printable(f"{prefix}{benchmark.network}.{benchmark.layer}"),
        name=printable(" ".join((benchmark.algorithm, benchmark.problem, *benchmark.name.split()[3:]))),
    )
    if math.isfinite(finding.head_s):
        case.set("time", _seconds(finding.head_s))
    if outcome is None:
        ET.SubElement(case, "system-out").text = sentence(finding)
    else:
        told = ET.SubElement(case, outcome, type=finding.verdict, message=sentence(finding))
        told.text = printable(finding.reason)


def _count(suite: ET.Element) -> None:
    counts: Sequence[tuple[str, str]] = (("failures", "failure"), ("errors", "error"), ("skipped", "skipped"))
    suite.set("tests", str(len(suite.findall("testcase"))))
    for attribute, tag in counts:
        suite.set(attribute, str(len(suite.findall(f"testcase/{tag}"))))


def _seconds(seconds: float) -> str:
    return f"{seconds:.9f}" if math.isfinite(seconds) else "0"


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
