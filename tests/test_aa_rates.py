"""The pairs control tells a gate that keeps its promise from one that does not."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from suite.check.statistics import LOOKS
from suite.gate.aa import AaPairs, aa_rates
from suite.machine.environment import this_machine
from suite.report.machine import control_facts


def _null(noise: float, bias: float = 0.0, benchmarks: int = 12, generations: int = 40, seed: int = 0) -> AaPairs:
    rng = np.random.default_rng(seed)
    logs = {
        size: np.log1p(size) + bias + rng.normal(0, noise, (benchmarks, generations)) for size in (0.0, 0.05, 0.1, 0.2)
    }
    return AaPairs([f"benchmark {i}" for i in range(benchmarks)], logs)


def test_quiet_pairs_raise_no_alarm_and_every_slowdown_is_found() -> None:
    rates = aa_rates(_null(0.01), margin=0.05, risk=0.01, runs=200)
    assert rates.false_alarm == 0.0 and 0 < rates.false_alarm_high < 0.03
    assert [each.slowdown for each in rates.powers] == [0.05, 0.1, 0.2]
    assert all(each.detection >= 0.98 for each in rates.powers)
    assert all(each.measured == pytest.approx(each.slowdown, abs=0.01) for each in rates.powers)
    assert 0.02 < rates.smallest <= 0.05
    assert rates.pair_noise == pytest.approx(0.01, rel=0.2)


def test_noise_costs_detections_and_not_false_alarms() -> None:
    rates = aa_rates(_null(0.08), margin=0.05, risk=0.01, runs=200)
    assert rates.false_alarm <= 0.01
    assert rates.powers[0].detection < 0.5 < rates.powers[2].detection
    assert rates.powers[0].missed_as["same"] + rates.powers[0].missed_as["undecided"] > 0.4


def test_a_bias_towards_one_side_is_an_alarm() -> None:
    assert aa_rates(_null(0.01, bias=0.06), margin=0.05, risk=0.01, runs=50).false_alarm == 1.0
    assert aa_rates(_null(0.01, bias=-0.06), margin=0.05, risk=0.01, runs=50).false_praise == 1.0


def test_disturbed_pairs_do_not_count_and_too_few_are_refused() -> None:
    pairs = _null(0.01, generations=LOOKS[-1])
    pairs.logs[0.0][:, ::2] = np.nan
    rates = aa_rates(pairs, margin=0.05, risk=0.01, runs=50)
    assert rates.disturbed == 12 * 14 and rates.false_alarm == 0.0
    pairs.logs[0.0][3, 2:] = np.nan
    with pytest.raises(ValueError, match="a benchmark has 1 undisturbed pairs, expected at least 3"):
        aa_rates(pairs, margin=0.05, risk=0.01)


def test_what_all_benchmarks_have_in_common_stays_together() -> None:
    # One busy generation in ten slows head of every benchmark alike: alarms come together or not at all.
    pairs = _null(0.001)
    pairs.logs[0.0][:, ::10] += 0.5
    rates = aa_rates(pairs, margin=0.05, risk=0.01, runs=200)
    assert rates.false_alarm <= 0.01 and math.isfinite(rates.smallest)


def test_the_same_seed_gives_the_same_rates_and_json_results_them() -> None:
    first, second = (aa_rates(_null(0.03), margin=0.05, risk=0.01, runs=40) for _ in range(2))
    assert first == second
    assert json.loads(json.dumps(first.as_dict(), allow_nan=False))["runs"] == 40


def test_reports_have_the_newest_control_of_the_same_machine(tmp_path: Path) -> None:
    machine = this_machine()
    stored = aa_rates(_null(0.01), margin=0.05, risk=0.01, runs=20).as_dict()
    for name, cpu in (("20260101T000000Z", machine.cpu), ("20260102T000000Z", machine.cpu), ("20260103T000000Z", "x")):
        folder = tmp_path / "aa" / name
        folder.mkdir(parents=True)
        content = {**stored, "machine": {**machine.as_dict(), "cpu": cpu}}
        (folder / "rates.json").write_text(json.dumps(content) if cpu != "x" else "{}")
    facts = dict(control_facts(tmp_path, machine))
    assert facts["A/A control of"] == "20260102T000000Z"
    assert facts["false alarms of a gate run"] == "0.00% of 20 resampled"
    assert control_facts(tmp_path / "elsewhere", machine) == []
