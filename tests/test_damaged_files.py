"""Files of other tools: what is ours is read, what is not is counted, and damage is one sentence."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from suite.history.stored import stored_history
from suite.report.importers import ForeignError, read_asv_results, read_pytest_benchmark
from suite.results.rows import Row

_TEXT = "ic16ih14oc16kh3ph1"
_ASV: dict[str, Any] = {
    "commit_hash": "0123456789abcdef",
    "params": {"machine": "box"},
    "result_columns": ["result", "params", "version", "started_at", "duration", "stats_q_25", "stats_q_75"],
    "results": {
        "b.C.time_call": [
            [0.25, 0.5], [[repr(f"net/one {_TEXT}")], ["'direct_naive'", "'direct_tiled'"]], "v", 1000, 2,
            [0.24, 0.4], [0.265, 0.6],
        ]
    },
}  # fmt: skip
_PYTEST: dict[str, Any] = {
    "machine_info": {"node": "box"},
    "benchmarks": [
        {
            "extra_info": {"network": "n", "layer": "l", "problem": _TEXT, "algorithm": "direct_tiled", "threads": 1},
            "stats": {"median": 0.125, "min": 0.1, "iqr": 0.01, "rounds": 7},
        }
    ],
}


def _edit(whole: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy with another value at a place."""
    changed = inner = copy.deepcopy(whole)
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return changed


def _asv(folder: Path, content: object, warn: Any, name: str = "01234567-env.json") -> list[Row]:
    (folder / "box").mkdir(exist_ok=True)
    (folder / "box" / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return [row for result in read_asv_results(folder, warn) for row in result.rows]


_CALL = ("results", "b.C.time_call")


@pytest.mark.parametrize(
    ("path", "value", "kept"),
    [
        ((*_CALL, 0), [], 0),
        ((*_CALL, 0), ["abc", 0.5], 1),
        ((*_CALL, 0), [0.0, 0.5], 1),
        ((*_CALL, 0), [-1.0, 0.5], 1),
        ((*_CALL, 0), [10**400, 0.5], 1),
        ((*_CALL, 0), [{}, 0.5], 1),
        ((*_CALL, 5), [None, "x"], 1),
        ((*_CALL, 1, 1), ["'a", "'direct_tiled'"], 1),
        ((*_CALL, 1, 1), ["[1]", "'direct_tiled'"], 1),
        ((*_CALL, 1, 0), ["-" * 3000 + "1"], 0),
        ((*_CALL, 1, 0), [repr("net/one ic" + "9" * 5000 + "ih1oc1kh1")], 0),
        ((*_CALL, 3), "yesterday", None),
        (("params",), 7, None),
        (("result_columns",), None, None),
    ],
)
def test_damage_in_an_asv_file_costs_what_is_damaged(tmp_path: Path, path: Any, value: Any, kept: int | None) -> None:
    said: list[str] = []
    rows = _asv(tmp_path, _edit(_ASV, path, value), said.append)
    assert len(rows) == (kept or 0)
    if kept is None:
        assert len(said) == 1 and "is left out" in said[0] and str(tmp_path) in said[0]


def test_one_damaged_file_does_not_hide_the_others(tmp_path: Path) -> None:
    _asv(tmp_path, "[" * 100_000, lambda sentence: None, "deep-env.json")
    _asv(tmp_path, "\udcff".encode("utf-8", "surrogateescape").decode("latin-1"), lambda s: None, "odd-env.json")
    said: list[str] = []
    assert len(_asv(tmp_path, _ASV, said.append)) == 2
    assert [sentence.split("/")[-1].split(" ")[0] for sentence in said] == ["deep-env.json", "odd-env.json"]
    # Our own history goes on as well.
    assert len(stored_history(tmp_path / "none", tmp_path, said.append)) == 2


@pytest.mark.parametrize(
    "other",
    [
        {"problem": "poisson-2d"}, {"problem": 1000000}, {"problem": None}, {"problem": {"n": 3}}, {"problem": _TEXT},
        {**_PYTEST["benchmarks"][0]["extra_info"], "threads": "two"}, {}, None,
    ],
)  # fmt: skip
def test_benchmarks_of_others_in_a_file_are_left_out_and_counted(tmp_path: Path, other: Any) -> None:
    theirs = {**_PYTEST["benchmarks"][0], "extra_info": other}
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(_edit(_PYTEST, ("benchmarks",), [*_PYTEST["benchmarks"], theirs])))
    said: list[str] = []
    [row] = read_pytest_benchmark(path, said.append)
    assert (row["time_s"], row["algorithm"]) == (0.125, "direct_tiled")
    assert said == [f"{path} has 1 of 2 benchmarks that are not ours or are damaged, which are left out"]


@pytest.mark.parametrize("median", [0, "abc", None, 10**400, -1.0, float("nan"), True])
def test_a_median_that_is_no_time_is_left_out(tmp_path: Path, median: Any) -> None:
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(_edit(_PYTEST, ("benchmarks", 0, "stats", "median"), median)))
    said: list[str] = []
    assert read_pytest_benchmark(path, said.append) == [] and len(said) == 1


@pytest.mark.parametrize("text", ["[" * 100_000, "{", "[]", '{"benchmarks": 3}', "9" * 5000])
def test_what_is_no_such_file_is_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bench.json"
    path.write_text(text)
    with pytest.raises(ForeignError, match="a file of pytest --benchmark-json"):
        read_pytest_benchmark(path, pytest.fail)


def test_names_of_a_file_cannot_act_on_a_terminal(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(_edit(_PYTEST, ("benchmarks", 0, "extra_info", "network"), "\x1b[2J\x07\nquick")))
    [row] = read_pytest_benchmark(path, pytest.fail)
    assert row["network"].isprintable() and row["network"].endswith("quick")
