"""Two stored runs compared row by row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from report_rows import row

from suite import cli
from suite.machine.environment import Limits, this_machine
from suite.measure.result import ProcessResult
from suite.report.compare import compare
from suite.report.load import Stored, open_stored
from suite.results.runs import start_run
from suite.selection import Request

_TEXT, _OTHER = "ic8ih9oc8kh3", "ic8ih9oc8kh1"


def _store(results: Path, times: dict[tuple[str, str], list[float] | str], **changes: Any) -> str:
    """A run of processes' times by problem and algorithm, or of a status in place of times."""
    request = Request((), (_TEXT, _OTHER), ("direct_tiled", "direct_naive"), 1, (1,), 0.1, 3)
    run = start_run(results, this_machine(), Limits({"float32": {1: 100.0}}, {1: 9.0}), request, 4)
    cases = {case.columns["problem"]: case for case in request.cases()}
    for (problem, name), found in times.items():
        status = found if isinstance(found, str) else "ok"
        seconds = [] if isinstance(found, str) else found
        for generation, one in enumerate(seconds):
            run.append_results(cases[problem], generation, {name: ProcessResult(seconds=[one])})
        median = sorted(seconds)[len(seconds) // 2] if seconds else None
        run.append(
            row(name, median, network="text", layer=problem, problem=problem, occurs=1, status=status, **changes)
        )
    return run.name


def _both(results: Path, *runs: dict[tuple[str, str], list[float] | str]) -> tuple[Stored, Stored]:
    one, two = open_stored(results, [_store(results, run) for run in runs], pytest.fail)
    return one, two


def test_the_largest_change_comes_first_and_intervals_are_of_processes(tmp_path: Path) -> None:
    before, after = _both(
        tmp_path,
        {(_TEXT, "direct_tiled"): [1.0, 1.01, 0.99], (_OTHER, "direct_tiled"): [1.0, 1.0, 1.0]},
        {(_TEXT, "direct_tiled"): [1.0, 1.02, 0.98], (_OTHER, "direct_tiled"): [1.2, 1.21, 1.19]},
    )
    found = compare(before, after, pytest.fail)
    first, second = found.rows.to_dict("records")
    assert (first["problem"], first["verdict"], first["ratio"]) == (_OTHER, "slower", pytest.approx(1.2))
    assert first["low"] < 1.2 < first["high"] and first["low"] > 1.15
    assert (second["problem"], second["verdict"]) == (_TEXT, "same") and second["low"] < 1 < second["high"]
    assert found.failures(0.05)["problem"].tolist() == [_OTHER] and found.failures(0.25).empty
    assert found.headline.startswith("1 slower, 0 faster, 1 same; geometric mean of B / A over 2 rows: 1.095")


def test_what_is_no_longer_right_fails_whatever_the_margin_and_rows_of_one_run_are_told(tmp_path: Path) -> None:
    before, after = _both(
        tmp_path,
        {(_TEXT, "direct_tiled"): [1.0], (_TEXT, "direct_naive"): "skipped", (_OTHER, "direct_tiled"): [1.0]},
        {(_TEXT, "direct_tiled"): "wrong", (_TEXT, "direct_naive"): "skipped"},
    )
    found = compare(before, after, pytest.fail)
    assert found.rows["verdict"].tolist() == ["no longer right: wrong"]
    assert len(found.failures(0.9)) == 1 and len(found.failures(None)) == 1
    assert found.missing == ("1 rows are in A alone.",)
    assert found.headline == "No row has a right and trusted time in both runs."


def test_the_command_prints_writes_and_exits_by_the_margin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names = [_store(Path("results"), {(_TEXT, "direct_tiled"): [seconds] * 3}) for seconds in (1.0, 1.1)]

    def convmark(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as exit_:
            cli.main(arguments)
        said = capsys.readouterr()
        return int(exit_.value.code or 0), said.out, said.err

    code, out, _ = convmark("compare", *names)
    assert code == 0 and "1.100" in out and "slower" in out
    assert convmark("compare", *names, "--fail", "slower:5%")[0] == 1
    assert convmark("compare", *names, "--fail", "slower:20%")[0] == 0
    assert convmark("compare", *reversed(names), "--fail", "slower:5%", "-o", "there")[0] == 0
    assert {path.name for path in Path("there").iterdir()} == {"compare.html", "compare.md", "compare.csv"}
    assert "faster" in Path("there/compare.html").read_text() and "| B / A |" in Path("there/compare.md").read_text()
    code, out, err = convmark("compare", *names, "--fail", "5%")
    assert (code, out) == (2, "") and "--fail is '5%', expected one like slower:5%" in err
    code, _, err = convmark("compare", names[0], "gone")
    assert code == 2 and "no run 'gone'" in err


def test_the_terminal_gets_the_largest_changes_and_how_many_there_are_besides(tmp_path: Path) -> None:
    times = {(_TEXT, "direct_tiled"): [1.0], (_OTHER, "direct_tiled"): [1.0]}
    before, after = _both(tmp_path, times, {**times, (_OTHER, "direct_tiled"): [1.5]})
    table = compare(before, after, pytest.fail).largest(1)
    assert [line[0] for line in table.lines] == [f"text/{_OTHER}"] and "1 further rows changed less." in table.after
