"""Other tools' results join the frame."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from report_rows import row

from kernels import Conv2dProblem
from suite.report.importers import ForeignError, read_asv_results, read_pytest_benchmark
from suite.report.layers import layer_tables
from suite.report.load import foreign_frames, load, tidy, together

_TEXT = "ic64ih56oc64kh3ph1"


def _asv_folder(tmp_path: Path) -> Path:
    label = repr(f"net/one {_TEXT}")
    content = {
        "commit_hash": "0123456789abcdef",
        "params": {"machine": "box"},
        "result_columns": ["result", "params", "version", "started_at", "duration", "stats_ci_99_a", "stats_ci_99_b",
                           "stats_q_25", "stats_q_75", "stats_number", "stats_repeat", "samples", "profile"],
        "results": {
            "bench_conv2d.Conv2d.time_call": [
                [0.25, float("nan"), None],
                [[label], ["'direct_naive'", "'winograd_f4x3'", "'long_gone'"]],
                "version", 1, 2, [0.2], [0.3], [0.24, None, None], [0.265, None, None],
            ],
            "somebody.elses": [[1.0], [["'n'"], ["'m'"]], "version"],
            "without.parameters": [1.0, [], "version"],
        },
    }  # fmt: skip
    (tmp_path / "box").mkdir()
    (tmp_path / "box" / "machine.json").write_text("{}")
    (tmp_path / "box" / "01234567-existing.json").write_text(json.dumps(content))
    return tmp_path


def test_asv_results_join_the_table(tmp_path: Path) -> None:
    [result] = read_asv_results(_asv_folder(tmp_path), pytest.fail)
    timed, refused, failed = result.rows
    assert (timed["status"], timed["time_s"], timed["run"], timed["machine"]) == ("ok", 0.25, "01234567", "box")
    assert timed["useful_gflops"] == pytest.approx(8e-9 * Conv2dProblem.parse(_TEXT).macs_useful)
    assert timed["time_spread"] == pytest.approx(0.1) and timed["family"] == "direct"
    assert (refused["status"], failed["status"]) == ("skipped", "failed")
    ours = tidy([row("direct_naive", 0.5)])
    [table] = layer_tables(together([ours, *foreign_frames(tmp_path, None, pytest.fail)]))
    assert [line[0] for line in table.lines][:2] == ["direct_naive (asv 01234567)", "direct_naive"]


def test_two_commits_of_asv_are_two_rows(tmp_path: Path) -> None:
    folder = _asv_folder(tmp_path)
    text = (folder / "box" / "01234567-existing.json").read_text().replace("0123456789abcdef", "fedcba9876543210")
    (folder / "box" / "fedcba98-existing.json").write_text(text)
    frame = load(results=tmp_path / "none", asv=folder)
    assert len(frame) == 6 and set(frame["run"]) == {"01234567", "fedcba98"}


def _benchmark_file(tmp_path: Path) -> Path:
    info = {"network": "net", "layer": "one", "problem": _TEXT, "algorithm": "direct_tiled", "threads": 1}
    stats = {"median": 0.125, "min": 0.1, "iqr": 0.0125, "rounds": 7}
    path = tmp_path / "bench.json"
    path.write_text(
        json.dumps(
            {
                "machine_info": {"node": "box"},
                "benchmarks": [{"extra_info": info, "stats": stats}, {"extra_info": {}, "stats": stats}],
            }
        )
    )
    return path


def test_pytest_benchmark_results_join_the_table(tmp_path: Path) -> None:
    [found] = read_pytest_benchmark(_benchmark_file(tmp_path), lambda sentence: None)
    assert (found["time_s"], found["time_min_s"], found["samples"], found["time_spread"]) == (0.125, 0.1, 7, 0.1)
    assert (found["network"], found["algorithm"], found["family"], found["run"]) == (
        "net",
        "direct_tiled",
        "direct",
        "bench",
    )
    [joined] = foreign_frames(None, tmp_path / "bench.json", lambda sentence: None)
    assert joined["source"].tolist() == ["pytest-benchmark"] and joined["platform"].tolist() == ["box"]


def test_other_tools_files_that_cannot_be_read_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ForeignError, match=r"no asv results in .*, expected a folder with MACHINE/COMMIT-ENV\.json"):
        read_asv_results(tmp_path / "missing", pytest.fail)
    with pytest.raises(ForeignError, match=r"cannot read .*missing\.json: No such file"):
        read_pytest_benchmark(tmp_path / "missing.json", pytest.fail)
    path = _benchmark_file(tmp_path)
    whole = path.read_text()
    path.write_text(whole[:-20])
    with pytest.raises(ForeignError, match="is cut off or not JSON, expected a file of pytest --benchmark-json"):
        read_pytest_benchmark(path, pytest.fail)
    path.write_text("[]")
    with pytest.raises(ForeignError, match="holds a list"):
        read_pytest_benchmark(path, pytest.fail)
    path.write_text(json.dumps({"benchmarks": [{}]}))
    with pytest.raises(ForeignError, match="is not a file of pytest --benchmark-json"):
        read_pytest_benchmark(path, pytest.fail)
    (tmp_path / "box").mkdir()
    (tmp_path / "box" / "x-y.json").write_text("{}")
    said: list[str] = []
    assert read_asv_results(tmp_path, said.append) == []
    assert len(said) == 1 and "is not an asv result file of version 2" in said[0]
