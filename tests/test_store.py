"""Whatever was stored stays stored: through a killed process, a cut line and a resumed run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from suite.contenders import select_contenders
from suite.machine.environment import Limits, Machine, this_machine
from suite.measure.result import ProcessResult
from suite.results import runs
from suite.results.files import StoreError, file_name
from suite.results.frame import frame_of
from suite.results.rows import COLUMNS, LATER_COLUMNS, Row
from suite.results.runs import Run, open_run, run_names, start_run
from suite.results.summary import rows_of_case
from suite.selection import Case, Request

_LIMITS = Limits({"float32": {1: 100.0}}, {1: 10.0})
_REQUEST = Request((), ("ic1ih1oc1kh1",), ("direct_naive",), None, (1,), 0.0)


_CONTENDERS = select_contenders(("direct_naive",))


def _row(layer: str, **changes: Any) -> Row:
    values: Row = {name: kind() for name, kind in COLUMNS.items() if name not in ("run", "machine")}
    return {**values, "layer": layer, "status": "ok", "time_s": 0.5, **changes}


def _started(results: Path) -> Run:
    return start_run(results, this_machine(), _LIMITS, _REQUEST, 3)


def _no_warning(text: str) -> None:
    raise AssertionError(text)


def test_a_run_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    run = _started(tmp_path)
    run.append(_row("a"))
    run.append(_row("b", status="skipped", reason="why", time_s=None))
    for name in (run.name, "latest", str(run.folder)):
        again = open_run(tmp_path, name, _no_warning)
        assert (again.machine, again.limits, again.request) == (this_machine(), _LIMITS, _REQUEST)
        assert again.rows == run.rows
    assert {row["run"] for row in run.rows} == {run.name}
    assert {row["machine"] for row in run.rows} == {this_machine().stamp}
    assert run_names(tmp_path) == [run.name]


def test_a_row_is_on_the_disk_when_append_returns(tmp_path: Path) -> None:
    script = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_store import _row, _started
run = _started(Path({str(tmp_path)!r}))
run.append(_row("a"))
os._exit(9)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parent.parent, check=False)
    assert done.returncode == 9
    assert [row["layer"] for row in open_run(tmp_path, "latest", _no_warning).rows] == ["a"]


@pytest.mark.parametrize("cut", [1, 20, 5000])
def test_a_cut_line_is_warned_of_and_costs_only_itself(tmp_path: Path, cut: int) -> None:
    run = _started(tmp_path)
    for layer in "abc":
        run.append(_row(layer))
    path = run.folder / "rows.jsonl"
    whole = path.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    cut = min(cut, len(whole) - last - 2)
    path.write_bytes(whole[: last + cut])
    said: list[str] = []
    again = open_run(tmp_path, run.name, said.append)
    assert [row["layer"] for row in again.rows] == ["a", "b"]
    assert said == [f"{path} line 3 is not a whole row and is left out, expected one JSON object a line"]
    # Reading rewrote nothing, and the next row starts a line of its own.
    assert path.read_bytes() == whole[: last + cut]
    again.append(_row("d"))
    assert path.read_bytes().startswith(whole[: last + cut] + b"\n")
    assert [row["layer"] for row in open_run(tmp_path, run.name, said.append).rows] == ["a", "b", "d"]


def test_a_whole_line_without_its_newline_is_kept(tmp_path: Path) -> None:
    run = _started(tmp_path)
    run.append(_row("a"))
    path = run.folder / "rows.jsonl"
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    again = open_run(tmp_path, run.name, _no_warning)
    again.append(_row("b"))
    assert [row["layer"] for row in open_run(tmp_path, run.name, _no_warning).rows] == ["a", "b"]


def test_failures_are_tried_again_and_the_last_row_counts(tmp_path: Path) -> None:
    run = _started(tmp_path)
    run.append(_row("a", status="failed", time_s=None))
    run.append(_row("b", status="wrong", time_s=None))
    assert [key[1] for key in run.done()] == ["b"]
    run.append(_row("a"))
    assert frame_of(run.rows)[["layer", "status"]].values.tolist() == [["a", "ok"], ["b", "wrong"]]


def test_finish_writes_tables_with_the_columns_kinds(tmp_path: Path) -> None:
    run = _started(tmp_path)
    run.append(_row("a", occurs=3))
    run.append(_row("b", status="skipped", reason="why", time_s=None, samples=None))
    run.finish()
    parquet = pd.read_parquet(run.folder / "rows.parquet")
    assert list(parquet.columns) == list(COLUMNS)
    assert parquet["samples"].dtype == "Int64" and parquet["samples"].isna().tolist() == [False, True]
    csv = pd.read_csv(run.folder / "rows.csv")
    assert csv["occurs"].tolist() == [3, 0]
    assert csv["time_s"].isna().tolist() == [False, True]
    assert sorted(path.name for path in run.folder.iterdir()) == [
        "machine.json", "request.json", "rows.csv", "rows.jsonl", "rows.parquet",
    ]  # fmt: skip


def test_an_empty_run_is_an_empty_table(tmp_path: Path) -> None:
    run = _started(tmp_path)
    run.finish()
    assert pd.read_parquet(run.folder / "rows.parquet").shape == (0, len(COLUMNS))


def test_a_results_folder_that_is_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("not a folder")
    with pytest.raises(StoreError, match=r"cannot write .*results.*expected a folder that can be written to"):
        _started(tmp_path / "results")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_results_folder_is_one_sentence(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="expected a folder that can be written to"):
        _started(tmp_path / "results")


def test_an_unknown_run_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no run 'latest' below .* there is none yet"):
        open_run(tmp_path, "latest", _no_warning)
    run = _started(tmp_path)
    with pytest.raises(StoreError, match=f"no run 'nothing' below .*, expected one of {run.name} or 'latest'"):
        open_run(tmp_path, "nothing", _no_warning)


def test_missing_rows_are_counted(tmp_path: Path) -> None:
    run = _started(tmp_path)
    assert run.missing == 3
    run.append(_row("a"))
    run.append(_row("a"))
    assert open_run(tmp_path, run.name, _no_warning).missing == 2


def test_another_machines_rows_are_refused(tmp_path: Path) -> None:
    run = _started(tmp_path)
    run.require(this_machine())
    other = Machine.from_dict({**this_machine().as_dict(), "numba": "0.1"})
    with pytest.raises(StoreError, match=r"was made with numba '.*', expected the same, not '0\.1'"):
        run.require(other)


# -- results ----------------------------------------------------------------------------


def _case() -> Case:
    [case] = _REQUEST.cases()
    return case


def test_results_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    run, case = _started(tmp_path), _case()
    assert run.measurements(_no_warning).results == {}
    first = {
        "direct_naive": ProcessResult(seconds=[1.0, 2.0], rel_error=1e-7, chosen="x"),
        "scipy": ProcessResult("skipped", "why"),
    }
    second = {"direct_naive": ProcessResult(seconds=[3.0], disturbed="load"), "scipy": ProcessResult("skipped", "why")}
    run.append_results(case, 0, first)
    run.append_results(case, 1, second)
    found = open_run(tmp_path, run.name, _no_warning).measurements(_no_warning)
    assert found.results == {case: {0: first, 1: second}}
    assert found.of(case, "direct_naive") == [first["direct_naive"], second["direct_naive"]]
    assert found.of(case, "nobody") == []


def test_results_of_who_failed_are_tried_again_and_the_line_stays(tmp_path: Path) -> None:
    run, case = _started(tmp_path), _case()
    run.append_results(case, 0, {"direct_naive": ProcessResult(seconds=[1.0])})
    run.append_results(case, 1, {"direct_naive": ProcessResult("failed", "SIGSEGV")})
    before = (run.folder / "measurements.jsonl").read_bytes()
    # All its generations: a process that crashed puts the others in doubt.
    measurements = run.measurements(_no_warning)
    assert not any(measurements.has(case, n, _CONTENDERS) for n in (0, 1))
    run.append_results(case, 1, {"direct_naive": ProcessResult(seconds=[2.0])})
    assert (run.folder / "measurements.jsonl").read_bytes().startswith(before)
    assert [result.seconds for result in run.measurements(_no_warning).of(case, "direct_naive")] == [[1.0], [2.0]]


@pytest.mark.parametrize("cut", [1, 40, -2])
def test_a_cut_result_is_measured_again_and_costs_only_itself(tmp_path: Path, cut: int) -> None:
    run, case = _started(tmp_path), _case()
    run.append_results(case, 0, {"direct_naive": ProcessResult(seconds=[1.0])})
    path = run.folder / "measurements.jsonl"
    whole = path.read_bytes()
    run.append_results(case, 1, {"direct_naive": ProcessResult(seconds=[2.0])})
    end = path.read_bytes()[len(whole) :]
    path.write_bytes(whole + end[:cut])
    said: list[str] = []
    measurements = run.measurements(said.append)
    assert [measurements.has(case, n, _CONTENDERS) for n in (0, 1)] == [True, False]
    assert len(said) == 1 and f"{path} line 2 is not a whole row" in said[0]
    run.append_results(case, 1, {"direct_naive": ProcessResult(seconds=[3.0])})
    assert path.read_bytes().startswith(whole + end[:cut] + b"\n")
    assert [result.seconds for result in run.measurements(said.append).of(case, "direct_naive")] == [[1.0], [3.0]]


@pytest.mark.parametrize(
    "line", ['{"case": 3}', '{"case": [], "generation": 0, "results": {"a": {"stray": 1}}}', '{"generation": 0}']
)
def test_a_line_that_is_no_result_is_warned_of(tmp_path: Path, line: str) -> None:
    run = _started(tmp_path)
    (run.folder / "measurements.jsonl").write_text(line + "\n")
    said: list[str] = []
    assert run.measurements(said.append).results == {}
    assert len(said) == 1 and "has a line without results, which is left out" in said[0]


def test_results_of_what_was_not_asked_for_are_no_part_of_the_measurements(tmp_path: Path) -> None:
    run = _started(tmp_path)
    [other] = Request((), ("ic2ih2oc2kh1",), ("direct_naive",), None, (1,), 0.0).cases()
    run.append_results(other, 0, {"direct_naive": ProcessResult(seconds=[1.0])})
    assert run.measurements(_no_warning).results == {}


# -- runs of earlier versions -----------------------------------------------------------


def test_rows_without_the_later_columns_still_open(tmp_path: Path) -> None:
    run = _started(tmp_path)
    old = {name: value for name, value in _row("a").items() if name not in LATER_COLUMNS}
    line = json.dumps({"run": run.name, "machine": "m", **old})
    (run.folder / "rows.jsonl").write_text(line + "\n" + json.dumps({"layer": "b"}) + "\n")
    (run.folder / "request.json").write_text(
        json.dumps(
            {
                "tasks": 1,
                "asked": {"networks": [], "problems": ["ic1ih1oc1kh1"], "algorithms": ["direct_naive"], "mb": None,
                          "threads": [1], "budget_s": 0.2},
            }
        )
    )  # fmt: skip
    said: list[str] = []
    again = open_run(tmp_path, run.name, said.append)
    [row] = again.rows
    assert {name: row[name] for name in LATER_COLUMNS} == LATER_COLUMNS
    assert (row["cache"], row["library"], row["time_s"], row["ratio"]) == ("warm", "convmark", 0.5, None)
    assert len(said) == 1 and "has a row without 'algorithm', which is left out" in said[0]
    assert (again.request.contenders, again.request.processes) == (("direct_naive",), 1)
    frame = frame_of(again.rows)
    assert list(frame.columns) == list(COLUMNS) and frame["ratio"].isna().all()


def test_cold_and_warm_rows_are_two(tmp_path: Path) -> None:
    run = _started(tmp_path)
    run.append(_row("a", cache="warm"))
    run.append(_row("a", cache="cold"))
    assert run.missing == 1 and frame_of(run.rows)["cache"].tolist() == ["warm", "cold"]


def test_a_run_of_the_version_before_the_renaming_opens_and_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "20261126T170505Z-c574db71-8fe8"
    shutil.copytree(Path(__file__).parent / "recorded_run", folder)
    run = open_run(tmp_path, "latest", _no_warning)
    assert (run.expected, run.missing, [row["algorithm"] for row in run.rows]) == (2, 0, ["direct_naive", "scipy"])
    [(case, contenders)] = run.request.cases().items()
    found = run.measurements(_no_warning)
    assert all(found.has(case, generation, contenders) for generation in (0, 1))
    assert [row["time_s"] for row in rows_of_case(case, contenders, found, run.limits)] == [
        row["time_s"] for row in run.rows
    ]
    # What is added goes to the file of this version, and both are read.
    run.append_results(case, 2, {"direct_naive": ProcessResult(seconds=[1.0]), "scipy": ProcessResult(seconds=[2.0])})
    assert [*run.measurements(_no_warning).results[case]] == [0, 1, 2]


# -- order, locks and the disk ------------------------------------------------------------


def test_the_latest_run_is_the_last_started_whatever_the_clock_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = time.gmtime
    monkeypatch.setattr(runs.time, "gmtime", lambda: honest(time.time() + 86400))
    early = _started(tmp_path).name
    monkeypatch.setattr(runs.time, "gmtime", honest)
    late = _started(tmp_path).name
    assert late < early and run_names(tmp_path) == [early, late]
    assert open_run(tmp_path, "latest", _no_warning).name == late
    # Runs of earlier versions have no number and come before.
    shutil.copytree(Path(__file__).parent / "recorded_run", tmp_path / "runs" / "20991231T000000Z-old-0000")
    assert run_names(tmp_path)[0].startswith("2099")


def test_a_run_is_measured_by_one_process_at_a_time(tmp_path: Path) -> None:
    run = _started(tmp_path)
    other = open_run(tmp_path, "latest", _no_warning)
    with run.measuring():
        run.append(_row("a"))
        with pytest.raises(StoreError, match=f"{run.name} is being added to by another process"), other.measuring():
            pytest.fail("two at once")
    with other.measuring():
        # What was stored meanwhile is not measured again.
        assert [key[1] for key in other.done()] == ["a"]


def test_every_new_name_is_on_the_disk_before_a_row_is_called_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    honest = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")))
        honest(descriptor)

    if not Path("/proc/self/fd").exists():
        pytest.skip("the system does not tell what is synced")
    monkeypatch.setattr(os, "fsync", fsync)
    results = tmp_path / "new" / "results"
    run = _started(results)
    # The chain of folders from the first that was there to the run's, each after its entry was made.
    assert [tmp_path, results.parent, results, results / "runs"] == [p for p in synced if p.is_dir()][:4]
    assert {"machine.json.part", "request.json.part"} <= {path.name for path in synced} or run.folder in synced
    synced.clear()
    run.append(_row("a"))
    assert [path for path in synced if path.exists()] == [run.folder / "rows.jsonl", run.folder]
    synced.clear()
    run.append(_row("b"))
    assert synced == [run.folder / "rows.jsonl"]


# -- damaged files of our own ---------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    [
        lambda row: {**row, "time_s": "abc"},
        lambda row: {**row, "threads": 1.5},
        lambda row: {**row, "layer": ["a"]},
        lambda row: {**row, "occurs": True},
    ],
)
def test_a_row_of_other_kinds_is_left_out_with_a_warning(tmp_path: Path, damage: Callable[[Row], Row]) -> None:
    run = _started(tmp_path)
    run.append(_row("a"))
    path = run.folder / "rows.jsonl"
    path.write_text(path.read_text() + json.dumps(damage(run.rows[0])) + "\n")
    said: list[str] = []
    assert len(open_run(tmp_path, run.name, said.append).rows) == 1
    assert len(said) == 1 and "which is left out, expected" in said[0]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("machine.json", "[" * 100_000),
        ("machine.json", "{"),
        ("machine.json", "[]"),
        ("machine.json", '{"machine": {}}'),
        ("request.json", '{"rows": 1, "asked": {"networks": 3}}'),
        ("request.json", '{"rows": "many"}'),
        ("request.json", '{"rows": ' + "9" * 5000 + "}"),
    ],
)
def test_a_damaged_description_is_one_sentence(tmp_path: Path, name: str, content: str) -> None:
    run = _started(tmp_path)
    (run.folder / name).write_text(content)
    with pytest.raises(StoreError, match=r"has a damaged machine\.json or request\.json, expected a run's own"):
        open_run(tmp_path, run.name, _no_warning)


def test_a_machine_with_text_for_numbers_is_damaged(tmp_path: Path) -> None:
    run = _started(tmp_path)
    path = run.folder / "machine.json"
    content = json.loads(path.read_text())
    content["machine"]["caches"] = {"L1d": "32K"}
    path.write_text(json.dumps(content))
    with pytest.raises(StoreError, match=r"has a damaged machine\.json"):
        open_run(tmp_path, run.name, _no_warning)


@pytest.mark.parametrize("name", ["rows.jsonl", "measurements.jsonl"])
def test_a_folder_in_place_of_a_file_is_one_sentence(tmp_path: Path, name: str) -> None:
    run = _started(tmp_path)
    (run.folder / name).mkdir()
    with pytest.raises(StoreError, match=f"cannot read .*{name}: Is a directory, expected"):
        open_run(tmp_path, run.name, _no_warning).measurements(_no_warning)


def test_measurements_of_other_kinds_are_left_out(tmp_path: Path) -> None:
    run, case = _started(tmp_path), _case()
    line = {"case": case.key, "generation": 0, "results": {"direct_naive": {"seconds": ["fast"]}}}
    (run.folder / "measurements.jsonl").write_text(json.dumps(line) + "\n" + "[" * 100_000 + "\n")
    said: list[str] = []
    assert run.measurements(said.append).results == {}
    assert len(said) == 2


@pytest.mark.parametrize("text", ["../../escaped", "/etc/passwd", "..", "a/b\\c", "", "\x1b[2J" + "x" * 400])
def test_a_name_from_elsewhere_is_no_path(text: str) -> None:
    name = file_name(text)
    assert name and Path(name).name == name and name not in (".", "..") and len(name) <= 100 and name.isprintable()
