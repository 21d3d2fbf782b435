"""Generations of processes: kept over all layers, all ended at the end, and nothing is done twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from troupe import Actor, Troupe, quiet_guard

from kernels import Conv2dProblem
from suite import works
from suite.company import Company
from suite.contenders import Peer
from suite.interleave import Schedule
from suite.meter import Sample
from suite.outcome import Take
from suite.process import WorkerError
from suite.referees import Referees
from suite.runner import Ledger, run_bouts
from suite.screen import Screen
from suite.selection import Bout, Request, Task, bouts_of
from suite.verify import Referee

_TEXTS = ("ic1ih6oc1kh3ph1", "ic1ih5oc1kh2")
_NAMES = ("direct_naive", "scipy")


def _request(**changes: Any) -> Request:
    values: dict[str, Any] = {"networks": (), "problems": _TEXTS, "contenders": _NAMES, "mb": 1, "threads": (1,),
                              "budget_s": 0.0, "processes": 2}  # fmt: skip
    return Request(**{**values, **changes})


def _run(
    troupe: Troupe, tasks: list[Task], ledger: Ledger | None = None, processes: int = 2, **rest: Any
) -> list[tuple[Bout, int, dict[str, Take]]]:
    stored: list[tuple[Bout, int, dict[str, Take]]] = []
    run_bouts(
        tasks, Ledger() if ledger is None else ledger, processes=processes, start=troupe.start, guard=quiet_guard,
        schedule=lambda bout: Schedule(0.0, rounds=2, settle_s=0.0), store=lambda *each: stored.append(each), **rest,
    )  # fmt: skip
    assert troupe.open == 0
    return stored


def test_a_process_is_kept_over_all_layers_and_a_generation_has_fresh_ones() -> None:
    troupe = Troupe()
    stored = _run(troupe, _request().tasks())
    assert troupe.started == {"direct_naive": 2, "scipy": 2}
    assert [(bout.layer.name, generation, list(found)) for bout, generation, found in stored] == [
        (text, generation, [*_NAMES]) for generation in (0, 1) for text in _TEXTS
    ]
    assert all(take.quiet and take.version for _, _, found in stored for take in found.values())


def test_each_number_of_threads_has_processes_of_its_own_and_each_cache_has_not() -> None:
    troupe = Troupe()
    tasks = _request(caches=("warm", "cold"), contenders=("direct_naive",)).tasks()
    _run(troupe, tasks, processes=1)
    assert troupe.started == {"direct_naive": 1} and len(bouts_of(tasks)) == 4
    threads: list[int] = []
    many = [Task(task.layer, task.contender, n) for n in (1, 2) for task in tasks[:1]]
    troupe = Troupe()
    run_bouts(
        many, Ledger(), processes=1, guard=quiet_guard, schedule=lambda bout: Schedule(0.0, rounds=2, settle_s=0.0),
        start=lambda name, n, compiled: threads.append(n) or troupe.start(name, n, compiled),
        store=lambda *each: None,
    )  # fmt: skip
    assert threads == [1, 2] and troupe.open == 0


def test_all_have_loaded_before_one_prepares_and_all_are_ready_before_one_is_timed() -> None:
    troupe = Troupe()
    _run(troupe, _request(problems=_TEXTS[:1]).tasks(), processes=1)
    kinds = [do for do, _ in troupe.log]
    assert kinds[:2] == ["load"] * 2
    assert "prepare" not in kinds[kinds.index("time") :]


def test_every_other_generation_begins_with_the_last() -> None:
    troupe = Troupe()
    _run(troupe, _request(problems=_TEXTS[:1]).tasks())
    a, b = _NAMES
    assert troupe.timed == [a, b, a, b, b, a, b, a]


def test_whole_numbers_are_asked_for_in_the_first_generation() -> None:
    troupe = Troupe()
    _run(troupe, _request(problems=_TEXTS[:1]).tasks(), processes=3)
    assert troupe.log.count(("prepare", "direct_naive")) == 4


def test_after_a_crash_the_next_layer_has_a_new_process() -> None:
    troupe = Troupe()
    crashed: list[str] = []

    def asked(do: str, name: str) -> None:
        if do == "time" and name == "scipy" and not crashed:
            crashed.append(name)
            raise WorkerError("its process was ended by SIGSEGV at 'time'")

    troupe.asked = asked
    (_, _, first), (_, _, second) = _run(troupe, _request().tasks(), processes=1)
    assert (first["scipy"].status, second["scipy"].status) == ("failed", "ok")
    assert troupe.started == {"direct_naive": 1, "scipy": 2}


@pytest.mark.parametrize("raised", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("step", ["load", "prepare", "time"])
def test_all_processes_are_ended_whatever_is_raised(raised: type[BaseException], step: str) -> None:
    troupe = Troupe()

    def asked(do: str, name: str) -> None:
        if do == step and name == "scipy":
            raise raised

    troupe.asked = asked
    with pytest.raises(raised):
        _run(troupe, _request().tasks())
    assert troupe.started["direct_naive"] == 1 and troupe.open == 0


def test_a_library_that_does_not_load_leaves_no_process_and_is_tried_anew() -> None:
    troupe = Troupe(raises={"scipy": "load"})
    with Company(1, None, troupe.start) as company:
        for _ in range(2):
            with pytest.raises(WorkerError, match="SIGSEGV at 'load'"):
                company.hire("scipy")
        assert troupe.open == 0 and troupe.started == {"scipy": 2}
        kept = company.hire("direct_naive")
        assert isinstance(kept, Actor) and company.hire("direct_naive") is kept
        company.dismiss("direct_naive")
        company.dismiss("direct_naive")
        assert company.hire("direct_naive") is not kept
    assert troupe.open == 0


def test_refused_and_missing_contenders_have_no_process() -> None:
    troupe = Troupe()
    task = _request(contenders=("scipy", "direct_naive")).tasks()[0]
    gone = Peer("gone", "Gone", ("no-such-distribution",))
    [(_, _, refused)] = _run(troupe, [Task(task.layer, task.contender, 2), Task(task.layer, gone, 2)], processes=1)
    assert (refused["scipy"].status, refused["scipy"].reason) == ("skipped", "there are 2 threads, expected 1")
    assert refused["gone"].status == "skipped" and "pip install no-such-distribution" in refused["gone"].reason
    assert troupe.started == {}


def test_what_was_wrong_once_is_not_tried_in_the_next_generation() -> None:
    troupe = Troupe(spoil={"scipy": np.zeros_like})
    stored = _run(troupe, _request(problems=_TEXTS[:1]).tasks())
    assert [found["scipy"].status for _, _, found in stored] == ["wrong", "wrong"]
    assert troupe.log.count(("prepare", "scipy")) == 1


def test_what_the_ledger_has_is_not_done_again() -> None:
    tasks = _request().tasks()
    first, second = bouts_of(tasks)
    ledger = Ledger()
    for bout, generation in ((first, 0), (second, 0), (first, 1)):
        ledger.add(bout, generation, {name: Take(seconds=[1.0]) for name in _NAMES})
    troupe = Troupe()
    stored = _run(troupe, tasks, ledger)
    assert [(bout, generation) for bout, generation, _ in stored] == [(second, 1)]
    assert troupe.started == dict.fromkeys(_NAMES, 1)
    assert _run(Troupe(), tasks, ledger) == []
    assert [take.seconds for take in ledger.of(second, "scipy")] == [[1.0], [1.0] * 4]


def test_a_contender_without_its_take_has_its_bout_measured_anew_for_all() -> None:
    tasks = _request(problems=_TEXTS[:1]).tasks()
    [bout] = bouts_of(tasks)
    ledger = Ledger()
    ledger.add(bout, 0, {"direct_naive": Take(seconds=[9.0])})
    assert not ledger.has(bout, 0, tasks) and not ledger.has(bout, 1, tasks)
    [(_, generation, found)] = _run(Troupe(), tasks, ledger, processes=1)
    # Alone, the missing one would have nobody to be compared with.
    assert generation == 0 and [take.seconds for take in found.values()] == [[1.0] * 4] * 2


def test_who_is_too_slow_is_in_the_first_generation_alone_and_leaves_after_a_round() -> None:
    tasks = _request(problems=_TEXTS[:1], contenders=("direct_naive", "direct_tiled", "im2col_gemm")).tasks()
    [bout] = bouts_of(tasks)
    seconds = {"direct_naive": 3.1, "direct_tiled": 1.0, "im2col_gemm": 2.9}
    troupe = Troupe(samples=lambda name, process: [Sample(1, seconds[name], seconds[name], 0.0)] * 2)
    ledger = Ledger(screen=Screen(3.0))
    stored = _run(troupe, tasks, ledger, processes=3)
    assert [[*found] for _, _, found in stored] == [[*seconds], [*seconds][1:], [*seconds][1:]]
    assert troupe.started == {"direct_naive": 1, "direct_tiled": 3, "im2col_gemm": 3}
    assert troupe.timed.count("direct_naive") == 1 and troupe.timed.count("im2col_gemm") == 6
    assert ledger.slow(bout, tasks) == {"direct_naive"} and all(ledger.has(bout, n, tasks) for n in range(3))
    assert _run(Troupe(), tasks, ledger, processes=3) == []


def test_the_reference_the_best_peer_and_the_disturbed_are_not_screened_out() -> None:
    times = {"a": 1.0, "b": 5.0, "peer": 4.0, "worse_peer": 6.0, "unknown": float("nan")}
    assert Screen(3.0).slow(times, {"peer", "worse_peer"}) == {"b", "worse_peer"}
    assert Screen(3.0, "b").slow(times, {"peer", "worse_peer"}) == {"worse_peer"}
    assert Screen().slow(times, ()) == set() and Screen(3.0).slow({}, ()) == set()
    # One that others' load disturbed may be fast: it is measured again.
    tasks = _request(problems=_TEXTS[:1]).tasks()
    [bout] = bouts_of(tasks)
    ledger = Ledger(screen=Screen(3.0))
    ledger.add(bout, 0, {"direct_naive": Take(seconds=[9.0], disturbed="others"), "scipy": Take(seconds=[1.0])})
    assert ledger.due(bout, 1, tasks) == tasks


def test_what_was_right_is_judged_once_and_another_choice_again() -> None:
    troupe = Troupe()
    _run(troupe, _request(problems=_TEXTS[:1], contenders=("auto", "scipy")).tasks(), processes=3)
    assert troupe.log.count(("result", "auto")) == 2 and troupe.log.count(("result", "scipy")) == 1
    troupe = Troupe(chosen=lambda process: ("direct_tiled", "direct_naive")[process % 2])
    _run(troupe, _request(problems=_TEXTS[:1], contenders=("auto",)).tasks(), processes=3)
    assert troupe.log.count(("result", "auto")) == 3


def test_what_goes_on_in_a_step_is_told() -> None:
    said: list[str] = []
    _run(Troupe(), _request(problems=_TEXTS[:1], contenders=("scipy",)).tasks(), processes=2, told=said.append)
    assert [*dict.fromkeys(said)] == ["loading", "preparing", "verifying", "timing"]


def test_each_step_is_announced() -> None:
    seen: list[tuple[str, int, str]] = []
    tasks = _request(problems=_TEXTS[:1]).tasks()
    _run(Troupe(), tasks, processes=1, before=lambda bout, number, name: seen.append((bout.layer.name, number, name)))
    a, b = _NAMES
    assert [name for _, _, name in seen] == [a, b] * 4
    assert {each[:2] for each in seen} == {(_TEXTS[0], 0)}


def test_the_oracle_of_a_layer_is_made_once_for_all_generations(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    honest = works.Referee
    monkeypatch.setattr(works, "Referee", lambda problem: made.append(problem) or honest(problem))
    _run(Troupe(), _request().tasks(), processes=3)
    assert len(made) == 2


def test_more_layers_than_there_were_places_do_not_make_the_oracle_work_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Conv2dProblem] = []
    honest = works.Referee
    monkeypatch.setattr(works, "Referee", lambda problem: made.append(problem) or honest(problem))
    _run(
        Troupe(),
        _request(problems=tuple(f"ic1ih{n}oc1kh1" for n in range(1, 41)), contenders=("direct_naive",)).tasks(),
    )
    assert len(made) == len(set(made)) == 40


def test_referees_that_do_not_fit_are_made_anew_and_the_others_are_not() -> None:
    made: list[Conv2dProblem] = []
    problems = [Conv2dProblem.parse(f"ic1ih{n}oc1kh1") for n in (8, 9, 10)]
    # A problem of 8x8 holds two fills of 65 inputs, a bias and 64 results.
    referees = Referees(lambda problem: made.append(problem) or Referee(problem), 2 * (4 * 66 + 8 * 64))
    for _ in range(2):
        for problem in problems:
            assert referees(problem) is referees(problem)
            assert referees(problem).problem == problem
    assert made == [*problems, *problems[1:]]


def test_what_a_referee_is_said_to_hold_is_what_it_holds() -> None:
    problem = Conv2dProblem.parse("mb2g2ic4ih9oc6kh3b1")
    referee = Referee(problem)
    arrays = [
        array
        for inputs, judge in (referee.integer, referee.normal)
        for array in (inputs.src, inputs.wei, inputs.bia, judge.exact)
    ]
    holds = sum(array.nbytes for array in arrays if array is not None)
    made: list[Conv2dProblem] = []

    def make(problem: Conv2dProblem) -> Referee:
        made.append(problem)
        return Referee(problem)

    for most, times in ((holds - 1, 2), (holds, 1)):
        made.clear()
        referees = Referees(make, most)
        for each in (problem, Conv2dProblem.parse("ic9ih99oc9kh1"), problem):
            referees(each)
        assert made.count(problem) == times


def test_real_processes_end_to_end(tmp_path: Path) -> None:
    stored: list[dict[str, Take]] = []
    run_bouts(
        _request(problems=_TEXTS[:1]).tasks(), Ledger(), processes=2, compiled=tmp_path,
        schedule=lambda bout: Schedule(0.0, rounds=2, retries=0, settle_s=0.0),
        store=lambda b, g, found: stored.append(found),
    )  # fmt: skip
    assert [list(found) for found in stored] == [[*_NAMES]] * 2
    for take in (take for found in stored for take in found.values()):
        assert take.status == "ok" and len(take.seconds) >= 2 and take.version
        assert take.first_s >= take.first_call_s > 0  # type: ignore[operator]
    assert all(0 < take.rel_error < 1e-6 for take in stored[0].values())  # type: ignore[operator]
    # The second process finds compiled code on the disk, and what was right is not judged again.
    assert any(path.is_file() for path in tmp_path.rglob("*"))
    assert all(take.rel_error is None for take in stored[1].values())
