"""Generations of processes: kept over all layers, all ended at the end, and nothing is done twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_workers import FakeWorker, FakeWorkers, quiet_guard

from kernels import Conv2dProblem
from suite import oracles
from suite.check.checker import Oracle
from suite.contenders import Contender, Peer, get_contender
from suite.measure.interleave import Schedule
from suite.measure.measurements import Measurements
from suite.measure.oracle_cache import OracleCache
from suite.measure.pool import WorkerPool
from suite.measure.result import ProcessResult
from suite.measure.runner import run_cases
from suite.measure.sampling import Sample
from suite.measure.screen import Screen
from suite.measure.worker import WorkerError
from suite.selection import Case, Request

_TEXTS = ("ic1ih6oc1kh3ph1", "ic1ih5oc1kh2")
_NAMES = ("direct_naive", "scipy")


def _request(**changes: Any) -> Request:
    values: dict[str, Any] = {"networks": (), "problems": _TEXTS, "contenders": _NAMES, "mb": 1, "threads": (1,),
                              "budget_s": 0.0, "processes": 2}  # fmt: skip
    return Request(**{**values, **changes})


def _run(
    workers: FakeWorkers,
    cases: Mapping[Case, Sequence[Contender]],
    measurements: Measurements | None = None,
    processes: int = 2,
    **rest: Any,
) -> list[tuple[Case, int, dict[str, ProcessResult]]]:
    stored: list[tuple[Case, int, dict[str, ProcessResult]]] = []
    run_cases(
        cases, Measurements() if measurements is None else measurements, processes=processes, start=workers.start,
        guard=quiet_guard, schedule=lambda case: Schedule(0.0, rounds=2, settle_s=0.0),
        store=lambda *each: stored.append(each), **rest,
    )  # fmt: skip
    assert workers.open == 0
    return stored


def test_a_process_is_kept_over_all_layers_and_a_generation_has_fresh_ones() -> None:
    workers = FakeWorkers()
    stored = _run(workers, _request().cases())
    assert workers.started == {"direct_naive": 2, "scipy": 2}
    assert [(case.layer.name, generation, list(found)) for case, generation, found in stored] == [
        (text, generation, [*_NAMES]) for generation in (0, 1) for text in _TEXTS
    ]
    assert all(result.quiet and result.version for _, _, found in stored for result in found.values())


def test_each_number_of_threads_has_processes_of_its_own_and_each_cache_has_not() -> None:
    workers = FakeWorkers()
    cases = _request(caches=("warm", "cold"), contenders=("direct_naive",)).cases()
    _run(workers, cases, processes=1)
    assert workers.started == {"direct_naive": 1} and len(cases) == 4
    threads: list[int] = []
    [case, *_] = cases
    many = {Case(case.layer, n): cases[case] for n in (1, 2)}
    workers = FakeWorkers()
    run_cases(
        many, Measurements(), processes=1, guard=quiet_guard,
        schedule=lambda case: Schedule(0.0, rounds=2, settle_s=0.0),
        start=lambda name, n, compiled: threads.append(n) or workers.start(name, n, compiled),
        store=lambda *each: None,
    )  # fmt: skip
    assert threads == [1, 2] and workers.open == 0


def test_all_have_loaded_before_one_prepares_and_all_are_ready_before_one_is_timed() -> None:
    workers = FakeWorkers()
    _run(workers, _request(problems=_TEXTS[:1]).cases(), processes=1)
    kinds = [do for do, _ in workers.log]
    assert kinds[:2] == ["load"] * 2
    assert "prepare" not in kinds[kinds.index("time") :]


def test_every_other_generation_begins_with_the_last() -> None:
    workers = FakeWorkers()
    _run(workers, _request(problems=_TEXTS[:1]).cases())
    a, b = _NAMES
    assert workers.timed == [a, b, a, b, b, a, b, a]


def test_whole_numbers_are_asked_for_in_the_first_generation() -> None:
    workers = FakeWorkers()
    _run(workers, _request(problems=_TEXTS[:1]).cases(), processes=3)
    assert workers.log.count(("prepare", "direct_naive")) == 4


def test_after_a_crash_the_next_layer_has_a_new_process() -> None:
    workers = FakeWorkers()
    crashed: list[str] = []

    def asked(do: str, name: str) -> None:
        if do == "time" and name == "scipy" and not crashed:
            crashed.append(name)
            raise WorkerError("its process was ended by SIGSEGV at 'time'")

    workers.asked = asked
    (_, _, first), (_, _, second) = _run(workers, _request().cases(), processes=1)
    assert (first["scipy"].status, second["scipy"].status) == ("failed", "ok")
    assert workers.started == {"direct_naive": 1, "scipy": 2}


@pytest.mark.parametrize("raised", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("step", ["load", "prepare", "time"])
def test_all_processes_are_ended_whatever_is_raised(raised: type[BaseException], step: str) -> None:
    workers = FakeWorkers()

    def asked(do: str, name: str) -> None:
        if do == step and name == "scipy":
            raise raised

    workers.asked = asked
    with pytest.raises(raised):
        _run(workers, _request().cases())
    assert workers.started["direct_naive"] == 1 and workers.open == 0


def test_a_library_that_does_not_load_leaves_no_process_and_is_tried_anew() -> None:
    workers = FakeWorkers(raises={"scipy": "load"})
    with WorkerPool(1, None, workers.start) as pool:
        for _ in range(2):
            with pytest.raises(WorkerError, match="SIGSEGV at 'load'"):
                pool.get("scipy")
        assert workers.open == 0 and workers.started == {"scipy": 2}
        kept = pool.get("direct_naive")
        assert isinstance(kept, FakeWorker) and pool.get("direct_naive") is kept
        pool.stop("direct_naive")
        pool.stop("direct_naive")
        assert pool.get("direct_naive") is not kept
    assert workers.open == 0


def test_refused_and_missing_contenders_have_no_process() -> None:
    workers = FakeWorkers()
    [case, *_] = _request().cases()
    scipy = get_contender("scipy")
    gone = Peer("gone", "Gone", ("no-such-distribution",))
    [(_, _, refused)] = _run(workers, {Case(case.layer, 2): [scipy, gone]}, processes=1)
    assert (refused["scipy"].status, refused["scipy"].reason) == ("skipped", "there are 2 threads, expected 1")
    assert refused["gone"].status == "skipped" and "pip install no-such-distribution" in refused["gone"].reason
    assert workers.started == {}


def test_what_was_wrong_once_is_not_tried_in_the_next_generation() -> None:
    workers = FakeWorkers(spoil={"scipy": np.zeros_like})
    stored = _run(workers, _request(problems=_TEXTS[:1]).cases())
    assert [found["scipy"].status for _, _, found in stored] == ["wrong", "wrong"]
    assert workers.log.count(("prepare", "scipy")) == 1


def test_what_the_measurements_has_is_not_done_again() -> None:
    cases = _request().cases()
    first, second = cases
    measurements = Measurements()
    for case, generation in ((first, 0), (second, 0), (first, 1)):
        measurements.add(case, generation, {name: ProcessResult(seconds=[1.0]) for name in _NAMES})
    workers = FakeWorkers()
    stored = _run(workers, cases, measurements)
    assert [(case, generation) for case, generation, _ in stored] == [(second, 1)]
    assert workers.started == dict.fromkeys(_NAMES, 1)
    assert _run(FakeWorkers(), cases, measurements) == []
    assert [result.seconds for result in measurements.of(second, "scipy")] == [[1.0], [1.0] * 4]


def test_a_contender_without_its_result_has_its_case_measured_anew_for_all() -> None:
    cases = _request(problems=_TEXTS[:1]).cases()
    [(case, contenders)] = cases.items()
    measurements = Measurements()
    measurements.add(case, 0, {"direct_naive": ProcessResult(seconds=[9.0])})
    assert not measurements.has(case, 0, contenders) and not measurements.has(case, 1, contenders)
    [(_, generation, found)] = _run(FakeWorkers(), cases, measurements, processes=1)
    # Alone, the missing one would have nobody to be compared with.
    assert generation == 0 and [result.seconds for result in found.values()] == [[1.0] * 4] * 2


def test_who_is_too_slow_is_in_the_first_generation_alone_and_leaves_after_a_round() -> None:
    cases = _request(problems=_TEXTS[:1], contenders=("direct_naive", "direct_tiled", "im2col_gemm")).cases()
    [(case, contenders)] = cases.items()
    seconds = {"direct_naive": 3.1, "direct_tiled": 1.0, "im2col_gemm": 2.9}
    workers = FakeWorkers(samples=lambda name, process: [Sample(1, seconds[name], seconds[name], 0.0)] * 2)
    measurements = Measurements(screen=Screen(3.0))
    stored = _run(workers, cases, measurements, processes=3)
    assert [[*found] for _, _, found in stored] == [[*seconds], [*seconds][1:], [*seconds][1:]]
    assert workers.started == {"direct_naive": 1, "direct_tiled": 3, "im2col_gemm": 3}
    assert workers.timed.count("direct_naive") == 1 and workers.timed.count("im2col_gemm") == 6
    assert measurements.slow(case, contenders) == {"direct_naive"} and all(
        measurements.has(case, n, contenders) for n in range(3)
    )
    assert _run(FakeWorkers(), cases, measurements, processes=3) == []


def test_the_reference_the_best_peer_and_the_disturbed_are_not_screened_out() -> None:
    times = {"a": 1.0, "b": 5.0, "peer": 4.0, "worse_peer": 6.0, "unknown": float("nan")}
    assert Screen(3.0).slow(times, {"peer", "worse_peer"}) == {"b", "worse_peer"}
    assert Screen(3.0, "b").slow(times, {"peer", "worse_peer"}) == {"worse_peer"}
    assert Screen().slow(times, ()) == set() and Screen(3.0).slow({}, ()) == set()
    # One that others' load disturbed may be fast: it is measured again.
    cases = _request(problems=_TEXTS[:1]).cases()
    [(case, contenders)] = cases.items()
    measurements = Measurements(screen=Screen(3.0))
    measurements.add(
        case,
        0,
        {"direct_naive": ProcessResult(seconds=[9.0], disturbed="others"), "scipy": ProcessResult(seconds=[1.0])},
    )
    assert measurements.due(case, 1, contenders) == [*contenders]


def test_what_was_right_is_checked_once_and_another_choice_again() -> None:
    workers = FakeWorkers()
    _run(workers, _request(problems=_TEXTS[:1], contenders=("auto", "scipy")).cases(), processes=3)
    assert workers.log.count(("result", "auto")) == 2 and workers.log.count(("result", "scipy")) == 1
    workers = FakeWorkers(chosen=lambda process: ("direct_tiled", "direct_naive")[process % 2])
    _run(workers, _request(problems=_TEXTS[:1], contenders=("auto",)).cases(), processes=3)
    assert workers.log.count(("result", "auto")) == 3


def test_what_goes_on_in_a_step_is_told() -> None:
    said: list[str] = []
    _run(FakeWorkers(), _request(problems=_TEXTS[:1], contenders=("scipy",)).cases(), processes=2, told=said.append)
    assert [*dict.fromkeys(said)] == ["loading", "preparing", "verifying", "timing"]


def test_each_step_is_announced() -> None:
    seen: list[tuple[str, int, str]] = []
    cases = _request(problems=_TEXTS[:1]).cases()
    _run(
        FakeWorkers(),
        cases,
        processes=1,
        before=lambda case, number, name: seen.append((case.layer.name, number, name)),
    )
    a, b = _NAMES
    assert [name for _, _, name in seen] == [a, b] * 4
    assert {each[:2] for each in seen} == {(_TEXTS[0], 0)}


def test_the_oracle_of_a_layer_is_made_once_for_all_generations(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    honest = oracles.Oracle
    monkeypatch.setattr(oracles, "Oracle", lambda problem: made.append(problem) or honest(problem))
    _run(FakeWorkers(), _request().cases(), processes=3)
    assert len(made) == 2


def test_more_layers_than_there_were_places_do_not_make_the_oracle_work_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Conv2dProblem] = []
    honest = oracles.Oracle
    monkeypatch.setattr(oracles, "Oracle", lambda problem: made.append(problem) or honest(problem))
    _run(
        FakeWorkers(),
        _request(problems=tuple(f"ic1ih{n}oc1kh1" for n in range(1, 41)), contenders=("direct_naive",)).cases(),
    )
    assert len(made) == len(set(made)) == 40


def test_referees_that_do_not_fit_are_made_anew_and_the_others_are_not() -> None:
    made: list[Conv2dProblem] = []
    problems = [Conv2dProblem.parse(f"ic1ih{n}oc1kh1") for n in (8, 9, 10)]
    # A problem of 8x8 holds two fills of 65 inputs, a bias and 64 results.
    oracles = OracleCache(lambda problem: made.append(problem) or Oracle(problem), 2 * (4 * 66 + 8 * 64))
    for _ in range(2):
        for problem in problems:
            assert oracles(problem) is oracles(problem)
            assert oracles(problem).problem == problem
    assert made == [*problems, *problems[1:]]


def test_what_a_referee_is_said_to_hold_is_what_it_holds() -> None:
    problem = Conv2dProblem.parse("mb2g2ic4ih9oc6kh3b1")
    oracle = Oracle(problem)
    arrays = [
        array
        for inputs, expected in (oracle.integer, oracle.normal)
        for array in (inputs.first, inputs.second, inputs.bia, expected.exact)
    ]
    holds = sum(array.nbytes for array in arrays if array is not None)
    made: list[Conv2dProblem] = []

    def make(problem: Conv2dProblem) -> Oracle:
        made.append(problem)
        return Oracle(problem)

    for most, times in ((holds - 1, 2), (holds, 1)):
        made.clear()
        oracles = OracleCache(make, most)
        for each in (problem, Conv2dProblem.parse("ic9ih99oc9kh1"), problem):
            oracles(each)
        assert made.count(problem) == times


def test_real_processes_end_to_end(tmp_path: Path) -> None:
    stored: list[dict[str, ProcessResult]] = []
    run_cases(
        _request(problems=_TEXTS[:1]).cases(), Measurements(), processes=2, compiled=tmp_path,
        schedule=lambda case: Schedule(0.0, rounds=2, retries=0, settle_s=0.0),
        store=lambda b, g, found: stored.append(found),
    )  # fmt: skip
    assert [list(found) for found in stored] == [[*_NAMES]] * 2
    for result in (result for found in stored for result in found.values()):
        assert result.status == "ok" and len(result.seconds) >= 2 and result.version
        assert result.first_s >= result.first_call_s > 0  # type: ignore[operator]
    assert all(0 < result.rel_error < 1e-6 for result in stored[0].values())  # type: ignore[operator]
    # The second process finds compiled code on the disk, and what was right is not judged again.
    assert any(path.is_file() for path in tmp_path.rglob("*"))
    assert all(result.rel_error is None for result in stored[1].values())
