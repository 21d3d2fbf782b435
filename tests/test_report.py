"""Rows become the same table in every form, and other tools' results join it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from kernels import Conv2dProblem
from suite.format import factor, interval, ratio, size, span
from suite.machine.environment import Limits, this_machine
from suite.report.automatic import automatic_tables
from suite.report.choice import choice_tables
from suite.report.foreign import ForeignError, read_asv, read_pytest_benchmark
from suite.report.gather import combine, write_report
from suite.report.kinds import kind_of, kind_tables
from suite.report.markdown import markdown
from suite.report.plot import draw
from suite.report.scaling import scaling_tables
from suite.report.summaries import summaries, version_lines
from suite.report.tables import layer_tables
from suite.report.terminal import print_report
from suite.results.rows import COLUMNS, LATER_COLUMNS, Row

_TEXT = "ic64ih56oc64kh3ph1"
_OTHER = "ic8ih16oc8kh3ph1"


def _row(algorithm: str, time_s: float | None, **changes: Any) -> Row:
    values = dict.fromkeys(COLUMNS) | LATER_COLUMNS | {
        "run": "r", "machine": "m", "network": "net", "layer": "one", "occurs": 3, "problem": _TEXT,
        "algorithm": algorithm, "family": "direct", "threads": 1, "status": "ok", "reason": "", "time_s": time_s,
    }  # fmt: skip
    if time_s is not None:
        values |= {"useful_gflops": 1 / time_s, "pct_of_peak": 5 / time_s, "rel_error": 1e-7, "workspace_bytes": 2048}
    return {**values, **changes}


def _peer(name: str, time_s: float | None, **changes: Any) -> Row:
    return _row(name, time_s, **{"family": "peer", "library": name.title(), "version": "1.2", **changes})


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
    assert [(line.cells["algorithm"], line.status, line.fastest) for line in one.lines] == [
        ("fast", "ok", True),
        ("slow", "ok", False),
        ("refuses", "skipped", False),
        ("errs", "wrong", False),
    ]
    assert {name: cell for name, cell in one.lines[0].cells.items() if cell} == {
        "algorithm": "fast", "status": "ok", "time": "100 ms", "useful GFLOP/s": "10.0", "% of limit": "50.0",
        "error": "1.0e-07", "workspace": "2.0 KiB",
    }  # fmt: skip
    # A column in which nobody has anything is not there.
    assert one.headings == (
        "algorithm",
        "status",
        "time",
        "useful GFLOP/s",
        "% of limit",
        "error",
        "workspace",
        "reason",
    )
    assert one.title == f"net / one  {_TEXT}  1 thread, occurs 3x"
    assert two.lines[0].fastest and not three.lines[0].fastest


def test_all_that_was_found_out_is_in_the_layers_table() -> None:
    measured = {
        "time_min_s": 0.09, "time_spread": 0.012, "processes": 3, "reference": "ncnn", "ratio": 1.25,
        "ratio_low": 1.2, "ratio_high": 1.3, "speedup_vs_best_peer": 0.8, "prepare_s": 2e-3, "compile_s": 3.0,
        "reload_s": 0.4, "first_call_s": 3.1,
    }  # fmt: skip
    rows = [
        _row("ours", 0.1, **measured),
        _peer("ncnn", 0.08, **{**measured, "ratio": 1.0, "speedup_vs_best_peer": 1.0}),
    ]
    [table] = layer_tables(combine(rows))
    assert table.title == f"net / one  {_TEXT}  1 thread, occurs 3x, ratios to ncnn"
    ncnn, ours = table.lines
    assert {name: cell for name, cell in ours.cells.items() if cell} == {
        "algorithm": "ours", "status": "ok", "time": "100 ms", "min": "90.0 ms", "spread": "1.2 %",
        "useful GFLOP/s": "10.0", "% of limit": "50.0", "ratio": "1.250", "95 % interval": "1.200 .. 1.300",
        "vs best peer": "0.80x", "error": "1.0e-07", "workspace": "2.0 KiB", "prepare": "2.00 ms", "compile": "3.00 s",
        "reload": "400 ms", "first call": "3.10 s", "processes": "3",
    }  # fmt: skip
    assert (ncnn.cells["version"], ncnn.cells["ratio"], ncnn.cells["95 % interval"]) == ("1.2", "1.000", "")
    text = markdown(combine(rows), None, None)
    assert all(cell in text for cell in ours.cells.values())


def test_mistrusted_ones_come_after_the_right_ones_with_their_times() -> None:
    rows = [
        _row("loud", 0.2, status="mistrusted", reason="2 of 3 processes were disturbed"),
        _row("louder", 0.3, status="mistrusted", reason="2 of 3 processes were disturbed"),
        _row("right", 0.9),
        _row("refuses", None, status="skipped", reason="no"),
    ]
    [table] = layer_tables(combine(rows[::-1]))
    assert [(line.cells["algorithm"], line.cells["time"], line.fastest) for line in table.lines] == [
        ("right", "900 ms", True), ("loud", "200 ms", False), ("louder", "300 ms", False), ("refuses", "", False),
    ]  # fmt: skip
    [(summary, total)] = summaries(combine(rows))
    assert summary.lines[0][2] == "right" and total.lines == (("right", "2.70 s", "1.00x"),)
    [(summary, _)] = summaries(combine(rows[:2]))
    assert summary.lines[0][2] == "only mistrusted ones"


def test_cold_and_warm_caches_are_tables_of_their_own() -> None:
    frame = combine([_row("a", 0.1), _row("a", 0.3, cache="cold"), _row("a", 0.2, threads=2, cache="cold")])
    assert [table.title.partition(_TEXT)[2] for table in layer_tables(frame)] == [
        "  1 thread, occurs 3x", "  1 thread, cold caches, occurs 3x", "  2 threads, cold caches, occurs 3x",
    ]  # fmt: skip
    assert [summary.title for summary, _ in summaries(frame)] == [
        "net, 1 thread", "net, 1 thread, cold caches", "net, 2 threads, cold caches",
    ]  # fmt: skip


def test_the_summary_adds_up_the_fastest_and_says_what_is_missing() -> None:
    [(summary, _)] = summaries(combine(_ROWS))
    assert summary.headings[-1] == "ahead of next"
    assert [line[2] for line in summary.lines] == ["fast", "fast", "none is right"]
    assert summary.lines[0][-1] == "2.00x" and summary.lines[1][-1] == ""
    [note] = summary.notes
    assert note.endswith("each by its fastest: 1.30 s without the 1 that no algorithm computed")


_AGAINST = [
    _row("auto", 0.05, family="auto", reason="chose ours"), _row("ours", 0.1), _row("slow", 0.4),
    _peer("errs", 0.01, status="wrong"), _peer("best", 0.2), _peer("other", 0.3),
    _row("auto", 0.8, layer="two", family="auto"), _row("ours", 0.8, layer="two"),
    _row("slow", None, layer="two", status="skipped", reason="no"), _peer("errs", 0.3, layer="two", status="wrong"),
    _peer("best", 0.4, layer="two"), _peer("other", 0.4001, layer="two"),
]  # fmt: skip


def test_against_peers_the_summary_has_the_best_right_one_and_auto_is_no_algorithm_of_its_own() -> None:
    [(summary, _)] = summaries(combine(_AGAINST))
    assert summary.headings[-3:] == ("best peer", "its time", "speedup")
    assert [(line[2], *line[-3:]) for line in summary.lines] == [
        ("ours", "best", "200 ms", "2.00x"),
        ("ours", "best", "400 ms", "0.50x"),
    ]
    sums, speedups = summary.notes
    assert sums.endswith("by its fastest of ours: 2.70 s; each by its best peer: 1.80 s")
    assert speedups == (
        "ahead of the best peer on 1 of 2 layers; speedup over it 1.00x (geometric mean, every layer once), "
        "least on two: 0.50x"
    )


def test_where_no_peer_is_right_there_is_no_speedup() -> None:
    [(summary, _)] = summaries(combine([_row("ours", 0.1), _peer("gone", None, status="skipped", reason="install it")]))
    assert summary.lines[0][-3:] == ("", "", "")
    assert summary.notes[-1] == "no layer has both one of ours and a peer that are right"


def test_totals_are_of_those_who_did_every_layer_and_name_who_did_not() -> None:
    [(_, total)] = summaries(combine(_AGAINST))
    assert total.lines == (
        ("best", "1.80 s", "1.00x"), ("other", "2.10 s", "1.17x"), ("auto", "2.55 s", "1.42x"),
        ("ours", "2.70 s", "1.50x"),
    )  # fmt: skip
    assert total.lacking == "layers without a right and trusted time, of 2: slow 1, errs 2"


def test_libraries_are_listed_with_their_versions_and_ways_of_use() -> None:
    rows = [
        _row("ours", 0.1, version="0.1"), _peer("torch_nchw", 0.2, library="PyTorch"),
        _peer("torch_prepacked", 0.2, library="PyTorch"),
        _peer("mnn", None, library="MNN", version="", status="skipped"),
    ]  # fmt: skip
    assert version_lines(combine(rows)) == [
        ("convmark", "0.1", "its algorithms"),
        ("PyTorch", "1.2", "torch_nchw, torch_prepacked"),
        ("MNN", "not installed", "mnn"),
    ]
    assert version_lines(combine(_ROWS)) == []


@pytest.mark.parametrize(("width", "shown"), [(80, False), (140, True)])
def test_a_narrow_terminal_goes_without_columns_rather_than_cut_them(width: int, shown: bool) -> None:
    many = {"reference": "torch_channels_last", "ratio": 1.25, "ratio_low": 1.2, "ratio_high": 1.3, "compile_s": 3.0,
            "speedup_vs_best_peer": 0.8, "time_spread": 0.1}  # fmt: skip
    rows = [_row("winograd_f4x3", 0.1, **many), _peer("torch_channels_last", 0.08, **many)]
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    print_report(console, combine(rows), details=True)
    text = console.export_text()
    assert ("workspace" in text) == ("1.200 .. 1.300" in text) == shown
    assert "* torch_channels_last" in text and "0.80x" in text
    assert "…" not in text and max(len(line) for line in text.splitlines()) <= width


@pytest.mark.parametrize("width", [80, 200])
def test_the_terminal_shows_each_algorithm_and_reason(width: int) -> None:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    print_report(console, combine(_ROWS), details=True)
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
    names = [path.name for path in written]
    assert names == ["report.md", "report.csv", "report.parquet", "net-1t.png", "speed-error-1t.png"]
    assert written[-1].read_bytes().startswith(b"\x89PNG")
    pd.testing.assert_frame_equal(pd.read_parquet(written[2]), frame)
    assert pd.read_csv(written[1])["algorithm"].tolist() == frame["algorithm"].tolist()


def test_the_picture_has_a_point_for_each_right_row_against_the_limit() -> None:
    frame = combine(_ROWS)
    axes = draw(frame[frame["status"] == "ok"], "title", ["refuses", "slow", "fast"]).axes[0]
    points = {str(line.get_label()): np.asarray(line.get_xydata()).tolist() for line in axes.lines[:-1]}
    assert points == {"slow": [[25.0, 0.0]], "fast": [[50.0, 0.0], [10.0, 1.0]]}
    assert "limit" in axes.get_xlabel()
    # Colours go by the order of the whole report, and one without a point results no place in the legend.
    assert [line.get_color() for line in axes.lines[:-1]] == ["C1", "C2"]


def test_other_libraries_are_hollow_in_the_picture() -> None:
    axes = draw(combine([_row("ours", 0.1), _peer("best", 0.2)]), "title", ["ours", "best"]).axes[0]
    assert [line.get_markerfacecolor() == "none" for line in axes.lines[:-1]] == [False, True]


def test_there_is_a_picture_for_each_number_of_threads_and_state_of_the_caches(tmp_path: Path) -> None:
    rows = [_row("a", 0.1, threads=n, cache=cache) for n in (1, 2) for cache in ("warm", "cold")]
    written = write_report(combine([*rows, _row("b", None, layer="x", status="wrong", threads=3)]), None, tmp_path)
    assert [path.name for path in written[3:7]] == ["net-1t.png", "net-1t-cold.png", "net-2t.png", "net-2t-cold.png"]


def test_the_picture_is_in_gflops_where_a_row_has_no_limit() -> None:
    axes = draw(combine([_row("slow", 0.2, pct_of_peak=None), _row("fast", 0.1)]), "title", ["slow", "fast"]).axes[0]
    assert axes.get_xlabel() == "useful GFLOP/s"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0.0, "0"), (1.5, "1.50 s"), (0.0123, "12.3 ms"), (9.99e-4, "999 us"), (123.4, "123 s")],
)
def test_spans(seconds: float | None, text: str) -> None:
    assert span(seconds) == text


def test_ratios_and_factors() -> None:
    assert (ratio(1.0567), ratio(None), factor(2.0), factor(None)) == ("1.057", "", "2.00x", "")
    assert (interval(0.9, 1.25), interval(None, None)) == ("0.900 .. 1.250", "")


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
    assert [line.cells["algorithm"] for line in table.lines][:2] == ["direct_naive (asv 01234567)", "direct_naive"]


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


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("g8ic8ih9oc8kh3", "depthwise"),
        ("g8ic8ih9oc16kh3", "depthwise"),
        ("g4ic8ih9oc8kh3", "grouped"),
        ("ic3ih9oc8kh3", "few input channels"),
        ("ic8ih9oc8kh3dh2", "dilated"),
        ("ic8ih9oc8kh1", "1x1"),
        ("ic8ih9oc8kh1sh2", "1x1 strided"),
        ("ic8ih9oc8kh3sh2", "strided"),
        ("ic8ih7oc8kh3ph1", "3x3, maps below 14"),
        ("ic8ih14oc8kh3ph1", "3x3, maps 14 to 149"),
        ("ic8ih150oc8kh3ph1", "3x3, maps of 150 and more"),
        ("ic8ih17oc8kh1kw7", "one-dimensional"),
        ("ic8ih17oc8kh5", "larger kernels"),
    ],
)
def test_layers_are_of_a_kind(text: str, kind: str) -> None:
    assert kind_of(Conv2dProblem.parse(text)) == kind


def test_kinds_are_geometric_means_over_each_shape_once() -> None:
    strided = "ic64ih56oc64kh3sh2ph1"
    rows = [
        _row("mine", 1.0), _row("mine_too", 3.0), _row("auto", 0.1, family="auto"),
        _peer("ncnn", 2.0), _peer("torch_a", 4.0, library="PyTorch"), _peer("torch_b", 8.0, library="PyTorch"),
        _row("mine", 1.0, network="other"), _peer("ncnn", 2.0, network="other"),
        _row("mine", 1.0, problem=strided, layer="two"), _peer("ncnn", 0.5, problem=strided, layer="two"),
        _peer("torch_a", 0.1, problem=strided, layer="two", library="PyTorch", status="wrong"),
        _row("mine", None, problem="ic8ih9oc8kh1", layer="three", status="failed"),
    ]  # fmt: skip
    [table] = kind_tables(combine(rows))
    assert table.headings[-2:] == ("vs Ncnn", "vs PyTorch")
    by_kind = {line[0]: dict(zip(table.headings, line, strict=True)) for line in table.lines}
    assert set(by_kind) == {"3x3, maps 14 to 149", "strided", "all"}
    assert (by_kind["strided"]["vs best peer"], by_kind["strided"]["vs PyTorch"]) == ("0.50x", "")
    assert by_kind["3x3, maps 14 to 149"]["vs PyTorch"] == "4.00x"
    everything = by_kind["all"]
    assert (everything["layers"], everything["vs best peer"], everything["least"]) == ("2", "1.00x", "0.50x")
    assert (everything["where"], everything["ahead on"]) == (strided, "1 of 2")
    assert kind_tables(combine(_ROWS)) == []


def test_threads_are_set_beside_one_for_each_contender() -> None:
    other = "ic4ih8oc8kh3"
    rows = [
        _row("ours", 0.4), _row("ours", 0.2, threads=2), _row("ours", 0.4, layer="again"),
        _row("ours", 0.9, problem=other), _row("ours", 0.6, problem=other, threads=2),
        _row("ours", 4e-4, problem="ic4ih6oc8kh3"), _row("ours", 4e-4, problem="ic4ih6oc8kh3", threads=2),
        _row("only_single", 0.1), _row("ours", 9.0, cache="cold"), _row("ours", 1.0, cache="cold", threads=2),
    ]  # fmt: skip
    [table] = scaling_tables(combine(rows))
    assert table.title == "2 threads beside one"
    assert table.lines == (("ours", "2", "1.73x", "1.50x", other, "1", "1.00x"),)
    assert "2 threads beside one" in markdown(combine(rows), None, None)
    assert scaling_tables(combine([_row("ours", 0.1)])) == []


def test_what_auto_chose_is_held_against_the_fastest_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    other, alone = "ic4ih8oc8kh3", "ic4ih6oc8kh3"
    rows = [
        _row("fast", 1.0), _row("slow", 1.2), _row("auto", 1.05, family="auto", reason="chose fast"),
        _peer("ncnn", 0.1), _row("fast", 0.5, network="again"), _row("slow", 0.5, network="again"),
        _row("fast", 1.0, problem=other), _row("slow", 0.8, problem=other),
        _row("auto", 1.2, problem=other, family="auto", reason="chose fast"),
        _row("fast", 1.0, problem=alone), _row("slow", 0.1, problem=alone, status="mistrusted"),
        _row("slow", 3.0, threads=2), _row("fast", 2.0, threads=2), _row("slow", 0.1, cache="cold"),
        _row("block_fused", 1.0, problem="conv_block:ic3ih8oc4"),
        _row("block_unfused", 1.5, problem="conv_block:ic3ih8oc4"),
    ]  # fmt: skip
    asked = []

    def chosen(problem: Conv2dProblem, threads: int, *, tuned: bool) -> Any:
        asked.append((str(problem), threads, tuned))
        return SimpleNamespace(algorithm=SimpleNamespace(name="slow"))

    monkeypatch.setattr("suite.report.choice.choose", chosen)
    one, two = choice_tables(combine(rows))
    assert asked == [(_TEXT, 1, False), (other, 1, False), (_TEXT, 2, False)]
    assert one.title == "What auto chose, 1 thread"
    assert one.lines == (
        ("cost model alone", "2", "1 of 2", "50.0 %", "1.10x", "1.20x", _TEXT, "slow", "fast"),
        ("auto, as measured", "2", "1 of 2", "50.0 %", "1.25x", "1.50x", other, "fast", "slow"),
    )
    assert one.missed == (
        (_TEXT, "fast", "1.00 s", "slow", "1.20x", "fast", "1.05x"),
        (other, "slow", "800 ms", "slow", "1.00x", "fast", "1.50x"),
    )
    assert [line[0] for line in two.lines] == ["cost model alone"] and two.missed[0][-2:] == ("", "")
    text = markdown(combine(rows), None, None)
    assert "## What auto chose, 2 threads" in text and "| cost model alone | 2 | 1 of 2 | 50.0 % |" in text


def test_auto_is_held_against_every_peer_and_the_best_right_one_of_each_layer() -> None:
    rows = [
        _row("auto", 0.1, family="auto"), _row("ours", 0.05), _peer("best", 0.2), _peer("other", 0.4),
        _peer("errs", 0.01, status="wrong"), _row("ours", 0.1, threads=2), _peer("best", 0.1, threads=2),
        *(_row("auto", 0.4, family="auto", problem=_OTHER), _peer("other", 0.2, problem=_OTHER)),
    ]  # fmt: skip
    [table] = automatic_tables(combine(rows))
    assert table.title == "What auto is worth, 1 thread"
    assert table.lines == (
        ("best peer of each layer", "2", "1.00x", "0.50x", _OTHER, "1 of 2"),
        ("best", "1", "2.00x", "2.00x", _TEXT, "1 of 1"),
        ("other", "2", "1.41x", "0.50x", _OTHER, "1 of 2"),
    )
