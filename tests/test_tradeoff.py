"""Speed against error: who is compared with whom on what, and a plot whose names can be read."""

from __future__ import annotations

import itertools
import re

import pandas as pd
import pytest
from report_rows import frame_of, peer, row

from suite.report.markdown import markdown
from suite.report.plots import tradeoff_figure
from suite.report.tradeoff import Tradeoff, tradeoff_tables, tradeoffs
from suite.results.rows import Row

_A, _B, _C = "ic8ih9oc8kh3", "ic8ih9oc8kh5", "ic8ih9oc8kh1"


def _row(name: str, problem: str, time_s: float | None, error: float | None = 1e-7, status: str = "ok") -> Row:
    return row(name, time_s, problem=problem, layer=problem, rel_error=error, status=status)


def _peer(name: str, problem: str, time_s: float, status: str = "ok") -> Row:
    return peer(name, time_s, problem=problem, layer=problem, rel_error=2e-7, status=status)


_ROWS = [
    _row("direct_tiled", _A, 1.0, 1e-7), _row("fast", _A, 0.25, 1e-6), _row("slow", _A, 4.0, 0.0),
    _row("direct_tiled", _B, 1.0, 4e-7), _row("fast", _B, 1.0, 1e-4), _row("slow", _B, None, status="skipped"),
    _row("fast", _C, 0.1, 1.0, status="mistrusted"), _row("errs", _A, None, 0.5, status="wrong"),
]  # fmt: skip


def test_without_peers_speeds_are_relative_to_direct_tiled_over_the_layers_that_are_right() -> None:
    [found] = tradeoffs(frame_of(_ROWS))
    assert (found.circumstances, found.reference, found.layers) == ("1 thread", "direct_tiled", 2)
    fast, direct, slow = found.points.to_dict("records")
    assert (fast["contender"], fast["layers"], fast["peer"]) == ("fast", 2, False)
    # Means of 4 and 1, and of 1e-6 and 1e-4.
    assert (fast["speed"], fast["error"]) == (pytest.approx(2.0), pytest.approx(1e-5)) and fast["largest"] == 1e-4
    assert (direct["speed"], direct["error"]) == (pytest.approx(1.0), pytest.approx(2e-7))
    # No error at all is drawn as half a rounding.
    assert (slow["layers"], slow["speed"], slow["error"]) == (1, 0.25, pytest.approx(2.0**-25))
    [table] = tradeoff_tables(frame_of(_ROWS))
    assert table.title == "Speed against error, 1 thread"
    assert table.lines[0] == ("fast", "2", "1.0e-05", "1.0e-04", "2.00x")
    assert "| fast | 2 | 1.0e-05 | 1.0e-04 | 2.00x |" in markdown(frame_of(_ROWS))


def test_with_peers_speeds_are_relative_to_the_best_right_one_of_each_layer() -> None:
    peers = [
        _peer("best", _A, 0.5), _peer("other", _A, 2.0), _peer("best", _B, 8.0), _peer("other", _B, 2.0),
        _peer("wrong", _A, 0.01, status="wrong"), _row("alone", _C, 1.0),
    ]  # fmt: skip
    [found] = tradeoffs(frame_of([*_ROWS, *peers]))
    points = found.points.set_index("contender")
    assert found.reference == "the best peer of each layer"
    assert points["speed"].to_dict() == {
        "fast": pytest.approx(2.0), "direct_tiled": pytest.approx(1.0), "best": pytest.approx(0.5),
        "other": pytest.approx(0.5), "slow": pytest.approx(0.125),
    }  # fmt: skip
    assert set(points.index[points["peer"]]) == {"best", "other"}


def test_a_shape_of_two_networks_counts_once_and_circumstances_stay_apart() -> None:
    rows = [_row("a", _A, 1.0), {**_row("a", _A, 1.0), "network": "other"},
            {**_row("a", _A, 1.0), "threads": 2, "cache": "cold"}]  # fmt: skip
    found = tradeoffs(frame_of(rows))
    assert [(each.circumstances, each.points["layers"].tolist(), each.reference) for each in found] == [
        ("1 thread", [1], "the fastest of each layer"),
        ("2 threads, cold caches", [1], "the fastest of each layer"),
    ]


def test_rows_without_an_error_are_no_points() -> None:
    assert tradeoffs(frame_of([_row("a", _A, 1.0, None)])) == []
    [found] = tradeoffs(frame_of([_row("direct_tiled", _A, 1.0, None), _row("b", _A, 2.0)]))
    assert found.points[["contender", "speed"]].to_numpy().tolist() == [["b", 0.5]]


def test_no_name_covers_another_one_or_a_point() -> None:
    # Twelve in a heap, where names right beside their points would lie over each other.
    points = [
        {"contender": f"algorithm_{i}", "peer": i % 2 == 0, "family": "direct", "layers": 1, "error": 4e-7 * 1.02**i,
         "largest": 1e-6, "speed": 0.9 * 1.03 ** (i % 4)}
        for i in range(12)
    ]  # fmt: skip
    far = {**points[0], "contender": "far", "error": 1e-5, "speed": 0.01}
    svg = tradeoff_figure(Tradeoff("1 thread", "direct_tiled", 9, pd.DataFrame([*points, far]))).svg
    found = re.findall(
        r"<text x=([\d.]+)% y=([\d.]+) dx=(-?\d+) dy=(-?\d+) text-anchor=(\w+)>(algorithm_\d+|far)</text>", svg
    )
    assert len(found) == 13
    boxes = []
    for x, y, dx, dy, anchor, name in found:
        long, left = 6.0 * len(name), 7.6 * float(x) + float(dx)
        left -= {"start": 0, "middle": long / 2, "end": long}[anchor]
        middle = float(y) + float(dy) - 4
        boxes.append((left, middle - 7, left + long, middle + 7))
        assert left >= 0 and left + long <= 760
    marks = [(7.6 * float(x) - 4, float(y) - 4, 7.6 * float(x) + 4, float(y) + 4) for x, y, *_ in found]
    for (i, one), (j, other) in itertools.product(enumerate(boxes), enumerate([*boxes, *marks])):
        apart = one[0] >= other[2] or other[0] >= one[2] or one[1] >= other[3] or other[1] >= one[3]
        assert i == j or apart, (found[i], found[j % 13])
