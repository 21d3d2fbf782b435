"""Runs that machines push to one place are read back whole, once each; exports are what other tools import."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from suite.cli import main
from suite.commands.app import app
from suite.history.shared import SharedHistory
from suite.history.stored import COLUMNS, history_frame
from suite.results.files import StoreError

_RECORDED = Path(__file__).parent / "recorded_run"


def _run(name: str, machine: str = "box", day: int = 1, **changes: Any) -> pd.DataFrame:
    line = {
        "started": datetime(2026, 1, day, tzinfo=UTC), "commit": "a" * 40, "dirty": False, "source": "convmark",
        "run": name, "machine": machine, "network": "net", "layer": "one", "problem": "ic1ih1oc1kh1",
        "algorithm": "direct_tiled", "threads": 1, "cache": "warm", "status": "ok", "time_s": 1e-3, "rel_error": None,
    }  # fmt: skip
    return history_frame([{**line, **changes}])


@pytest.fixture(params=["folder", "url"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "history") if request.param == "folder" else f"memory://{uuid.uuid4()}/history"


def test_what_machines_push_is_read_back_once(where: str) -> None:
    first, second = _run("r1", day=2), _run("r2", "other box", status="failed", time_s=None)
    assert SharedHistory(where).push(first) == (["r1"], [])
    assert SharedHistory(where).push(pd.concat([first, second])) == (["r2"], [])
    found = SharedHistory(where).read()
    assert list(found["run"]) == ["r2", "r1"] and list(found.columns) == list(COLUMNS)
    expected = history_frame(pd.concat([second, first]))
    pd.testing.assert_frame_equal(found, expected)


def test_files_are_by_machine_and_month_and_none_is_left_half(tmp_path: Path) -> None:
    SharedHistory(str(tmp_path)).push(pd.concat([_run("r1"), _run("r2", "other box")]))
    paths = [path.relative_to(tmp_path).parts for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(name for *_, name in paths) == ["r1.parquet", "r2.parquet"]
    assert len({machine for machine, *_ in paths}) == 2 and {month for _, month, _ in paths} == {"month=2026-01"}
    # What a push that was killed left behind is not read.
    folder = tmp_path.joinpath(*paths[0][:2])
    (folder / "_part-r3.parquet").write_bytes(b"PAR1")
    assert len(SharedHistory(str(tmp_path)).read()) == 2


def test_a_runner_that_is_another_machine_says_so(where: str) -> None:
    history = SharedHistory(where)
    assert history.push(_run("r1"), "arm")[1] == [] and history.push(_run("r2", "new box"), "x86")[1] == []
    [said] = history.push(_run("r3", "new box", day=3), "arm")[1]
    assert said == "run r3 of arm met new box; the last one there met box"
    assert history.push(_run("r4", "new box", day=4), "arm")[1] == []


def test_nothing_there_is_one_sentence(where: str) -> None:
    with pytest.raises(StoreError, match=r"no run is stored at .*, expected some"):
        SharedHistory(where).read()
    with pytest.raises(StoreError, match=r"cannot reach nothing://there: .*, expected a folder or a URL"):
        SharedHistory("nothing://there")


def test_the_commands_push_and_read(tmp_path: Path) -> None:
    results, where = tmp_path / "results", tmp_path / "history"
    run = results / "runs" / "20260102T030405Z-aaaaaaaa-0001"
    run.mkdir(parents=True)
    for path in _RECORDED.iterdir():
        (run / path.name).write_bytes(path.read_bytes())
    pushed = CliRunner().invoke(app, ["history", "--results", str(results), "--push", str(where), "--json"])
    assert json.loads(pushed.stdout)["pushed"] == [run.name]
    read = CliRunner().invoke(app, ["history", "--from", str(where), "-o", str(tmp_path / "out"), "--json"])
    assert json.loads(read.stdout)["runs"] == 1 and (tmp_path / "out" / "history.parquet").exists()


def test_exports_are_what_lnt_and_conbench_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_REPOSITORY", "owner/name")
    lnt, conbench = tmp_path / "lnt.json", tmp_path / "conbench.json"
    arguments = ["report", str(_RECORDED), "-o", str(tmp_path), "--lnt", str(lnt), "--conbench", str(conbench)]
    CliRunner().invoke(app, arguments)
    found, results = json.loads(lnt.read_text()), json.loads(conbench.read_text())
    assert found["format_version"] == "2" and found["machine"]["name"] and found["run"]["llvm_project_revision"]
    datetime.strptime(found["run"]["start_time"], "%Y-%m-%dT%H:%M:%S")
    assert found["tests"] and all(test["name"] and min(test["execution_time"]) > 0 for test in found["tests"])
    assert len(results) == len(found["tests"])
    for result, test in zip(results, found["tests"], strict=True):
        assert result["stats"]["data"] == test["execution_time"] and result["stats"]["unit"] == "s"
        assert result["stats"]["iterations"] == len(test["execution_time"])
        assert result["run_id"] and datetime.fromisoformat(result["timestamp"]).tzinfo is not None
        assert all(isinstance(value, str) for value in result["machine_info"].values())
        assert result["tags"]["name"] and result["tags"]["algorithm"]


def test_an_export_is_of_one_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = [str(_RECORDED), str(_RECORDED)]
    with pytest.raises(SystemExit, match="2"):
        main(["report", *both, "-o", str(tmp_path), "--lnt", str(tmp_path / "lnt.json")])
    assert "is of one run and 2 are reported, expected one RUN" in capsys.readouterr().err
