"""The profile of transforms: each phase against its own limit, as a table, JSON and a file."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from kernels import Conv2dProblem, get_algorithm
from kernels.phases import Phase, least_seconds
from suite import cli
from suite.machine import probes
from suite.measure import phases
from suite.measure.phases import MEMORY, Ceilings, Profile, profile_phases
from suite.report.phases import PHASE_HEADINGS, phase_lines

_TEXT = "ic16ih8oc16kh3ph1"
_P = Conv2dProblem.parse(_TEXT)
_ALGORITHM = "winograd_f4x3"
_SRC = _DST = 4 * 16 * 64

_SCRIPT = Path(__file__).parent.parent / "results" / "profile" / "run.sh"


@pytest.fixture
def rates(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Limits of 100 GFLOP/s, 8 GB/s a loop over a layer, 32 GB/s one over a block, 2 GB/s of reading; asked sizes."""
    asked: list[int] = []
    block = get_algorithm(_ALGORITHM).workspace_bytes(_P, 1)

    def bandwidth(threads: int, nbytes: int, clock: object) -> float:
        assert threads == 1 and clock is time.thread_time
        asked.append(nbytes)
        return 32.0 if nbytes == block else 8.0

    monkeypatch.setattr(probes, "measure_fma", lambda dtype, threads, clock: 100.0)
    monkeypatch.setattr(probes, "measure_bandwidth", bandwidth)
    monkeypatch.setattr(probes, "measure_reading", lambda nbytes, clock: 2.0)
    return asked


def _phases(monkeypatch: pytest.MonkeyPatch, flops: float, weights: int) -> None:
    """Points of 3200 and sums of 6400 bytes; of ten microseconds in all, two, five and three."""
    found = [
        Phase("into", 2e-6, 0.0, _SRC + 3200), Phase("products", 5e-6, flops, weights + 3200 + 6400),
        Phase("out", 3e-6, 0.0, 6400 + _DST),
    ]  # fmt: skip
    monkeypatch.setattr(probes, "measure_phases", lambda problem, algorithm: found)


def test_each_phase_is_held_against_its_own_limit(monkeypatch: pytest.MonkeyPatch, rates: list[int]) -> None:
    _phases(monkeypatch, flops=4e5, weights=1000)
    found = profile_phases(_P, _ALGORITHM, Ceilings())
    into, products, out = found.phases
    assert [phase.share for phase in found.phases] == pytest.approx([0.2, 0.5, 0.3])
    # The source at the layer's 8 GB/s, the points at the block's 32.
    assert into.limit_s == pytest.approx(_SRC / 8e9 + 3200 / 32e9)
    assert out.limit_s == pytest.approx(6400 / 32e9 + _DST / 8e9)
    assert into.pct_of_limit == pytest.approx(100 * into.limit_s / 2e-6)
    assert (products.limit, products.limit_s, products.gflops) == ("FMA", pytest.approx(4e-6), pytest.approx(80))
    assert products.pct_of_limit == pytest.approx(80)
    far, near = into.limit.split(", ")
    assert (far.split()[1], near.split()[1]) == ("8", "32") and out.limit == f"{near}, {far}"
    block = get_algorithm(_ALGORITHM).workspace_bytes(_P, 1)
    assert rates == [_SRC + 1000 + _DST + block, block]
    assert found.call_s > 0 and found.nominal_gflops == pytest.approx(2e-9 * _P.macs_nominal / found.call_s)


def test_products_that_wait_for_their_weights_are_held_against_reading_them(
    monkeypatch: pytest.MonkeyPatch, rates: list[int]
) -> None:
    _phases(monkeypatch, flops=1e5, weights=9000)
    products = profile_phases(_P, _ALGORITHM, Ceilings()).phases[1]
    assert products.limit.startswith("weights: ") and products.limit_s == pytest.approx(4.5e-6)


def test_the_level_is_the_smallest_cache_that_holds_so_much(monkeypatch: pytest.MonkeyPatch) -> None:
    class Machine:
        caches = {"L3": 3000, "L1d": 100, "L2": 1000}  # noqa: RUF012

    monkeypatch.setattr(phases, "this_machine", Machine)
    assert [Ceilings.level_of(n) for n in (100, 101, 1000, 3000, 3001)] == ["L1d", "L2", "L2", "L3", MEMORY]


def test_a_limit_is_measured_once_for_each_size(rates: list[int]) -> None:
    ceilings = Ceilings()
    assert ceilings.moving_gb_s(7) == ceilings.moving_gb_s(7) == 8.0 and ceilings.moving_gb_s(9) == 8.0
    assert rates == [7, 9] and ceilings.reading_gb_s(7) == 2.0


def test_reading_is_measured_and_not_done_away_with_by_the_compiler() -> None:
    # No core reads a thousand GB/s; a pass that was done once for all passes would.
    assert 1 < probes.measure_reading(2**20, 1e-3, time.thread_time) < 1000


def test_real_phases_take_about_the_time_of_a_call() -> None:
    problem = Conv2dProblem.parse("ic32ih28oc32kh3ph1")
    found = profile_phases(problem, _ALGORITHM, Ceilings())
    assert [phase.name for phase in found.phases] == ["input transform", "products", "output transform"]
    assert 0.5 < sum(phase.seconds for phase in found.phases) / found.call_s < 2
    assert sum(phase.share for phase in found.phases) == pytest.approx(1)
    assert all(0 < phase.pct_of_limit < 300 for phase in found.phases)


def test_a_refusal_is_a_line_with_its_reason() -> None:
    [line] = phase_lines([Profile("p", "a", "the kernel is 5x5")])
    assert line[:2] == ("p", "a") and "skipped: the kernel is 5x5" in line and len(line) == len(PHASE_HEADINGS)


def _convmark(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as exit_:
        cli.main(("profile", *arguments))
    said = capsys.readouterr()
    return int(exit_.value.code or 0), said.out, said.err


def test_the_command_prints_and_writes_every_phase(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rates: list[int]
) -> None:
    _phases(monkeypatch, flops=4e5, weights=1000)
    page = tmp_path / "new" / "profile.md"
    chosen = ("-p", _TEXT, "-p", "ic16ih9oc16kh5", "-a", _ALGORITHM, "-o", str(page))
    code, out, err = _convmark(capsys, *chosen)
    assert code == 0 and "80.0" in out and "FMA limit float32, 1 thread: 100 GFLOP/s" in out
    assert f"[1/2] text/{_TEXT}: 1 ok" in err and "1 skipped" in err
    text = page.read_text()
    assert "|  |  |  |  | products | 5.00 us | 50% | 80.0 |" in text and "skipped: the kernel is 5x5" in text
    content = json.loads(_convmark(capsys, *chosen, "--json")[1])
    first, second = content["profiles"]
    assert content["fma_gflops"] == 100 and first["phases"][1]["pct_of_limit"] == pytest.approx(80)
    assert second["reason"].startswith("the kernel is 5x5") and second["phases"] == []


def test_only_transforms_have_phases(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = _convmark(capsys, "-a", "direct_tiled")
    assert (code, out) == (2, "")
    assert err.startswith("convmark: --algorithm is 'direct_tiled', which has no phases, expected one of fft_tile16")


def test_the_script_writes_beside_itself() -> None:
    done = subprocess.run(
        ["bash", str(_SCRIPT), "-a", _ALGORITHM], env={**os.environ, "CONVMARK": "echo"}, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert done.stdout == f"profile --output {_SCRIPT.parent / 'profile.md'} -a {_ALGORITHM}\n"


def test_a_clock_that_advances_by_whole_milliseconds_still_tells_a_short_call(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def coarse() -> float:
        nonlocal now
        now += 2e-6
        return 4e-3 * (now // 4e-3)

    def call() -> None:
        nonlocal now
        now += 50e-6

    monkeypatch.setattr(time, "thread_time", coarse)
    assert least_seconds([call], 1e-6) == [pytest.approx(50e-6, rel=0.06)]
