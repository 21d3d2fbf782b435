"""Rows become the same tables in every form."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from report_rows import OTHER, TEXT, frame_of, peer, row
from rich.console import Console

from kernels import Conv2dProblem
from suite.format import factor, interval, ratio, size, span
from suite.machine.environment import Limits, this_machine
from suite.report.choice import choice_tables
from suite.report.comparisons import (
    automatic_tables,
    bests,
    fastest_tables,
    kind_tables,
    network_tables,
    scaling_tables,
    total_tables,
    version_tables,
)
from suite.report.contents import SECTIONS
from suite.report.kinds import kind_of
from suite.report.layers import fault_sentences, layer_tables, overview_table
from suite.report.machine import machine_table
from suite.report.markdown import markdown
from suite.report.table import Table, table_of
from suite.report.terminal import print_report, print_table

_ROWS = [
    row("slow", 0.2),
    row("refuses", None, status="skipped", reason="the kernel is 1x1, expected 3x3"),
    row("fast", 0.1),
    row("errs", None, status="wrong", reason="5 | 6 differ"),
    row("fast", 0.5, layer="two", occurs=2),
    row("errs", None, layer="three", status="wrong", reason="bad"),
]

_AGAINST = [
    row("auto", 0.05, family="auto", reason="chose ours"), row("ours", 0.1), row("slow", 0.4),
    peer("errs", 0.01, status="wrong"), peer("best", 0.2), peer("other", 0.3),
    row("auto", 0.8, layer="two", family="auto"), row("ours", 0.8, layer="two"),
    row("slow", None, layer="two", status="skipped", reason="no"), peer("errs", 0.3, layer="two", status="wrong"),
    peer("best", 0.4, layer="two"), peer("other", 0.4001, layer="two"),
]  # fmt: skip


def _cells(table: Table) -> list[dict[str, str]]:
    """A line's cells by heading, without empty ones."""
    return [{name: cell for name, cell in zip(table.headings, line, strict=True) if cell} for line in table.lines]


def _printed(frame: pd.DataFrame, width: int, *, details: bool = True) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    print_report(console, frame, details=details)
    return console.export_text()


# -- every layer ------------------------------------------------------------------------


def test_the_fastest_right_one_comes_first_and_nothing_is_dropped() -> None:
    one, two, three = layer_tables(frame_of(_ROWS))
    assert [(line["contender"], line["status"]) for line in _cells(one)] == [
        ("fast", "ok"), ("slow", "ok"), ("refuses", "skipped"), ("errs", "wrong"),
    ]  # fmt: skip
    assert one.marks == ["best", "", "skipped", "wrong"]
    assert _cells(one)[0] == {
        "contender": "fast", "status": "ok", "time": "100 ms", "useful GFLOP/s": "10.0", "% of limit": "50.0",
        "error": "1.0e-07", "workspace": "2.0 KiB",
    }  # fmt: skip
    # A column in which no line has anything is not there.
    assert one.headings == (
        "contender", "status", "time", "useful GFLOP/s", "% of limit", "error", "workspace", "reason"
    )  # fmt: skip
    assert one.title == f"net / one  {TEXT}  1 thread, occurs 3x"
    assert two.marks == ["best"] and three.marks == ["wrong"]


def test_all_that_was_found_out_is_in_the_layers_table() -> None:
    measured = {
        "time_min_s": 0.09, "time_spread": 0.012, "processes": 3, "reference": "ncnn", "ratio": 1.25,
        "ratio_low": 1.2, "ratio_high": 1.3, "speedup_vs_best_peer": 0.8, "prepare_s": 2e-3, "compile_s": 3.0,
        "reload_s": 0.4, "first_call_s": 3.1,
    }  # fmt: skip
    rows = [
        row("ours", 0.1, **measured),
        peer("ncnn", 0.08, **{**measured, "ratio": 1.0, "speedup_vs_best_peer": 1.0}),
    ]
    [table] = layer_tables(frame_of(rows))
    assert table.title == f"net / one  {TEXT}  1 thread, occurs 3x, ratios to ncnn"
    ncnn, ours = _cells(table)
    assert ours == {
        "contender": "ours", "status": "ok", "time": "100 ms", "min": "90.0 ms", "spread": "1.2 %",
        "useful GFLOP/s": "10.0", "% of limit": "50.0", "ratio": "1.250", "95 % interval": "1.200 .. 1.300",
        "vs best peer": "0.80x", "error": "1.0e-07", "workspace": "2.0 KiB", "prepare": "2.00 ms", "compile": "3.00 s",
        "reload": "400 ms", "first call": "3.10 s", "processes": "3",
    }  # fmt: skip
    assert (ncnn["version"], ncnn["ratio"], "95 % interval" in ncnn) == ("1.2", "1.000", False)
    text = markdown(frame_of(rows))
    assert all(cell in text for cell in ours.values())


def test_mistrusted_ones_come_after_the_right_ones_with_their_times() -> None:
    rows = [
        row("loud", 0.2, status="mistrusted", reason="2 of 3 processes were disturbed"),
        row("louder", 0.3, status="mistrusted", reason="2 of 3 processes were disturbed"),
        row("right", 0.9),
        row("refuses", None, status="skipped", reason="no"),
    ]
    [table] = layer_tables(frame_of(rows[::-1]))
    assert [(line["contender"], line.get("time", "")) for line in _cells(table)] == [
        ("right", "900 ms"), ("loud", "200 ms"), ("louder", "300 ms"), ("refuses", ""),
    ]  # fmt: skip
    assert table.marks[0] == "best"
    [summary] = fastest_tables(frame_of(rows))
    [total] = total_tables(frame_of(rows))
    assert summary.lines[0][2] == "right" and total.lines == [("right", "2.70 s", "1.00x")]
    [summary] = fastest_tables(frame_of(rows[:2]))
    assert summary.lines[0][2] == "only mistrusted ones"


def test_cold_and_warm_caches_are_tables_of_their_own() -> None:
    frame = frame_of([row("a", 0.1), row("a", 0.3, cache="cold"), row("a", 0.2, threads=2, cache="cold")])
    said = ["1 thread", "1 thread, cold caches", "2 threads, cold caches"]
    assert [table.title.partition(TEXT)[2] for table in layer_tables(frame)] == [
        f"  {each}, occurs 3x" for each in said
    ]
    assert [table.title for table in fastest_tables(frame)] == [f"net, {each}" for each in said]


# -- networks ---------------------------------------------------------------------------


def test_the_summary_adds_up_the_fastest_and_says_what_is_missing() -> None:
    [summary] = fastest_tables(frame_of(_ROWS))
    assert summary.headings[-1] == "ahead of next"
    assert [line[2] for line in summary.lines] == ["fast", "fast", "none is right"]
    assert summary.lines[0][-1] == "2.00x" and summary.lines[1][-1] == ""
    [note] = summary.after
    assert note.endswith("each by its fastest: 1.30 s, without the 1 that no algorithm computed.")


def test_against_peers_the_summary_has_the_best_right_one_and_auto_is_no_algorithm_of_its_own() -> None:
    [summary] = fastest_tables(frame_of(_AGAINST))
    assert summary.headings[-3:] == ("best peer", "its time", "speed-up")
    assert [(line[2], *line[-3:]) for line in summary.lines] == [
        ("ours", "best", "200 ms", "2.00x"),
        ("ours", "best", "400 ms", "0.50x"),
    ]
    sums, speedups = summary.after
    assert sums.endswith("by its fastest of ours: 2.70 s; each by its best peer: 1.80 s.")
    assert speedups == ("Faster than the best peer on 1 of 2 layers; geometric mean 1.00x, worst 0.50x on two.")
    best = bests(frame_of(_AGAINST))
    assert best["auto_time_s"].tolist() == [0.05, 0.8] and best["ours_row"].tolist() == [1, 7]


def test_networks_are_means_over_layers_once_and_as_often_as_they_occur() -> None:
    rows = [row("a", 1.0, occurs=1), peer("p", 4.0, occurs=1), row("a", 1.0, layer="two", occurs=3),
            peer("p", 0.5, layer="two", occurs=3)]  # fmt: skip
    [table] = network_tables(frame_of(rows))
    [line] = _cells(table)
    # 4 and 1/2: the mean of both, and with the second three times; sums of 4 and of 5.5 seconds.
    assert (line["geomean speed-up"], line["weighted by occurrence"]) == ("1.41x", f"{(4 / 8) ** 0.25:.2f}x")
    assert (line["sum of ours"], line["sum of best peers"], line["ratio of sums"]) == ("4.00 s", "5.50 s", "1.38x")
    assert (line["worst"], line["worst layer"], line["faster on"]) == ("0.50x", "two", "1 of 2")
    assert network_tables(frame_of(_ROWS)) == []


def test_where_no_peer_is_right_there_is_no_speedup() -> None:
    [summary] = fastest_tables(frame_of([row("ours", 0.1), peer("gone", None, status="skipped", reason="install it")]))
    assert summary.lines[0][-3:] == ("", "", "")
    assert summary.after[-1] == "No layer has both one of ours and a peer that are right."


def test_totals_are_of_those_who_did_every_layer_and_name_who_did_not() -> None:
    [total] = total_tables(frame_of(_AGAINST))
    assert total.lines == [
        ("best", "1.80 s", "1.00x"), ("other", "2.10 s", "1.17x"), ("auto", "2.55 s", "1.42x"),
        ("ours", "2.70 s", "1.50x"),
    ]  # fmt: skip
    assert total.after == ("Layers without a right and trusted time, of 2: slow 1, errs 2.",)


def test_libraries_are_listed_with_their_versions_and_ways_of_use() -> None:
    rows = [
        row("ours", 0.1, version="0.1"), peer("torch_nchw", 0.2, library="PyTorch"),
        peer("torch_prepacked", 0.2, library="PyTorch"),
        peer("mnn", None, library="MNN", version="", status="skipped"),
    ]  # fmt: skip
    [table] = version_tables(frame_of(rows))
    assert table.lines == [
        ("convmark", "0.1", "its algorithms"),
        ("PyTorch", "1.2", "torch_nchw, torch_prepacked"),
        ("MNN", "not installed", "mnn"),
    ]
    assert version_tables(frame_of(_ROWS)) == []


# -- renderers --------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "shown"), [(80, False), (150, True)])
def test_a_narrow_terminal_goes_without_columns_rather_than_cut_them(width: int, shown: bool) -> None:
    many = {"reference": "torch_channels_last", "ratio": 1.25, "ratio_low": 1.2, "ratio_high": 1.3, "compile_s": 3.0,
            "speedup_vs_best_peer": 0.8, "time_spread": 0.1}  # fmt: skip
    rows = [row("winograd_f4x3", 0.1, **many), peer("torch_channels_last", 0.08, **many)]
    text = _printed(frame_of(rows), width)
    assert ("workspace" in text) == ("1.200 .. 1.300" in text) == shown
    assert "* torch_channels_last" in text and "0.80x" in text
    assert "\u2026" not in text and max(len(line) for line in text.splitlines()) <= width


@pytest.mark.parametrize("width", [80, 200])
def test_the_terminal_shows_each_algorithm_and_reason(width: int) -> None:
    text = _printed(frame_of(_ROWS), width)
    assert "* fast" in text
    for word in ("slow", "refuses", "errs", "skipped", "wrong"):
        assert word in text
    assert "expected 3x3" in " ".join(text.split())
    assert max(len(line) for line in text.splitlines()) <= width


def test_the_terminal_prints_one_table_and_what_went_wrong_unless_details_are_asked_for() -> None:
    text = _printed(frame_of(_ROWS), 80, details=False)
    assert text.count("Fastest per layer") == 1 and "Every layer" not in text
    assert "wrong errs on net/one: 5 | 6 differ" in text and text.rstrip().endswith("3 ok, 1 skipped, 2 wrong")
    assert fault_sentences(frame_of(_ROWS)) == [
        ("wrong", "wrong errs on net/one: 5 | 6 differ"), ("wrong", "wrong errs on net/three: bad"),
    ]  # fmt: skip


def test_a_terminal_without_unicode_gets_plain_ascii() -> None:
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding="ascii") as file:
        print_report(Console(width=80, file=file, legacy_windows=False), frame_of(_AGAINST), details=True)
        file.flush()
        assert b"ours" in raw.getvalue()


def test_the_overview_ranks_other_libraries_too_and_auto_only_alone() -> None:
    table = overview_table(frame_of(_AGAINST))
    assert [line[1:2] + line[4:] for line in table.lines] == [("ours", "best", "+100 %"), ("best", "other", "+0 %")]
    [alone] = overview_table(frame_of([row("auto", 0.1, family="auto")])).lines
    assert alone[1] == "auto"


def test_markdown_has_every_line_and_marks_the_fastest() -> None:
    limits = Limits({"float32": {1: 100.0}}, {1: 10.0})
    text = markdown(frame_of(_ROWS), [machine_table(this_machine(), limits)])
    assert "| **fast** | ok | 100 ms |" in text
    assert "5 \\| 6 differ" in text
    assert "| FMA limit float32, 1 thread | 100 GFLOP/s |" in text
    assert this_machine().cpu in text


def test_every_section_is_in_markdown_and_in_the_terminal() -> None:
    frame = frame_of([*_AGAINST, *(row("ours", 0.06, threads=2), row("ours", 0.5, threads=2, layer="two"))])
    text, shown = markdown(frame), _printed(frame, 120)
    having = [section for section in SECTIONS if section.tables(frame)]
    assert {section.key for section in having} >= {"networks", "kinds", "auto", "threads", "error", "layers", "totals"}
    for section in having:
        assert f"## {section.title}" in text
        assert all(table.title.split("  ")[0] in shown for table in section.tables(frame))


def test_a_table_of_written_cells_is_a_table_like_others() -> None:
    table = table_of(("a", "b"), [("x", "1"), ("y", "")], words=("a",))
    assert (table.headings, table.lines, table.marks) == (("a", "b"), [("x", "1"), ("y", "")], ["", ""])
    console = Console(width=40, record=True, file=io.StringIO())
    print_table(console, table)
    assert "x" in console.export_text()


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


# -- kinds, threads, choices -----------------------------------------------------------


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
        row("mine", 1.0), row("mine_too", 3.0), row("auto", 0.1, family="auto"),
        peer("ncnn", 2.0), peer("torch_a", 4.0, library="PyTorch"), peer("torch_b", 8.0, library="PyTorch"),
        row("mine", 1.0, network="other"), peer("ncnn", 2.0, network="other"),
        row("mine", 1.0, problem=strided, layer="two"), peer("ncnn", 0.5, problem=strided, layer="two"),
        peer("torch_a", 0.1, problem=strided, layer="two", library="PyTorch", status="wrong"),
        row("mine", None, problem="ic8ih9oc8kh1", layer="three", status="failed"),
    ]  # fmt: skip
    [table] = kind_tables(frame_of(rows))
    assert table.headings[-2:] == ("vs Ncnn", "vs PyTorch")
    by_kind = {line["kind of layer"]: line for line in _cells(table)}
    assert set(by_kind) == {"3x3, maps 14 to 149", "strided", "all"}
    assert (by_kind["strided"]["geomean speed-up"], "vs PyTorch" in by_kind["strided"]) == ("0.50x", False)
    assert by_kind["3x3, maps 14 to 149"]["vs PyTorch"] == "4.00x"
    everything = by_kind["all"]
    assert (everything["layers"], everything["geomean speed-up"], everything["worst"]) == ("2", "1.00x", "0.50x")
    assert (everything["worst layer"], everything["faster on"]) == (strided, "1 of 2")
    assert kind_tables(frame_of(_ROWS)) == []


def test_threads_are_compared_with_one_for_each_contender() -> None:
    other = "ic4ih8oc8kh3"
    rows = [
        row("ours", 0.4), row("ours", 0.2, threads=2), row("ours", 0.4, layer="again"),
        row("ours", 0.9, problem=other), row("ours", 0.6, problem=other, threads=2),
        row("ours", 4e-4, problem="ic4ih6oc8kh3"), row("ours", 4e-4, problem="ic4ih6oc8kh3", threads=2),
        row("only_single", 0.1), row("ours", 9.0, cache="cold"), row("ours", 1.0, cache="cold", threads=2),
    ]  # fmt: skip
    [table] = scaling_tables(frame_of(rows))
    assert table.title == "2 threads compared with one"
    assert table.lines == [("ours", "2", "1.73x", "1.50x", other, "1", "1.00x")]
    assert scaling_tables(frame_of([row("ours", 0.1)])) == []


def test_what_auto_chose_is_held_against_the_fastest_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    other, alone = "ic4ih8oc8kh3", "ic4ih6oc8kh3"
    rows = [
        row("fast", 1.0), row("slow", 1.2), row("auto", 1.05, family="auto", reason="chose fast"),
        peer("ncnn", 0.1), row("fast", 0.5, network="again"), row("slow", 0.5, network="again"),
        row("fast", 1.0, problem=other), row("slow", 0.8, problem=other),
        row("auto", 1.2, problem=other, family="auto", reason="chose fast"),
        row("fast", 1.0, problem=alone), row("slow", 0.1, problem=alone, status="mistrusted"),
        row("slow", 3.0, threads=2), row("fast", 2.0, threads=2), row("slow", 0.1, cache="cold"),
        row("block_fused", 1.0, problem="conv_block:ic3ih8oc4"),
        row("block_unfused", 1.5, problem="conv_block:ic3ih8oc4"),
    ]  # fmt: skip
    asked = []

    def chosen(problem: Conv2dProblem, threads: int, *, tuned: bool) -> Any:
        asked.append((str(problem), threads, tuned))
        return SimpleNamespace(algorithm=SimpleNamespace(name="slow"))

    monkeypatch.setattr("suite.report.choice.choose", chosen)
    one, one_missed, two, two_missed = choice_tables(frame_of(rows))
    assert asked == [(TEXT, 1, False), (other, 1, False), (TEXT, 2, False)]
    assert one.title == "What auto chose, 1 thread"
    assert one.lines == [
        ("cost model alone", "2", "1 of 2", "50.0 %", "1.10x", "1.20x", TEXT, "slow", "fast"),
        ("auto, as measured", "2", "1 of 2", "50.0 %", "1.25x", "1.50x", other, "fast", "slow"),
    ]
    assert one_missed.lines == [
        (TEXT, "fast", "1.00 s", "slow", "1.20x", "fast", "1.05x"),
        (other, "slow", "800 ms", "slow", "1.00x", "fast", "1.50x"),
    ]
    assert [line[0] for line in two.lines] == ["cost model alone"] and two_missed.lines[0][-2:] == ("", "")


def test_auto_is_held_against_every_peer_and_the_best_right_one_of_each_layer() -> None:
    rows = [
        row("auto", 0.1, family="auto"), row("ours", 0.05), peer("best", 0.2), peer("other", 0.4),
        peer("errs", 0.01, status="wrong"), row("ours", 0.1, threads=2), peer("best", 0.1, threads=2),
        *(row("auto", 0.4, family="auto", problem=OTHER), peer("other", 0.2, problem=OTHER)),
    ]  # fmt: skip
    [table] = automatic_tables(frame_of(rows))
    assert table.title == "What auto is worth, 1 thread"
    assert table.lines == [
        ("best peer of each layer", "2", "1.00x", "0.50x", OTHER, "1 of 2"),
        ("best", "1", "2.00x", "2.00x", TEXT, "1 of 1"),
        ("other", "2", "1.41x", "0.50x", OTHER, "1 of 2"),
    ]


def test_what_chooses_an_algorithm_is_none_and_only_auto_is_compared_with_libraries() -> None:
    rows = [
        row("auto", 0.3, family="auto"), row("auto_window_only", 0.1, family="window_only"),
        row("one_call", 0.2, family="one_call"), row("mine", 0.4), peer("lib", 0.6),
    ]  # fmt: skip
    [best] = bests(frame_of(rows)).to_dict("records")
    assert (best["ours_contender"], best["auto_time_s"], best["speedup"]) == ("mine", 0.3, pytest.approx(1.5))
    [table] = automatic_tables(frame_of(rows))
    assert table.lines[0][2] == "2.00x"
    [alone] = bests(frame_of(rows[1:3])).to_dict("records")
    assert alone["ours_contender"] == "auto_window_only" and pd.isna(alone["auto_time_s"])


def test_a_choice_alone_is_held_against_nothing() -> None:
    chosen = [
        row("auto", 1.0, problem=text, family="auto", reason="chose fast") for text in ("ic4ih8oc8kh3", "ic4ih6oc8kh3")
    ]
    assert choice_tables(frame_of([*chosen, peer("ncnn", 0.1)])) == []
