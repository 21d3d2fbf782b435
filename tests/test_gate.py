"""The gate can fail and can pass, names what it is that changed, and never calls nothing green."""

from __future__ import annotations

import importlib
import itertools
import json
import math
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_workers import FakeWorker, FakeWorkers, quiet_guard

from suite.check.statistics import LOOKS, own_margin
from suite.check.tolerance import Tolerance
from suite.commands.app import command
from suite.gate.findings import CLEAN, DIRTY, METRICS, SLOWER, UNMEASURED, Benchmark, Finding, Findings, worst_first
from suite.gate.pair import BASE, CONTROL, HEAD, Offer, RevisionPair
from suite.gate.revisions import WORKING_TREE, Revision
from suite.gate.run import GateRun, benchmarks_of, controls_of
from suite.measure.interleave import Schedule
from suite.measure.result import ProcessResult
from suite.selection import select_layers

gate_command = importlib.import_module("suite.actions.gate")

#: Log ratios of pairs of the same code, by benchmark, as `convmark aa` measured them.
_RECORDED = json.loads((Path(__file__).parent / "recorded_pairs.json").read_text())["log_ratios"]
_BENCHMARKS = [Benchmark("quick", "layer", "ic8ih8oc8kh3", name, 1) for name in _RECORDED]
_NAMED = {each.algorithm: each for each in _BENCHMARKS}


@dataclass
class _Pair:
    """A generation that plays recorded pairs, changed as a test wants it."""

    number: int
    change: Callable[[str, str, int], ProcessResult | float | None]
    log: list[tuple[int, str]] = field(default_factory=list)

    def measure(
        self, benchmark: Benchmark, *, control: bool = False, slowdowns: Sequence[float] = ()
    ) -> dict[str, Any]:
        self.log.append((self.number, benchmark.algorithm))
        logs = _RECORDED[benchmark.algorithm]
        results = {BASE: _result(3e-4)}
        for side in (HEAD, CONTROL) if control else (HEAD,):
            # The control's pairs are other ones than head's.
            noise = logs[(self.number + (7 if side == CONTROL else 0)) % len(logs)]
            changed = self.change(side, benchmark.algorithm, self.number)
            results[side] = (
                changed
                if isinstance(changed, ProcessResult)
                else _result(3e-4 * math.exp(noise) * (1 + (changed or 0)))
            )
        return {side: [result] for side, result in results.items()}

    def __enter__(self) -> _Pair:
        return self

    def __exit__(self, *rest: object) -> None:
        pass


def _result(seconds: float) -> ProcessResult:
    return ProcessResult(seconds=[seconds])


def _run(
    change: Callable[[str, str, int], ProcessResult | float | None] = lambda side, name, number: None,
    *,
    deadline: float = 1e9,
) -> tuple[Findings, list[tuple[int, str]], list[dict[str, Any]]]:
    log: list[tuple[int, str]] = []
    lines: list[dict[str, Any]] = []
    clock = itertools.count()
    run = GateRun(_BENCHMARKS, 0.05, 0.01, deadline, lines.append, lambda: float(next(clock)))
    run.run(lambda number: _Pair(number, change, log))  # type: ignore[arg-type, return-value]
    found = Findings("a", "b", tuple(run.findings()), tuple(run.control_findings()), 0.05, 0.01, 1.0)
    return found, log, lines


def test_no_change_passes_after_the_screen_with_few_pairs() -> None:
    found, log, lines = _run()
    assert found.exit_code == CLEAN and {each.verdict for each in found.findings} == {"same"}
    assert len(found.findings) == len(_BENCHMARKS) and len(lines) == len(log)
    assert all(each.pairs <= LOOKS[2] for each in found.findings)


@pytest.mark.parametrize("slowdown", [0.10, 0.20])
@pytest.mark.parametrize("name", _RECORDED)
def test_a_slowdown_fails_and_that_benchmark_alone_is_named(name: str, slowdown: float) -> None:
    found, log, _ = _run(lambda side, who, number: slowdown if (side, who) == (HEAD, name) else None)
    assert found.exit_code == SLOWER and found.of("slower") == (found.findings[_BENCHMARKS.index(_NAMED[name])],)
    assert found.of("slower")[0].ratio == pytest.approx(1 + slowdown, abs=0.05)
    # The others are not measured again for its sake.
    late = {who for number, who in log if number >= LOOKS[1]}
    assert late == {name}


def test_a_speedup_is_reported_and_passes() -> None:
    name = _BENCHMARKS[0].algorithm
    found, _, _ = _run(lambda side, who, number: -0.2 if (side, who) == (HEAD, name) else None)
    assert found.exit_code == CLEAN
    assert [each.benchmark.algorithm for each in found.of("faster")] == [name]
    assert found.of("faster")[0].ratio == pytest.approx(0.8, abs=0.05) and "1 faster" in found.headline


def test_what_is_below_a_millisecond_is_checked_by_its_ratio_alone() -> None:
    # 0.3 milliseconds and thirty microseconds more: any absolute threshold would let it pass.
    found, _, _ = _run(lambda side, who, number: 0.1 if side == HEAD else None)
    assert len(found.of("slower")) == len(_BENCHMARKS)
    assert all(each.head_s - each.base_s < 1e-3 for each in found.findings)


def test_a_gate_that_never_fires_would_be_noticed() -> None:
    verdicts = {
        size: {each.verdict for each in _run(lambda side, who, n, s=size: s if side == HEAD else None)[0].findings}  # type: ignore[misc]
        for size in (-0.3, 0.0, 0.3)
    }
    assert verdicts == {-0.3: {"faster"}, 0.0: {"same"}, 0.3: {"slower"}}


def test_nothing_measured_is_never_green() -> None:
    disturbed = ProcessResult(seconds=[1e-3], disturbed="its thread ran 50% of the time")
    found, log, _ = _run(lambda side, who, number: disturbed)
    assert found.exit_code == UNMEASURED and {each.verdict for each in found.findings} == {"unmeasured"}
    assert "every pair was disturbed: its thread ran 50% of the time" in found.findings[0].reason
    assert max(number for number, _ in log) < 2 * LOOKS[-1]
    assert Findings("a", "b", (), (), 0.05, 0.01, 0.0).exit_code == UNMEASURED
    assert _run(deadline=0.0)[0].exit_code == UNMEASURED


def test_a_control_that_came_to_nothing_vouches_for_nothing() -> None:
    same = tuple(Finding(each, "same", 1.0, 0.99, 1.01, 3) for each in _BENCHMARKS)
    assert Findings("a", "b", same, same[:1], 0.05, 0.01, 1.0).exit_code == CLEAN
    for control in ((), (Finding(_BENCHMARKS[0], "unmeasured"),)):
        assert Findings("a", "b", same, control, 0.05, 0.01, 1.0).exit_code == UNMEASURED


def test_a_base_that_differs_from_itself_is_dirty_whatever_head_does() -> None:
    found, _, _ = _run(lambda side, who, number: 0.1 if side != BASE else None)
    assert found.exit_code == DIRTY and len(found.dirty) == len(controls_of(_BENCHMARKS))
    assert "differ from themselves" in found.headline


def test_the_time_ends_it_and_a_suspicion_is_not_green() -> None:
    found, log, _ = _run(lambda side, who, number: 0.1 if side == HEAD else None, deadline=len(_BENCHMARKS) * 5.0)
    assert found.exit_code == UNMEASURED and {each.verdict for each in found.findings} == {"undecided"}
    assert "the time was up" in found.findings[0].reason and len(log) < 6 * len(_BENCHMARKS)


def test_what_is_wrong_in_head_fails_and_what_is_wrong_in_base_is_unmeasured() -> None:
    name = _BENCHMARKS[1].algorithm
    wrong = ProcessResult("wrong", "3 of 9 elements are not finite")
    found, log, _ = _run(lambda side, who, number: wrong if (side, who) == (HEAD, name) else None)
    assert found.exit_code == SLOWER and [each.benchmark.algorithm for each in found.of("wrong")] == [name]
    assert found.of("wrong")[0].reason == "head is wrong: 3 of 9 elements are not finite"
    assert [number for number, who in log if who == name] == [0]
    found, _, _ = _run(lambda side, who, number: None)
    assert not found.of("wrong")


def test_a_disturbed_pair_does_not_count_and_is_made_up_for() -> None:
    disturbed = ProcessResult(seconds=[1.0], disturbed="its thread ran 50% of the time")
    found, _, _ = _run(lambda side, who, number: disturbed if (side, number) == (HEAD, 1) else None)
    assert found.exit_code == CLEAN
    assert all(each.pairs >= LOOKS[0] for each in found.findings)
    assert found.findings[0].reason.startswith("1 of ")


def test_every_pair_is_handed_out_to_be_stored() -> None:
    _, log, lines = _run()
    assert [(line["generation"], line["benchmark"].split()[2]) for line in lines] == log
    assert all(line["base_s"] > 0 and line["head_s"] > 0 for line in lines)


def _offer(*names: str, refused: str = "") -> Offer:
    text = "ic64ih56oc64kh3ph1"
    refusals: dict[str, dict[str, str | None]] = {
        name: {text: "the kernel is 3x3, expected 5x5" if name == refused else None} for name in names
    }
    return Offer(refusals, {name: Tolerance(rel_error=1.0) for name in names})


def test_a_variant_that_is_gone_or_new_is_named() -> None:
    layers = select_layers((), ["ic64ih56oc64kh3ph1"])
    offers = {BASE: _offer("direct_tiled", "winograd_f4x3"), HEAD: _offer("direct_tiled", "winograd_f6x3")}
    both, others = benchmarks_of(layers, (1, 2), offers)
    assert [(each.algorithm, each.threads) for each in both] == [("direct_tiled", 1), ("direct_tiled", 2)]
    assert [(each.verdict, each.benchmark.algorithm, each.reason) for each in others[:2]] == [
        ("gone", "winograd_f4x3", "in head, there is no algorithm winograd_f4x3"),
        ("new", "winograd_f6x3", "in base, there is no algorithm winograd_f6x3"),
    ]


def test_what_head_refuses_is_gone_and_what_both_refuse_is_no_benchmark() -> None:
    layers = select_layers((), ["ic64ih56oc64kh3ph1"])
    offers = {BASE: _offer("a", "b"), HEAD: _offer("a", "b", refused="b")}
    assert [(each.verdict, each.reason) for each in benchmarks_of(layers, (1,), offers)[1]] == [
        ("gone", "in head, the kernel is 3x3, expected 5x5")
    ]
    refused = {BASE: _offer("a", "b", refused="b"), HEAD: _offer("a", "b", refused="b")}
    assert [each.algorithm for each in benchmarks_of(layers, (1,), refused)[0]] == ["a"]
    assert benchmarks_of(layers, (1,), offers, ["a"])[1] == []


def test_the_worst_is_named_first_and_json_has_no_nan() -> None:
    verdicts = ("same", "faster", "slower", "new", "unmeasured", "wrong")
    findings = [Finding(each, verdict) for each, verdict in zip(_BENCHMARKS * 6, verdicts, strict=False)]
    findings.append(Finding(_BENCHMARKS[0], "slower", 1.5, 1.4, 1.6, 18))
    assert [each.verdict for each in worst_first(findings)] == [
        "wrong", "slower", "slower", "unmeasured", "new", "faster", "same",
    ]  # fmt: skip
    assert worst_first(findings)[1].ratio == 1.5
    text = json.dumps(Findings("a", "b", tuple(findings), (), 0.05, 0.01, 1.0).as_dict(), allow_nan=False)
    assert json.loads(text)["findings"][0]["ratio"] is None


def test_recorded_pairs_are_those_of_unchanged_code() -> None:
    assert all(len(logs) >= LOOKS[2] and abs(np.median(logs)) < 0.06 for logs in _RECORDED.values())


# -- a margin of its own, other metrics, and what would decide it ---------------------------


def test_a_benchmark_that_differs_from_itself_has_a_wider_margin_and_others_have_not() -> None:
    rng = np.random.default_rng(3)
    noisy = _BENCHMARKS[0].algorithm

    def change(side: str, who: str, number: int) -> float | None:
        if who != noisy:
            return None
        return float(np.exp(rng.normal(0.0, 0.15))) * (1.1 if side == HEAD else 1.0) - 1

    found, _, lines = _run(change)
    margins = {each.benchmark.algorithm: each.margin for each in found.findings}
    assert margins.pop(noisy) > 0.2 and set(margins.values()) == {0.05}
    reason = next(each.reason for each in found.findings if each.benchmark.algorithm == noisy)
    assert "base differs from itself, so that its margin is" in reason
    # What the screen did not decide is compared with itself as well.
    assert all("control_s" in line for line in lines if line["generation"] >= LOOKS[0])


def test_a_margin_is_never_below_the_asked_one_and_few_pairs_say_nothing() -> None:
    assert own_margin(0.05, np.zeros(27)) == 0.05
    assert own_margin(0.05, [0.5, -0.5, 0.5]) == 0.05
    assert own_margin(0.05, np.tile([0.1, -0.1], 8)) == pytest.approx(math.expm1(2 * 1.4826 * 0.1))
    # One disturbed pair does not widen it.
    assert own_margin(0.05, [0.0] * 12 + [3.0]) == 0.05


def _metrics(
    compile_s: Callable[[str], float] = lambda side: 2.0, nbytes: Callable[[str], int] = lambda side: 4096,
    metrics: tuple[str, ...] = METRICS,
) -> dict[str, Finding]:  # fmt: skip
    """Findings of one benchmark by metric, of sides that compile and hold what they are told to."""

    class Sides(_Pair):
        def measure(self, benchmark: Benchmark, *, control: bool = False, **rest: Any) -> dict[str, Any]:
            sides = (BASE, HEAD, CONTROL) if control else (BASE, HEAD)
            noise = 1 + 1e-3 * self.number
            return {
                side: [
                    ProcessResult(
                        seconds=[1e-3],
                        first_s=compile_s(side) * noise + 0.5,
                        prepare_s=0.5,
                        workspace_bytes=nbytes(side),
                    )
                ]
                for side in sides
            }

    benchmark = _BENCHMARKS[0]
    run = GateRun([benchmark], 0.05, 0.01, 1e9, metrics=metrics, clock=lambda: 0.0)
    run.run(lambda number: Sides(number, lambda side, who, n: None))  # type: ignore[arg-type, return-value]
    found = run.findings()
    assert [each.benchmark.metric for each in found] == [*metrics]
    return {each.benchmark.metric: each for each in found}


def test_slower_compiling_is_found_and_the_same_is_not() -> None:
    assert {each.verdict for each in _metrics().values()} == {"same"}
    found = _metrics(lambda side: 2.4 if side == HEAD else 2.0)
    assert (found["time"].verdict, found["compile"].verdict) == ("same", "slower")
    assert found["compile"].ratio == pytest.approx(1.2, abs=0.01)
    assert found["compile"].base_s == pytest.approx(2.0, abs=0.1)
    # Loading takes milliseconds that nothing follows from.
    assert _metrics(lambda side: 0.02 if side == HEAD else 0.01)["compile"].verdict == "same"


def test_a_byte_more_of_workspace_fails_and_less_is_praised() -> None:
    for more, verdict, code in ((1, "slower", SLOWER), (0, "same", CLEAN), (-1, "faster", CLEAN)):
        found = _metrics(nbytes=lambda side, more=more: 4096 + more if side == HEAD else 4096)["workspace"]  # type: ignore[misc]
        assert found.verdict == verdict
        same = Finding(_BENCHMARKS[0], "same", 1.0, 0.99, 1.01, 3)
        assert Findings("a", "b", (found, same), (same,), 0.05, 0.01, 1.0).exit_code == code
    assert found.reason == "4095 bytes of workspace, were 4096"
    assert _metrics(nbytes=lambda side: 8 if side == HEAD else 0)["workspace"].verdict == "slower"
    assert [*_metrics(metrics=("workspace",))] == ["workspace"]


def test_names_of_times_stay_and_other_metrics_have_names_of_their_own() -> None:
    names = [replace(_BENCHMARKS[0], metric=metric).name for metric in METRICS]
    assert names[0] == f"quick/layer ic8ih8oc8kh3 {_BENCHMARKS[0].algorithm} 1t"
    assert names[1:] == [f"{names[0]} compile", f"{names[0]} workspace"]


def test_what_is_undecided_names_the_command_that_decides_it() -> None:
    decider = partial(gate_command._decider, "main branch", WORKING_TREE, 0.05, "current")
    run = GateRun(_BENCHMARKS, 0.05, 0.01, 5.0 * len(_BENCHMARKS), decider=decider, clock=itertools.count().__next__)
    slower = lambda side, who, number: 0.1 if side == HEAD else None  # noqa: E731
    run.run(lambda number: _Pair(number, slower))  # type: ignore[arg-type, return-value]
    found = run.findings()
    assert {each.verdict for each in found} == {"undecided"}
    said = found[0].reason.partition("decide it with: ")[2]
    name = found[0].benchmark.algorithm
    expected = f"convmark gate --base 'main branch' -p ic8ih8oc8kh3 -a {name} -t 1 --environment current --minutes 30"
    assert said == expected
    # It is a command that there is.
    assert command("gate").make_context("gate", shlex.split(said)[2:]).params["base"] == "main branch"


def test_every_other_generation_starts_and_prepares_head_before_base() -> None:
    order: list[str] = []

    def start(revision: Revision, threads: int, compiled: Path | None) -> FakeWorker:
        order.append(revision.name)
        return FakeWorkers().start(revision.name, threads, compiled)

    revisions = {side: Revision(side, Path(), "") for side in (BASE, HEAD, CONTROL)}
    offers = {side: _offer("direct_naive") for side in revisions}
    schedule = Schedule(0.0, rounds=1, settle_s=0.0)
    for number in (0, 1):
        with RevisionPair(number, revisions, offers, schedule, start, quiet_guard) as pair:
            found = pair.measure(replace(_BENCHMARKS[0], algorithm="direct_naive"), control=True)
            assert [*found] == [BASE, HEAD, CONTROL] and all(own[0].quiet for own in found.values())
    assert order == [BASE, HEAD, CONTROL, CONTROL, HEAD, BASE]


def test_compiling_is_measured_with_an_empty_folder_for_each_process() -> None:
    folders: list[Path] = []

    def start(revision: Revision, threads: int, compiled: Path | None) -> FakeWorker:
        assert compiled is not None and compiled.is_dir() and not any(compiled.iterdir())
        folders.append(compiled)
        return FakeWorkers().start(revision.name, threads, compiled)

    revisions = {side: Revision(side, Path(), "") for side in (BASE, HEAD)}
    offers = {side: _offer("direct_naive") for side in revisions}
    schedule = Schedule(0.0, rounds=1, settle_s=0.0)
    with RevisionPair(0, revisions, offers, schedule, start, quiet_guard, compile_anew=True) as pair:
        pair.measure(replace(_BENCHMARKS[0], algorithm="direct_naive"))
    assert len({*folders}) == 2 and not any(folder.exists() for folder in folders)
