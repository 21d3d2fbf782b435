"""Contenders take turns, what is wrong is never timed, and what was disturbed says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernels import Conv2dProblem, conv2d_reference
from suite.contenders import Contender, Peer, get_contender, select_contenders
from suite.inputs import make_inputs
from suite.interleave import Outcome, Schedule, interleave
from suite.load import LoadGuard
from suite.meter import Sample
from suite.process import WorkerError
from suite.verify import Referee

_PROBLEM = Conv2dProblem.parse("ic1ih6oc1kh3ph1")


@dataclass
class _Troupe:
    """Workers that are played: each writes into one log, and does as it is told."""

    log: list[tuple[str, str]] = field(default_factory=list)
    spoil: dict[str, Callable[[np.ndarray], np.ndarray]] = field(default_factory=dict)
    raises: dict[str, str] = field(default_factory=dict)
    touches: dict[str, str] = field(default_factory=dict)
    samples: Callable[[str, int], list[Sample]] = lambda name, process: [Sample(1, 1.0, 1.0, 0.0)] * 2
    open: int = 0
    started: dict[str, int] = field(default_factory=dict)

    def start(self, name: str, threads: int, compiled: Path | None) -> _Actor:
        self.open += 1
        self.started[name] = self.started.get(name, 0) + 1
        return _Actor(self, name, self.started[name] - 1)


@dataclass
class _Actor:
    troupe: _Troupe
    name: str
    process: int
    fill: str = ""
    closed: bool = False

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        troupe = self.troupe
        troupe.log.append((do, self.name))
        if troupe.raises.get(self.name) == do:
            raise WorkerError(f"its process was ended by SIGSEGV at {do!r}")
        if do == "prepare":
            self.fill = request["fill"]
            chosen = "direct_tiled" if self.name == "auto" else ""
            return {"first_s": 3.0, "first_call_s": 2.0, "prepare_s": 0.5, "chosen": chosen, "workspace_bytes": 7}
        if do == "result":
            inputs = make_inputs(_PROBLEM, self.fill)
            right = conv2d_reference(_PROBLEM, inputs.src, inputs.wei).astype(np.float32)
            spoil = troupe.spoil.get(self.name, lambda array: array)
            return {
                "array": spoil(right),
                "touched": [troupe.touches[self.name]] if self.name in troupe.touches else [],
            }
        samples = troupe.samples(self.name, self.process)
        return {"samples": [astuple(each) for each in samples], "own_s": sum(each.cpu_s for each in samples)}

    def close(self) -> None:
        self.troupe.open -= not self.closed
        self.closed = True


def _guard() -> LoadGuard:
    return LoadGuard(1, 2, lambda: None, lambda: 0.0, lambda seconds: None)


def _run(troupe: _Troupe, names: list[str], **schedule: Any) -> dict[str, Outcome]:
    values: dict[str, Any] = {"threads": 1, "processes": 2, "settle_s": 0.0, **schedule}
    outcomes = interleave(
        select_contenders(names), _PROBLEM, Schedule(**values), Referee(_PROBLEM), start=troupe.start, guard=_guard()
    )
    assert troupe.open == 0
    assert [each.contender.name for each in outcomes] == names
    return {each.contender.name: each for each in outcomes}


def _timed(troupe: _Troupe) -> list[str]:
    return [name for do, name in troupe.log if do == "time"]


def test_turns_go_forwards_and_backwards_and_everybody_is_first_as_often() -> None:
    troupe = _Troupe()
    _run(troupe, ["direct_naive", "direct_tiled", "scipy"])
    a, b, c = "direct_naive", "direct_tiled", "scipy"
    assert _timed(troupe) == [a, b, c, c, b, a, c, b, a, a, b, c]


def test_all_have_loaded_before_one_prepares_and_all_are_ready_before_one_is_timed() -> None:
    troupe = _Troupe()
    _run(troupe, ["direct_naive", "scipy"], processes=1)
    kinds = [do for do, _ in troupe.log]
    assert kinds[:2] == ["load"] * 2
    assert "prepare" not in kinds[kinds.index("time") :]


def test_each_process_has_its_own_median_and_pairs_stand_at_the_same_place() -> None:
    troupe = _Troupe(samples=lambda name, process: [Sample(2, 2.0 * (1 + process), 2.0 * (1 + process), 0.0)] * 3)
    found = _run(troupe, ["direct_naive", "scipy"])
    assert [each.medians for each in found.values()] == [[1.0, 2.0]] * 2
    assert all(each.status == "ok" and each.timed for each in found.values())
    assert len(found["scipy"].stretches[0].seconds) == 6


def test_ours_is_asked_for_whole_numbers_once_and_a_peer_never() -> None:
    troupe = _Troupe()
    _run(troupe, ["direct_naive", "scipy"])
    assert troupe.log.count(("prepare", "direct_naive")) == 3
    assert troupe.log.count(("prepare", "scipy")) == 2


@pytest.mark.parametrize("name", ["direct_naive", "scipy"])
@pytest.mark.parametrize("spoil", [np.zeros_like, lambda array: array * np.float32(1.01)])
def test_a_wrong_result_is_never_timed(name: str, spoil: Callable[[np.ndarray], np.ndarray]) -> None:
    troupe = _Troupe(spoil={name: spoil})
    found = _run(troupe, ["direct_naive", "scipy"])
    assert found[name].status == "wrong" and found[name].reason and not found[name].timed
    assert name not in _timed(troupe) and len(_timed(troupe)) == 4


def test_who_writes_to_its_input_is_wrong() -> None:
    found = _run(_Troupe(touches={"scipy": "input"}), ["direct_naive", "scipy"])
    assert found["scipy"].reason == "input was written to, expected to be only read"


@pytest.mark.parametrize("step", ["load", "prepare", "result", "time"])
def test_a_crash_is_that_contenders_alone(step: str) -> None:
    found = _run(_Troupe(raises={"scipy": step}), ["direct_naive", "scipy"])
    assert (found["scipy"].status, found["scipy"].timed) == ("failed", False)
    assert found["scipy"].reason == f"its process was ended by SIGSEGV at {step!r}"
    assert found["direct_naive"].status == "ok" and len(found["direct_naive"].medians) == 2


def test_refused_and_missing_contenders_have_no_process() -> None:
    troupe = _Troupe()
    found = _run(troupe, ["scipy", "direct_naive"], threads=2)
    assert (found["scipy"].status, found["scipy"].reason) == ("skipped", "there are 2 threads, expected 1")
    missing: list[Contender] = [Peer("gone", "Gone", ("no-such-distribution",))]
    [outcome] = interleave(missing, _PROBLEM, Schedule(1), Referee(_PROBLEM), start=troupe.start, guard=_guard())
    assert outcome.status == "skipped" and "pip install no-such-distribution" in outcome.reason
    assert set(troupe.started) == {"direct_naive"}


def test_auto_says_what_it_chose_and_is_held_to_that_ones_promise() -> None:
    found = _run(_Troupe(), ["auto"])
    assert (found["auto"].chosen, found["auto"].reason) == ("direct_tiled", "chose direct_tiled")


def test_disturbed_samples_are_taken_again_and_left_out() -> None:
    turns: list[int] = []

    def samples(name: str, process: int) -> list[Sample]:
        turns.append(1)
        quiet = len(turns) % 2 == 0
        return [Sample(1, 1.0 if quiet else 9.0, 1.0, 0.0)] * 2

    found = _run(_Troupe(samples=samples), ["direct_naive"])
    assert found["direct_naive"].status == "ok"
    assert found["direct_naive"].medians == [1.0, 1.0] and len(turns) == 8


def test_a_process_that_was_always_disturbed_is_mistrusted_and_keeps_its_time() -> None:
    troupe = _Troupe(samples=lambda name, process: [Sample(1, 4.0, 1.0 if process else 4.0, 3.0)] * 2)
    found = _run(troupe, ["direct_naive"], retries=1)
    outcome = found["direct_naive"]
    assert (outcome.status, outcome.timed, outcome.medians) == ("mistrusted", True, [4.0, 4.0])
    assert outcome.reason == "1 of 2 processes were disturbed: its thread ran 25% of the time"
    assert len(_timed(troupe)) == 2 + 2 * 2


def test_real_processes_end_to_end(tmp_path: Path) -> None:
    schedule = Schedule(1, processes=2, budget_s=0.0, retries=0, settle_s=0.0)
    chosen = [get_contender("direct_naive"), get_contender("scipy")]
    outcomes = interleave(chosen, _PROBLEM, schedule, Referee(_PROBLEM))
    assert all(each.timed and len(each.medians) == 2 and each.version for each in outcomes)
    assert all(0 < each.rel_error < 1e-6 for each in outcomes if each.rel_error is not None)
