"""Every form of the gate's findings parses back, says what it must, and is never green by accident."""

from __future__ import annotations

import io
import json
import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from suite.gate.findings import CLEAN, DIRTY, SLOWER, UNMEASURED, Benchmark, Finding, Findings
from suite.gate.outputs import announce, write_outputs
from suite.gate.outputs.action_benchmark import action_benchmark
from suite.gate.outputs.annotations import workflow_commands
from suite.gate.outputs.bencher import bencher
from suite.gate.outputs.junit import junit
from suite.gate.outputs.markdown import SUMMARY_LIMIT, summary
from suite.results.files import StoreError

_HOSTILE = "a\r\nb | <b>&amp;</b> 100% `x` ::error:: ,\"'\\| \x1b[31m\x00\ud800 </details>\n::error::boo]]>"


def _benchmark(algorithm: str, **changes: Any) -> Benchmark:
    values = {"network": "net", "layer": "one", "problem": "ic64ih56oc64kh3ph1", "algorithm": algorithm, "threads": 1}
    return Benchmark(**{**values, **changes})


def _finding(verdict: str, algorithm: str = "", **changes: Any) -> Finding:
    ratio = {"slower": 1.25, "faster": 0.8, "same": 1.01, "undecided": 1.04}.get(verdict, math.nan)
    measured: dict[str, Any] = {}
    if ratio == ratio:
        measured = {
            "ratio": ratio, "low": ratio - 0.02, "high": ratio + 0.03, "pairs": 8,
            "base_s": 1e-3, "head_s": 1e-3 * ratio,
        }  # fmt: skip
    reason = "" if measured else f"because it is {verdict}"
    benchmark = _benchmark(algorithm or f"alg_{verdict}")
    return Finding(benchmark, verdict, **{"reason": reason, **measured, **changes})


def _findings(*findings: Finding, control: tuple[Finding, ...] | None = None, **changes: Any) -> Findings:
    clean = (_finding("same", "alg_control"),)
    values: dict[str, Any] = {
        "base": "main (0123456789ab)", "head": "working tree", "margin": 0.05, "risk": 0.01, "seconds": 321.5,
        "machine": {"cpu": "Zen", "cores": 2, "caches": {"L2": 1024}, "features": ["avx2", "fma"]},
    }  # fmt: skip
    return Findings(findings=findings, control=clean if control is None else control, **{**values, **changes})


_VERDICTS = ("same", "faster", "slower", "undecided", "new", "gone", "wrong", "failed", "unmeasured")
_ALL = _findings(*(_finding(verdict) for verdict in _VERDICTS))
_HOSTILE_ALL = _findings(
    *(
        replace(_finding(verdict), reason=_HOSTILE, benchmark=_benchmark(_HOSTILE, layer=_HOSTILE, network=verdict))
        for verdict in _VERDICTS
    ),
    base=_HOSTILE,
    head=_HOSTILE,
    machine={_HOSTILE: _HOSTILE, "nan": math.nan, "deep": [{"inf": math.inf}]},
)


def _no_constant(name: str) -> None:
    raise AssertionError(f"JSON holds {name}")


def _read(path: Path) -> Any:
    return json.loads(path.read_bytes(), parse_constant=_no_constant)


def _suites(findings: Findings) -> tuple[ET.Element, ET.Element]:
    benchmarks, control = ET.fromstring(junit(findings))
    return benchmarks, control


def _case(suite: ET.Element, algorithm: str) -> ET.Element:
    [found] = [each for each in suite.iter("testcase") if (each.get("name") or "").startswith(f"{algorithm} ")]
    return found


# -- what is written ---------------------------------------------------------------------


def test_every_form_is_written_and_parses_back(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    written = write_outputs(_ALL, folder)
    assert [path.name for path in written] == [
        "summary.md", "junit.xml", "bencher.json", "action-benchmark.json", "findings.json",
    ]  # fmt: skip
    assert sorted(folder.iterdir()) == sorted(written)
    assert written[0].read_text(encoding="utf-8") == summary(_ALL)
    assert ET.parse(written[1]).getroot().tag == "testsuites"
    assert _read(written[2]) == bencher(_ALL)
    assert _read(written[3]) == action_benchmark(_ALL)
    whole = _read(written[4])
    assert whole["exit_code"] == SLOWER and whole["findings"][6]["ratio"] is None
    assert [each["verdict"] for each in whole["findings"]] == list(_VERDICTS)


def test_no_json_holds_a_number_that_json_does_not_have(tmp_path: Path) -> None:
    odd = replace(_finding("slower"), low=math.nan, high=math.inf, head_s=math.nan)
    machine = {"limit": math.nan, "rates": [math.inf, {"x": -math.inf}], "path": Path("x")}
    for path in write_outputs(_findings(odd, *_ALL.findings, machine=machine, seconds=math.nan), tmp_path):
        if path.suffix == ".json":
            _read(path)
    assert _read(tmp_path / "findings.json")["machine"] == {
        "limit": None, "rates": [None, {"x": None}], "path": "x"
    }  # fmt: skip
    assert _read(tmp_path / "bencher.json")[odd.benchmark.name]["ratio"]["value"] == 1.25


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot write .*file/folder: Not a directory, expected a folder"):
        write_outputs(_ALL, tmp_path / "file" / "folder")


def test_text_from_elsewhere_breaks_no_form(tmp_path: Path) -> None:
    written = write_outputs(_HOSTILE_ALL, tmp_path)
    page = written[0].read_text(encoding="utf-8")
    assert page.count("</details>") == page.count("<details>") == 3
    assert "<b>" not in page and "\x1b" not in page and "\x00" not in page
    benchmarks, _control = ET.parse(written[1]).getroot()
    assert len(benchmarks.findall("testcase")) == 1 + len(_VERDICTS)
    assert "b | <b>&amp;</b> 100% `x`" in (benchmarks.findtext("testcase/failure") or "")
    assert len(_read(written[2])) == 1 + len(_VERDICTS) - 5
    assert len(_read(written[3])) == 1 + 4
    assert _read(written[4])["findings"][0]["reason"] == _HOSTILE


# -- never green by accident ---------------------------------------------------------------


_OUTCOMES = [
    (_findings(_finding("same"), _finding("faster")), CLEAN),
    (_findings(_finding("same"), _finding("new"), _finding("gone")), CLEAN),
    (_findings(_finding("same"), control=()), UNMEASURED),
    (_findings(_finding("same"), control=(_finding("undecided"),)), UNMEASURED),
    (_findings(_finding("same"), _finding("slower")), SLOWER),
    (_findings(_finding("same"), _finding("wrong")), SLOWER),
    (_findings(_finding("failed")), SLOWER),
    (_findings(_finding("same"), _finding("undecided")), UNMEASURED),
    (_findings(_finding("same"), _finding("unmeasured")), UNMEASURED),
    (_findings(_finding("new"), _finding("gone")), UNMEASURED),
    (_findings(), UNMEASURED),
    (_findings(control=()), UNMEASURED),
    (_findings(_finding("same"), control=(_finding("slower"),)), DIRTY),
    (_findings(_finding("same"), control=(_finding("faster"),)), DIRTY),
]


@pytest.mark.parametrize(("findings", "code"), _OUTCOMES)
def test_each_form_is_green_only_with_exit_code_0(findings: Findings, code: int) -> None:
    assert findings.exit_code == code
    root = ET.fromstring(junit(findings))
    bad = int(root.get("failures") or 0) + int(root.get("errors") or 0)
    assert (bad == 0) == (code == CLEAN)
    assert bad == len(root.findall(".//failure")) + len(root.findall(".//error"))
    assert any(line.startswith("::error") for line in workflow_commands(findings)) == (code != CLEAN)
    assert bencher(findings)["convmark gate"]["exit-code"]["value"] == code
    assert action_benchmark(findings)[0]["value"] == code
    assert f"exit code {code}" in summary(findings)
    assert summary(findings).startswith(f"## convmark gate: {findings.headline}")


def test_nothing_measured_says_so_in_every_form() -> None:
    nothing = _findings(control=())
    assert "Nothing was measured" in summary(nothing) and "There are no benchmarks." in summary(nothing)
    assert "There was no control" in summary(nothing)
    benchmarks, control = _suites(nothing)
    [case] = benchmarks.findall("testcase")
    assert case.find("error") is not None and benchmarks.get("errors") == "1" and control.get("tests") == "0"
    assert workflow_commands(nothing)[0].startswith("::error title=convmark gate::Nothing was measured")
    assert list(bencher(nothing)) == ["convmark gate"] and len(action_benchmark(nothing)) == 1


# -- Markdown ------------------------------------------------------------------------------


def _lines(page: str) -> list[list[str]]:
    """Cells of the table lines, as a reader would see them."""
    return [
        [unescape(cell.strip()) for cell in line.strip("|").split(" | ")]
        for line in page.splitlines()
        if line.startswith("| ") and "---" not in line
    ]


def test_the_summary_lists_the_worst_first_and_folds_what_is_the_same() -> None:
    page = summary(_ALL)
    folded = page.index("<details>")
    verdicts = [cells[1] for cells in _lines(page[:folded])]
    assert verdicts == ["verdict", "wrong", "failed", "slower", "unmeasured", "undecided", "gone", "new", "faster"]
    assert "<summary>1 the same</summary>\n\n| benchmark |" in page[folded:]
    assert [cells for cells in _lines(page) if "alg_slower" in cells[0]] == [
        ["net/one ic64ih56oc64kh3ph1 alg_slower 1t", "slower", "1.250 (1.230 to 1.280)", "1.00 ms", "1.25 ms", "8", ""]
    ]
    assert [cells[-1] for cells in _lines(page) if "alg_gone" in cells[0]] == ["because it is gone"]
    for text in ("base main (0123456789ab), head working tree, exit code 1, after 322 s", "| caches | L2 1024 |",
                 "The control is clean: 1 of 1 are the same", "margin of 5.0%", "at most 1.0% of runs"):  # fmt: skip
        assert text in page


def test_a_cell_stays_a_cell() -> None:
    finding = _finding("slower", reason="5 | 6 <img> *x* `y` $z$\n[w](v) fft_tile16 _u_ \\| &lt;")
    [cells] = [cells for cells in _lines(summary(_findings(finding))) if "alg_slower" in cells[0]]
    assert cells[-1] == "5 | 6 <img> *x* `y` $z$ [w](v) fft_tile16 _u_ \\| &lt;"
    raw = summary(_findings(finding))
    assert "fft_tile16" in raw and not re.search(r"<img|\*x|`y|\[w\]| _u|\$z|&lt;", raw)


@pytest.mark.parametrize("verdict", ["same", "slower", "wrong"])
@pytest.mark.parametrize("reason", ["", "\U0001f4a5|<" * 1000])
def test_the_summary_of_20000_findings_is_cut_and_says_by_how_much(verdict: str, reason: str) -> None:
    many = tuple(_finding(verdict, f"alg_{index}", reason=reason) for index in range(20_000))
    control = tuple(_finding("same", f"control_{index}", reason=reason) for index in range(20_000))
    machine = {f"key{index}": reason for index in range(20_000)}
    page = summary(_findings(*many, control=control, machine=machine))
    assert SUMMARY_LIMIT / 2 < len(page.encode()) <= SUMMARY_LIMIT < 1024 * 1024 / 2
    shown = len(re.findall(r"^\| net/one \S+ alg_", page, re.M))
    assert shown > 50 and f"\n\n{20_000 - shown} more are left out" in page
    assert page.count("<details>") == page.count("</details>") and "How to read this" in page


def test_what_is_slower_is_not_crowded_out_by_what_is_the_same() -> None:
    many = [_finding("same", f"alg_{index}") for index in range(20_000)]
    page = summary(_findings(*many, _finding("slower", "culprit")))
    assert page.index(" culprit ") < page.index("<details>") and "20000 the same" in page


# -- JUnit ---------------------------------------------------------------------------------

#: What junit-10.xsd of Jenkins' xUnit plugin allows: attributes, then elements within.
_SCHEMA: dict[str, tuple[set[str], set[str]]] = {
    "testsuites": ({"name", "time", "tests", "failures", "disabled", "errors"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors", "time", "skipped", "timestamp", "hostname", "id", "package"},
        {"testsuite", "properties", "testcase", "system-out", "system-err"},
    ),
    "properties": (set(), {"property"}),
    "property": ({"name", "value"}, set()),
    "testcase": (
        {"name", "classname", "time", "status", "file", "line"},
        {"skipped", "error", "failure", "system-out", "system-err"},
    ),
    **{name: ({"type", "message"}, set()) for name in ("skipped", "error", "failure")},
    "system-out": (set(), set()),
}


@pytest.mark.parametrize("findings", [_ALL, _HOSTILE_ALL, _findings(control=())], ids=["all", "hostile", "none"])
def test_junit_keeps_to_the_schema_of_jenkins(findings: Findings) -> None:
    for element in ET.fromstring(junit(findings)).iter():
        attributes, within = _SCHEMA[element.tag]
        assert set(element.attrib) <= attributes and {child.tag for child in element} <= within
        if element.tag == "testsuite":
            cases = element.findall("testcase")
            assert element.get("tests") == str(len(cases))
            assert element.get("failures") == str(sum(case.find("failure") is not None for case in cases))
        if element.tag == "testcase":
            assert element.get("name") and element.get("classname")


def test_each_verdict_is_the_result_that_servers_know() -> None:
    benchmarks, _control = _suites(_ALL)
    expected = {
        "same": "system-out", "faster": "system-out", "slower": "failure", "wrong": "failure", "failed": "failure",
        "undecided": "error", "unmeasured": "error", "new": "skipped", "gone": "skipped",
    }  # fmt: skip
    for verdict, tag in expected.items():
        case = _case(benchmarks, f"alg_{verdict}")
        assert [child.tag for child in case] == [tag]
        assert case.get("classname") == "net.one"
        assert case.get("name") == f"alg_{verdict} ic64ih56oc64kh3ph1 1t"
    failure = _case(benchmarks, "alg_slower")[0]
    assert failure.get("type") == "slower"
    assert failure.get("message") == (
        "slower; head / base 1.250 (1.230 to 1.280) over 8 pairs; base 1.00 ms; head 1.25 ms"
    )
    assert "because it is gone" in (_case(benchmarks, "alg_gone")[0].get("message") or "")
    assert (_case(benchmarks, "alg_faster")[0].text or "").startswith("faster; head / base 0.800")
    assert _case(benchmarks, "alg_slower").get("time") == "0.001250000"
    properties = {each.get("name"): each.get("value") for each in benchmarks.iter("property")}
    assert properties["margin"] == "0.05" and properties["risk"] == "0.01" and properties["machine.cpu"] == "Zen"
    assert properties["machine.caches"] == '{"L2": 1024}' and properties["exit_code"] == "1"


def test_the_control_is_a_suite_that_either_direction_fails() -> None:
    control = tuple(_finding(verdict) for verdict in ("same", "faster", "slower", "undecided"))
    suite = _suites(_findings(_finding("same"), control=control))[1]
    assert [[child.tag for child in case] for case in suite.findall("testcase")] == [
        ["system-out"], ["failure"], ["failure"], ["skipped"],
    ]  # fmt: skip
    assert (suite.get("failures"), suite.get("errors"), suite.get("skipped")) == ("2", "0", "1")
    assert suite.findtext("system-out") == (
        "The control is dirty: 2 of 4 differ from themselves, so no difference means anything."
    )


def test_a_control_that_was_not_decided_is_not_called_clean() -> None:
    same, undecided = _finding("same", "alg_a"), _finding("undecided", "alg_b")
    assert "The control says nothing: none of its 1 could be decided." in summary(_findings(same, control=(undecided,)))
    page = summary(_findings(same, control=(same, undecided)))
    assert "The control is clean: 1 of 2 are the same as themselves, 1 could not be decided." in page


# -- annotations ----------------------------------------------------------------------------


def test_annotations_are_one_escaped_line_each() -> None:
    lines = workflow_commands(_HOSTILE_ALL)
    assert len(lines) == 1 + len(_VERDICTS) - 1
    for line in lines:
        assert re.fullmatch(r"::(error|warning|notice) title=(?:[^%\r\n:,]|%25|%3A|%2C)+::(?:[^%\r\n]|%25)+", line)
        line.encode()
    [slower] = [line for line in lines if "title=slower" in line]
    assert slower.startswith("::error title=slower%3A slower/a b | <b>&amp;</b> 100%25 `x` %3A%3Aerror%3A%3A %2C")
    assert "100%25 `x` ::error:: ," in slower.split("::", 2)[2]


def test_annotations_have_the_level_of_their_verdict_worst_first() -> None:
    found = [tuple(re.match(r"::(\w+) title=(\w+)", line).groups()) for line in workflow_commands(_ALL)]  # type: ignore[union-attr]
    assert found == [
        ("error", "convmark"), ("error", "wrong"), ("error", "failed"), ("error", "slower"),
        ("warning", "unmeasured"), ("warning", "undecided"), ("warning", "gone"),
        ("notice", "new"), ("notice", "faster"),
    ]  # fmt: skip
    dirty = workflow_commands(_findings(_finding("same"), control=(_finding("faster"),)))
    assert dirty[1].startswith("::error title=base against itself%2C faster%3A net/one")


@pytest.mark.parametrize(("count", "shown"), [(9, 9), (10, 8), (500, 8)])
def test_annotations_stop_at_ten_of_a_kind_and_say_how_many_more(count: int, shown: int) -> None:
    slower = [_finding("slower", f"alg_{index}", ratio=2.0 + index) for index in range(count)]
    gone = [_finding("gone", f"gone_{index}") for index in range(count)]
    lines = workflow_commands(_findings(_finding("same"), *slower, *gone))
    errors = [line for line in lines if line.startswith("::error")]
    warnings = [line for line in lines if line.startswith("::warning")]
    assert len(errors) == 10 and len(warnings) <= 10
    assert [f"alg_{index} " in errors[count - index] for index in range(count - 1, count - 1 - shown, -1)] == [
        True
    ] * shown
    assert (f"{count - shown} more are not shown" in errors[-1]) == (count > shown)


def test_only_github_is_told_and_its_summary_is_added_to(tmp_path: Path) -> None:
    path = tmp_path / "step.md"
    path.write_text("before\n")
    elsewhere = io.StringIO()
    announce(_ALL, elsewhere, {"GITHUB_STEP_SUMMARY": str(path)})
    assert elsewhere.getvalue() == "" and path.read_text() == "before\n"
    there = io.StringIO()
    announce(_ALL, there, {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(path)})
    assert there.getvalue().splitlines() == workflow_commands(_ALL)
    assert path.read_text(encoding="utf-8") == "before\n" + summary(_ALL)
    announce(_ALL, there, {"GITHUB_ACTIONS": "true"})
    with pytest.raises(StoreError, match="cannot write"):
        announce(_ALL, there, {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(tmp_path)})


# -- Bencher and github-action-benchmark -------------------------------------------------------


def test_bencher_has_heads_time_and_the_ratio_of_what_is_right() -> None:
    found = bencher(_ALL)
    assert {name.split()[-2] for name in found if name != "convmark gate"} == {
        "alg_same", "alg_faster", "alg_slower", "alg_undecided",
    }  # fmt: skip
    assert found["net/one ic64ih56oc64kh3ph1 alg_slower 1t"] == {
        "latency": {"value": pytest.approx(1.25e6)},
        "ratio": {"value": 1.25, "lower_value": 1.23, "upper_value": 1.28},
    }
    timed = replace(_finding("wrong"), ratio=0.1, head_s=1e-6)
    assert list(bencher(_findings(timed))) == ["convmark gate"]
    new = replace(_finding("new"), head_s=2e-3)
    assert bencher(_findings(new))[new.benchmark.name] == {"latency": {"value": pytest.approx(2e6)}}


def test_action_benchmark_has_the_ratio_with_all_that_led_to_it() -> None:
    outcome, *points = action_benchmark(_ALL)
    assert (outcome["unit"], outcome["value"]) == ("exit code", SLOWER) and _ALL.headline in outcome["extra"]
    assert {point["unit"] for point in points} == {"ratio"} and len(points) == 4
    [slower] = [point for point in points if "alg_slower" in point["name"]]
    assert slower["value"] == 1.25 and slower["range"] == "± 0.0300"
    for text in ("slower, 8 pairs", "1.250 (1.230 to 1.280)", "base 1.00 ms, head 1.25 ms", "head working tree"):
        assert text in slower["extra"]
