"""Rows become the same table in every form, and other tools' results join it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from kernels import Conv2dProblem
from suite.environment import Limits, this_machine
from suite.report.foreign import ForeignError, read_asv, read_pytest_benchmark
from suite.report.gather import combine, write_report
from suite.report.markdown import markdown
from suite.report.plot import draw
from suite.report.tables import layer_tables, summaries
from suite.report.terminal import print_report
from suite.report.units import size, span
from suite.rows import COLUMNS, Row

_TEXT = "ic64ih56oc64kh3ph1"


def _row(algorithm: str, time_s: float | None, **changes: Any) -> Row:
    values = dict.fromkeys(COLUMNS) | {
        "run": "r", "machine": "m", "network": "net", "layer": "one", "occurs": 3, "problem": _TEXT,
        "algorithm": algorithm, "family": "direct", "threads": 1, "status": "ok", "reason": "", "time_s": time_s,
    }  # fmt: skip
    if time_s is not None:
        values |= {"useful_gflops": 1 / time_s, "pct_of_peak": 5 / time_s, "rel_error": 1e-7, "workspace_bytes": 2048}
    return {**values, **changes}


_ROWS = [
    _row("slow", 0.2),
    _row("refuses", None, status="skipped", reason="the kernel is 1x1, expected 3x3"),
    _row("fast", 0.1),
    _row("errs", None, status="wrong", reason="5 | 6 differ"),
    _row("fast", 0.5, layer="two", occurs=2),
    _row("errs", None, layer="three", status="wrong", reason="bad"),
]


def test_the_fastest_right_one_comes_first_and_nothing_is_dropped() -> None:
    one, two, three = layer_tables(combine(_ROWS))
    assert [(line.cells[0], line.status, line.fastest) for line in one.lines] == [
        ("fast", "ok", True),
        ("slow", "ok", False),
        ("refuses", "skipped", False),
        ("errs", "wrong", False),
    ]
    assert one.lines[0].cells == ("fast", "ok", "100 ms", "10.0", "50.0", "1.0e-07", "2.0 KiB", "", "")
    assert one.title == f"net / one  {_TEXT}  1 thread, occurs 3x"
    assert two.lines[0].fastest and not three.lines[0].fastest


def test_the_summary_adds_up_the_fastest_and_says_what_is_missing() -> None:
    [summary] = summaries(combine(_ROWS))
    assert [line[2] for line in summary.lines] == ["fast", "fast", "none is right"]
    assert summary.lines[0][-1] == "2.00x" and summary.lines[1][-1] == ""
    assert summary.total.endswith("1.30 s without the 1 that no algorithm computed")


@pytest.mark.parametrize("width", [80, 200])
def test_the_terminal_shows_each_algorithm_and_reason(width: int) -> None:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    print_report(console, combine(_ROWS))
    text = console.export_text()
    assert "* fast" in text
    for word in ("slow", "refuses", "errs", "skipped", "wrong"):
        assert word in text
    assert "expected 3x3" in " ".join(text.split())
    assert max(len(line) for line in text.splitlines()) <= width
    assert "…" not in text


def test_markdown_has_every_line_and_marks_the_fastest() -> None:
    limits = Limits({"float32": {1: 100.0}}, {1: 10.0})
    text = markdown(combine(_ROWS), this_machine(), limits, [Path("net-1t.png")])
    assert "| **fast** | ok | 100 ms |" in text
    assert "5 \\| 6 differ" in text
    assert "![net-1t](net-1t.png)" in text
    assert "| FMA limit float32, 1 thread | 100 GFLOP/s |" in text
    assert this_machine().cpu in text


def test_a_report_is_files_that_can_be_read_back(tmp_path: Path) -> None:
    frame = combine(_ROWS)
    written = write_report(frame, None, tmp_path / "new" / "folder")
    assert [path.name for path in written] == ["report.md", "report.csv", "report.parquet", "net-1t.png"]
    assert written[-1].read_bytes().startswith(b"\x89PNG")
    pd.testing.assert_frame_equal(pd.read_parquet(written[2]), frame)
    assert pd.read_csv(written[1])["algorithm"].tolist() == frame["algorithm"].tolist()


def test_the_picture_has_a_point_for_each_right_row_against_the_limit() -> None:
    frame = combine(_ROWS)
    axes = draw(frame[frame["status"] == "ok"], "title", ["refuses", "slow", "fast"]).axes[0]
    points = {str(line.get_label()): np.asarray(line.get_xydata()).tolist() for line in axes.lines[:-1]}
    assert points == {"slow": [[25.0, 0.0]], "fast": [[50.0, 0.0], [10.0, 1.0]]}
    assert "limit" in axes.get_xlabel()
    # Colours go by the order of the whole report, and one without a point takes no place in the legend.
    assert [line.get_color() for line in axes.lines[:-1]] == ["C1", "C2"]


def test_the_picture_is_in_gflops_where_a_row_has_no_limit() -> None:
    axes = draw(combine([_row("slow", 0.2, pct_of_peak=None), _row("fast", 0.1)]), "title", ["slow", "fast"]).axes[0]
    assert axes.get_xlabel() == "useful GFLOP/s"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0.0, "0"), (1.5, "1.50 s"), (0.0123, "12.3 ms"), (9.99e-4, "999 us"), (123.4, "123 s")],
)
def test_spans(seconds: float | None, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(("nbytes", "text"), [(0, "0"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 * 2**30, "3.0 GiB")])
def test_sizes(nbytes: int, text: str) -> None:
    assert size(nbytes) == text


# -- other tools' results -------------------------------------------------------------


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
    timed, refused, failed = read_asv(_asv_folder(tmp_path))
    assert (timed["status"], timed["time_s"], timed["run"], timed["machine"]) == ("ok", 0.25, "01234567", "box")
    assert timed["useful_gflops"] == pytest.approx(8e-9 * Conv2dProblem.parse(_TEXT).macs_useful)
    assert timed["time_spread"] == pytest.approx(0.1) and timed["family"] == "direct"
    assert (refused["status"], failed["status"]) == ("skipped", "failed")
    [table] = layer_tables(combine([_row("direct_naive", 0.5)], asv=[timed, refused, failed]))
    assert [line.cells[0] for line in table.lines][:2] == ["direct_naive (asv 01234567)", "direct_naive"]


def test_two_commits_of_asv_are_two_rows(tmp_path: Path) -> None:
    folder = _asv_folder(tmp_path)
    text = (folder / "box" / "01234567-existing.json").read_text().replace("0123456789abcdef", "fedcba9876543210")
    (folder / "box" / "fedcba98-existing.json").write_text(text)
    frame = combine([], asv=read_asv(folder))
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
    [row] = read_pytest_benchmark(_benchmark_file(tmp_path))
    assert (row["time_s"], row["time_min_s"], row["samples"], row["time_spread"]) == (0.125, 0.1, 7, 0.1)
    assert (row["network"], row["algorithm"], row["family"], row["run"]) == ("net", "direct_tiled", "direct", "bench")
    frame = combine([], pytest_benchmark=[row])
    assert frame["source"].tolist() == ["pytest-benchmark"]


def test_other_tools_files_that_cannot_be_read_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ForeignError, match=r"no asv results in .*, expected a folder with MACHINE/COMMIT-ENV\.json"):
        read_asv(tmp_path / "missing")
    with pytest.raises(ForeignError, match=r"cannot read .*missing\.json: No such file"):
        read_pytest_benchmark(tmp_path / "missing.json")
    path = _benchmark_file(tmp_path)
    whole = path.read_text()
    path.write_text(whole[:-20])
    with pytest.raises(ForeignError, match="is cut off or not JSON, expected a file of pytest --benchmark-json"):
        read_pytest_benchmark(path)
    path.write_text("[]")
    with pytest.raises(ForeignError, match="holds a list"):
        read_pytest_benchmark(path)
    path.write_text(json.dumps({"benchmarks": [{}]}))
    with pytest.raises(ForeignError, match="is not a file of pytest --benchmark-json"):
        read_pytest_benchmark(path)
    (tmp_path / "box").mkdir()
    (tmp_path / "box" / "x-y.json").write_text("{}")
    with pytest.raises(ForeignError, match="is not an asv result file of version 2"):
        read_asv(tmp_path)
