"""Stored runs of every age become one tidy frame."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from report_rows import OTHER, frame_of, row

from suite.machine.environment import Limits, this_machine
from suite.report.load import ADDED, load, open_stored, tidy, together
from suite.results.files import StoreError
from suite.results.rows import COLUMNS
from suite.results.runs import start_run
from suite.selection import Request

_LIMITS = Limits({"float32": {1: 100.0, 2: 190.0}}, {1: 10.0, 2: 15.0})

#: A run that an earlier version stored.
_EARLIER = Path(__file__).parent / "recorded_run"


def _store(results: Path, *rows: dict[str, object]) -> str:
    request = Request((), (OTHER,), ("direct_tiled",), 1, (1,), 0.1, 1)
    run = start_run(results, this_machine(), _LIMITS, request, len(rows))
    for each in rows:
        run.append({name: value for name, value in each.items() if name not in ("run", "machine")})
    run.finish()
    return run.name


def test_a_row_has_every_column_and_what_its_problem_and_machine_say(tmp_path: Path) -> None:
    name = _store(tmp_path, row("direct_tiled", 0.1, problem=OTHER, threads=2))
    frame = load(name, results=tmp_path)
    assert [*frame.columns] == [*COLUMNS, *(column for column in frame.columns if column not in COLUMNS)]
    assert set(frame.columns) == {*COLUMNS, *ADDED}
    [found] = frame.to_dict("records")
    assert (found["source"], found["cpu"], found["limit_gflops"], found["limit_gb_s"]) == (
        "convmark", this_machine().cpu, 190.0, 15.0,
    )  # fmt: skip
    # 8 channels of 16x16 there and back, 8x8x3x3 weights; 46 of 48 taps a side are inside.
    assert found["least_bytes"] == 4 * (2 * 8 * 16 * 16 + 8 * 8 * 9)
    assert found["useful_flops"] == 2 * 8 * 8 * 46 * 46
    assert (found["kind"], found["mb"], found["contender"]) == ("3x3, maps 14 to 149", 1, "direct_tiled")
    assert found["started"].tz is not None and found["circumstances"] == "2 threads"


def test_without_a_name_every_run_is_read_and_runs_are_kept_apart(tmp_path: Path) -> None:
    assert load(results=tmp_path).empty
    names = {_store(tmp_path, row("direct_tiled", time_s)) for time_s in (0.1, 0.2)}
    frame = load(results=tmp_path)
    assert set(frame["run"]) == names and frame["circumstances"].nunique() == 2
    assert all(said.startswith("1 thread, ") for said in frame["circumstances"])


def test_a_run_of_an_earlier_version_is_read_with_its_samples() -> None:
    [stored] = open_stored(Path("nowhere"), [_EARLIER], lambda sentence: pytest.fail(sentence))
    assert len(stored.frame) and set(ADDED) - set(stored.frame.columns) == {"circumstances"}
    samples = stored.samples(lambda sentence: pytest.fail(sentence))
    assert samples and all(seconds for processes in samples.values() for seconds in processes)


def test_a_folder_of_rows_and_machine_alone_is_a_run_without_samples(tmp_path: Path) -> None:
    name = _store(tmp_path, row("direct_tiled", 0.1), row("b", None, status="skipped", reason="no"))
    kept = tmp_path / "kept"
    kept.mkdir()
    for file in ("rows.csv", "machine.json"):
        shutil.copy(tmp_path / "runs" / name / file, kept / file)
    frame = load(kept)
    pd.testing.assert_frame_equal(frame, load(name, results=tmp_path))
    [stored] = open_stored(tmp_path, [kept], pytest.fail)
    assert stored.name == name and stored.samples(pytest.fail) == {}


def test_what_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no run 'gone' below .*, expected a run there, and there is none yet"):
        load("gone", results=tmp_path)
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "rows.csv").write_text("a,b\n1,2\n")
    with pytest.raises(StoreError, match=r"cannot read .*machine\.json"):
        load(kept)
    described = {"machine": this_machine().as_dict(), "limits": _LIMITS.as_dict()}
    (kept / "machine.json").write_text(json.dumps(described))
    with pytest.raises(StoreError, match="has no column 'algorithm', expected all of a run's"):
        load(kept)


def test_frames_of_nothing_and_of_something_are_put_together() -> None:
    assert together([]).empty and set(together([]).columns) == {*COLUMNS, *ADDED}
    assert len(together([tidy([]), tidy([row("a", 0.1)])])) == 1
    assert frame_of([row("a", 0.1)])["circumstances"].tolist() == ["1 thread"]


def test_a_notebook_starts_with_one_function() -> None:
    import suite.report

    assert suite.report.load is load
