"""Speed against error: who is compared with whom on what, and a picture whose names can be read."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Annotation
from rich.console import Console

from suite.report.gather import combine, write_report
from suite.report.markdown import markdown
from suite.report.terminal import print_report
from suite.report.tradeoff import Point, Tradeoff, tradeoffs
from suite.report.tradeoff_plot import draw_tradeoff
from suite.results.rows import COLUMNS, LATER_COLUMNS, Row


def _row(algorithm: str, problem: str, time_s: float | None, error: float | None = 1e-7, **changes: Any) -> Row:
    values = dict.fromkeys(COLUMNS) | LATER_COLUMNS | {
        "run": "r", "machine": "m", "network": "net", "layer": problem, "occurs": 3, "problem": problem,
        "algorithm": algorithm, "family": "direct", "threads": 1, "status": "ok", "reason": "", "time_s": time_s,
        "rel_error": error, "useful_gflops": 1.0,
    }  # fmt: skip
    return {**values, **changes}


_A, _B, _C = "ic8ih9oc8kh3", "ic8ih9oc8kh5", "ic8ih9oc8kh1"

_ROWS = [
    _row("direct_tiled", _A, 1.0, 1e-7), _row("fast", _A, 0.25, 1e-6), _row("slow", _A, 4.0, 0.0),
    _row("direct_tiled", _B, 1.0, 4e-7), _row("fast", _B, 1.0, 1e-4), _row("slow", _B, None, status="skipped"),
    _row("fast", _C, 0.1, 1.0, status="mistrusted"), _row("errs", _A, None, 0.5, status="wrong"),
]  # fmt: skip


def _peer(name: str, problem: str, time_s: float | None, **changes: Any) -> Row:
    return _row(name, problem, time_s, 2e-7, **{"family": "peer", "library": name.title(), **changes})


def test_without_peers_speeds_are_in_times_of_direct_tiled_over_the_layers_that_are_right() -> None:
    [found] = tradeoffs(combine(_ROWS))
    assert (found.title, found.reference, found.layers) == ("Speed against error, 1 thread", "direct_tiled", 2)
    fast, direct, slow = found.points
    assert (fast.name, fast.layers, fast.peer) == ("fast", 2, False)
    # Means of 4 and 1, and of 1e-6 and 1e-4.
    assert fast.speed == pytest.approx(2.0) and fast.error == pytest.approx(1e-5) and fast.largest_error == 1e-4
    assert direct.speed == pytest.approx(1.0) and direct.error == pytest.approx(2e-7)
    # No error at all is drawn as half a rounding.
    assert (slow.name, slow.layers, slow.speed, slow.error) == ("slow", 1, 0.25, pytest.approx(2.0**-25))
    assert found.lines[0] == ("fast", "2", "1.0e-05", "1.0e-04", "2.00x")


def test_with_peers_speeds_are_in_times_of_the_best_right_one_of_each_layer() -> None:
    peers = [
        _peer("best", _A, 0.5), _peer("other", _A, 2.0), _peer("best", _B, 8.0), _peer("other", _B, 2.0),
        _peer("wrong", _A, 0.01, status="wrong"), _row("alone", _C, 1.0),
    ]  # fmt: skip
    [found] = tradeoffs(combine([*_ROWS, *peers]))
    speeds = {point.name: point.speed for point in found.points}
    assert found.reference == "the best peer of each layer"
    assert speeds == {
        "fast": pytest.approx(2.0), "direct_tiled": pytest.approx(1.0), "best": pytest.approx(0.5),
        "other": pytest.approx(0.5), "slow": pytest.approx(0.125),
    }  # fmt: skip
    assert {point.name for point in found.points if point.peer} == {"best", "other"}


def test_a_shape_of_two_networks_counts_once_and_circumstances_stay_apart() -> None:
    rows = [_row("a", _A, 1.0), _row("a", _A, 1.0, network="other"), _row("a", _A, 1.0, threads=2, cache="cold")]
    found = tradeoffs(combine(rows))
    assert [(each.title, each.points[0].layers, each.reference) for each in found] == [
        ("Speed against error, 1 thread", 1, "the fastest of each layer"),
        ("Speed against error, 2 threads, cold caches", 1, "the fastest of each layer"),
    ]


def test_rows_without_an_error_are_no_points() -> None:
    assert tradeoffs(combine([_row("a", _A, 1.0, None)])) == []
    [found] = tradeoffs(combine([_row("direct_tiled", _A, 1.0, None), _row("b", _A, 2.0)]))
    assert [(point.name, point.speed) for point in found.points] == [("b", 0.5)]


def test_the_report_has_the_picture_and_the_table_everywhere(tmp_path: Path) -> None:
    rows = [*_ROWS, _row("fast", _A, 1.0, cache="cold", threads=2)]
    written = write_report(combine(rows), None, tmp_path)
    assert [path.name for path in written[-2:]] == ["speed-error-1t.png", "speed-error-2t-cold.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written[-2:])
    text = written[0].read_text()
    assert "![speed-error-1t](speed-error-1t.png)" in text and "| fast | 2 | 1.0e-05 | 1.0e-04 | 2.00x |" in text
    assert "## Speed against error, 2 threads, cold caches" in markdown(combine(rows), None, None)
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    print_report(console, combine(rows), details=True)
    shown = console.export_text()
    assert "Speed against error, 1 thread" in shown and "in times of direct_tiled" in " ".join(shown.split())


def _tradeoff(points: list[Point]) -> Tradeoff:
    return Tradeoff(1, "warm", "direct_tiled", 9, tuple(points))


def test_the_picture_has_each_point_where_it_is_and_peers_are_hollow() -> None:
    axes = draw_tradeoff(_tradeoff([Point("a", False, 1, 1e-6, 1e-6, 2.0), Point("b", True, 1, 1e-7, 1e-7, 0.5)])).axes[
        0
    ]
    ours, peer = axes.lines[:2]
    assert np.asarray(ours.get_xydata()).tolist() == [[1e-6, 2.0]] and ours.get_markerfacecolor() != "none"
    assert np.asarray(peer.get_xydata()).tolist() == [[1e-7, 0.5]] and peer.get_markerfacecolor() == "none"
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")


def test_no_name_covers_another_one_or_a_point() -> None:
    # Twelve in a heap, where names right beside their points would lie over each other.
    points = [
        Point(f"algorithm_number_{i}", i % 2 == 0, 1, 4e-7 * 1.02**i, 1e-6, 0.9 * 1.03 ** (i % 4)) for i in range(12)
    ]
    figure = draw_tradeoff(_tradeoff([*points, Point("far", False, 1, 1e-5, 1e-5, 0.01)]))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    axes = figure.axes[0]
    names = [each for each in axes.texts if isinstance(each, Annotation) and each.get_text()]
    boxes = {each.get_text(): each.get_window_extent(canvas.get_renderer()) for each in names}
    assert len(boxes) == 13
    assert [pair for pair in itertools.combinations(boxes, 2) if boxes[pair[0]].overlaps(boxes[pair[1]])] == []
    marks = axes.transData.transform([(point.error, point.speed) for point in points])
    assert not any(box.contains(*mark) for box in boxes.values() for mark in marks)
    assert all(axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1 for box in boxes.values())
