"""What results come to: whom is trusted, who is the best peer, and ratios pair by pair."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kernels import Conv2dProblem
from suite.catalogue import Layer
from suite.contenders import get_contender
from suite.machine.environment import Limits
from suite.measure.measurements import Measurements
from suite.measure.result import ProcessResult, Result, log_ratio
from suite.results.rows import COLUMNS, MEASURED, Row
from suite.results.summary import rows_of_case
from suite.selection import Case

_LAYER = Layer("net", "one", Conv2dProblem.parse("ic3ih6oc4kh2ph1"), 3)
_LIMITS = Limits({"float32": {1: 100.0, 2: 150.0}}, {1: 10.0})


def _result(*seconds: float, **changes: Any) -> ProcessResult:
    values: dict[str, Any] = {"rel_error": 1e-7, "workspace_bytes": 64, "first_s": 5.0, "first_call_s": 4.0,
                              "prepare_s": 0.5, "seconds": [*seconds]}  # fmt: skip
    return ProcessResult(**{**values, **changes})


def _disturbed(*seconds: float) -> ProcessResult:
    return _result(*seconds, disturbed="its thread ran 25% of the time")


def _rows(threads: int = 1, reference: str = "", **results: list[ProcessResult]) -> dict[str, Row]:
    contenders = [get_contender(name) for name in results]
    case, measurements = Case(_LAYER, threads, "warm"), Measurements()
    for generation in range(max(map(len, results.values()))):
        measurements.add(
            case, generation, {name: each[generation] for name, each in results.items() if generation < len(each)}
        )
    return {row["algorithm"]: row for row in rows_of_case(case, contenders, measurements, _LIMITS, reference)}


# -- one contender --------------------------------------------------------------------


def test_a_row_has_every_column_and_each_value_the_columns_kind() -> None:
    rows = _rows(direct_tiled=[_result(1.0, 2.0), _result(3.0)], ncnn=[_result(1.0), _result(1.0)])
    row = rows["direct_tiled"]
    assert set(row) == set(COLUMNS) - {"run", "machine"}
    for name, value in row.items():
        assert type(value) is COLUMNS[name], name
    assert (row["network"], row["layer"], row["occurs"], row["library"]) == ("net", "one", 3, "convmark")
    assert (rows["ncnn"]["library"], rows["ncnn"]["family"]) == ("ncnn", "peer")


def test_times_are_over_processes_not_samples() -> None:
    row = _rows(direct_tiled=[_result(1.0, 2.0, 9.0), _result(4.0), _result(6.0, 6.0)])["direct_tiled"]
    assert (row["time_s"], row["time_min_s"], row["processes"], row["samples"]) == (4.0, 1.0, 3, 6)
    assert row["time_spread"] == pytest.approx((5 - 3) / 4)


def test_speeds_are_of_the_median_and_against_the_limit_of_as_many_threads() -> None:
    problem = _LAYER.problem
    for threads, limit in ((1, 100.0), (2, 150.0)):
        row = _rows(threads, direct_tiled=[_result(0.5)])["direct_tiled"]
        assert row["useful_gflops"] == pytest.approx(2e-9 * problem.macs_useful / 0.5)
        assert row["nominal_gflops"] == pytest.approx(2e-9 * problem.macs_nominal / 0.5)
        assert row["pct_of_peak"] == pytest.approx(100 * row["useful_gflops"] / limit)


def test_the_first_process_compiles_and_the_later_ones_load() -> None:
    results = [_result(1.0, first_s=9.0, first_call_s=8.0), _result(1.0, first_s=2.5), _result(1.0, first_s=3.5)]
    row = _rows(direct_tiled=results)["direct_tiled"]
    assert (row["compile_s"], row["reload_s"], row["first_call_s"]) == (7.5, 1.5, 8.0)
    alone = _rows(direct_tiled=[_result(1.0, first_s=0.1)])["direct_tiled"]
    assert (alone["compile_s"], alone["reload_s"]) == (0.0, None)


def test_the_largest_error_of_all_processes_is_stated() -> None:
    assert _rows(direct_tiled=[_result(1.0), _result(1.0, rel_error=3e-7)])["direct_tiled"]["rel_error"] == 3e-7


def test_a_disturbed_minority_is_left_out() -> None:
    row = _rows(direct_tiled=[_result(1.0), _disturbed(9.0), _result(3.0)])["direct_tiled"]
    assert (row["status"], row["reason"]) == ("ok", "")
    assert (row["time_s"], row["processes"], row["samples"]) == (2.0, 2, 2)


@pytest.mark.parametrize("results", [[_result(1.0), _disturbed(9.0)], [_disturbed(1.0), _disturbed(9.0), _result(5.0)]])
def test_half_or_more_disturbed_is_mistrusted_and_keeps_its_time(results: list[ProcessResult]) -> None:
    row = _rows(direct_tiled=results)["direct_tiled"]
    assert (row["status"], row["time_s"], row["processes"]) == ("mistrusted", 5.0, len(results))
    count = sum(bool(result.disturbed) for result in results)
    assert row["reason"] == f"{count} of {len(results)} processes were disturbed: its thread ran 25% of the time"


@pytest.mark.parametrize("status", ["wrong", "failed", "skipped"])
def test_one_process_that_is_not_right_speaks_for_all(status: str) -> None:
    row = _rows(direct_tiled=[_result(1.0), ProcessResult(status, "why", rel_error=0.5), _result(1.0)])["direct_tiled"]
    assert (row["status"], row["reason"], row["rel_error"]) == (status, "why", 0.5)
    assert all(row[name] is None for name in MEASURED if name != "rel_error")


def test_what_auto_chose_is_its_reason() -> None:
    assert _rows(auto=[_result(1.0, chosen="fft_tile16")])["auto"]["reason"] == "chose fft_tile16"


# -- against others -------------------------------------------------------------------


def test_ratios_are_of_pairs_of_the_same_generation() -> None:
    # The machine became three times slower; who was measured beside it knows.
    rows = _rows(
        direct_tiled=[_result(1.1), _result(3.3), _result(3.6)], ncnn=[_result(1.0), _result(3.0), _result(3.0)]
    )
    row = rows["direct_tiled"]
    assert (row["reference"], row["ratio"]) == ("ncnn", pytest.approx(1.1))
    assert row["ratio_low"] < 1.1 < row["ratio_high"]
    assert rows["ncnn"]["ratio"] == 1.0


def test_only_pairs_in_which_both_were_undisturbed_count() -> None:
    rows = _rows(
        direct_tiled=[_result(2.0), _disturbed(50.0), _result(2.0), _result(2.0)],
        ncnn=[_result(1.0), _result(1.0), _disturbed(80.0), _result(1.0)],
    )
    assert rows["direct_tiled"]["ratio"] == pytest.approx(2.0)
    assert rows["direct_tiled"]["ratio_high"] == pytest.approx(2.0)


def test_a_single_pair_has_a_ratio_and_no_interval() -> None:
    row = _rows(direct_tiled=[_result(2.0)], ncnn=[_result(1.0)])["direct_tiled"]
    assert (row["ratio"], row["ratio_low"], row["ratio_high"]) == (pytest.approx(2.0), None, None)


def test_the_best_peer_is_the_fastest_that_is_right_and_trusted() -> None:
    rows = _rows(
        direct_tiled=[_result(2.0)],
        mnn=[ProcessResult("wrong", "relative L2 error is 0.01", seconds=[0.1])],
        opencv=[_disturbed(0.5)],
        onnxruntime=[_result(3.0)],
        ncnn=[_result(1.0)],
    )
    assert {row["reference"] for row in rows.values() if row["ratio"] is not None} == {"ncnn"}
    speedups = {name: row["speedup_vs_best_peer"] for name, row in rows.items()}
    assert speedups == {
        "direct_tiled": 0.5, "mnn": None, "opencv": 2.0, "onnxruntime": pytest.approx(1 / 3), "ncnn": 1.0,
    }  # fmt: skip


def test_without_a_peer_the_reference_is_the_fastest_and_no_speedup_is_stated() -> None:
    rows = _rows(
        direct_naive=[_result(4.0)], direct_tiled=[_result(1.0)], scipy=[ProcessResult("skipped", "not installed")]
    )
    assert rows["direct_naive"]["reference"] == "direct_tiled" and rows["direct_naive"]["ratio"] == 4.0
    assert rows["direct_naive"]["speedup_vs_best_peer"] is None
    assert rows["scipy"]["reference"] is None


def test_an_asked_reference_is_used_and_where_it_has_no_time_there_is_no_ratio() -> None:
    rows = _rows(
        reference="direct_naive", direct_naive=[_result(4.0)], direct_tiled=[_result(1.0)], ncnn=[_result(2.0)]
    )
    assert (rows["direct_tiled"]["reference"], rows["direct_tiled"]["ratio"]) == ("direct_naive", pytest.approx(0.25))
    assert rows["direct_tiled"]["speedup_vs_best_peer"] == 2.0
    rows = _rows(reference="direct_naive", direct_naive=[ProcessResult("failed", "boom")], direct_tiled=[_result(1.0)])
    assert (rows["direct_tiled"]["reference"], rows["direct_tiled"]["ratio"]) == ("direct_naive", None)


def test_a_mistrusted_one_has_a_ratio_of_its_quiet_pairs_alone() -> None:
    rows = _rows(direct_tiled=[_result(2.0), _disturbed(9.0)], ncnn=[_result(1.0), _result(1.0)])
    assert rows["direct_tiled"]["status"] == "mistrusted" and rows["direct_tiled"]["ratio"] == pytest.approx(2.0)


# -- outcomes and results ---------------------------------------------------------------


def test_visits_of_the_same_round_make_the_ratio_and_one_disturbed_round_does_not_move_it() -> None:
    # The machine is three times slower in the second round, and disturbs one visit of the last.
    mine = ProcessResult(seconds=[1.1, 3.3, 1.1, 9.0], visits=[1.1, 3.3, None, 1.1, 9.0])
    theirs = ProcessResult(seconds=[1.0, 3.0, 1.0], visits=[1.0, 3.0, 1.0, 1.0, 1.0])
    assert log_ratio(mine, theirs) == pytest.approx(np.log(1.1))
    assert log_ratio(ProcessResult(seconds=[2.0]), ProcessResult(seconds=[1.0], visits=[None])) == pytest.approx(
        np.log(2)
    )


def test_an_result_pairs_generations_in_their_order() -> None:
    mine, theirs = (
        Result([_result(1.0), _result(2.0), _result(3.0)]),
        Result([_result(4.0), _disturbed(5.0), _result(6.0)]),
    )
    assert mine.log_ratios_to(theirs) == pytest.approx(np.log([1 / 4, 3 / 6]))
    assert Result([_result(1.0)]).log_ratios_to(theirs) == pytest.approx(np.log([1 / 4]))


def test_a_result_without_samples_has_no_time_and_is_not_quiet() -> None:
    assert ProcessResult().median_s != ProcessResult().median_s and not ProcessResult().quiet
    assert Result([ProcessResult("failed", "boom")]).time_s != Result([ProcessResult("failed", "boom")]).time_s
    result = _result(1.0, chosen="x", version="2")
    assert ProcessResult(**result.as_dict()) == result
