"""Every task becomes a row, and its status says what happened."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from kernels import Algorithm, Conv2dProblem, ProblemError, UnknownAlgorithm, get_algorithm, registry
from suite import runner
from suite.catalogue import Layer, UnknownNetwork
from suite.environment import Limits, this_machine
from suite.rows import COLUMNS, MEASURED, Row, key_of
from suite.selection import Request, Task, select_layers, select_networks
from suite.timer import measure

_TEXT = "ic3ih6oc4kh2ph1"
_LIMITS = Limits({"float32": {1: 100.0, 2: 150.0}}, {1: 10.0})


def _request(**changes: Any) -> Request:
    values: dict[str, Any] = {
        "networks": (),
        "problems": (_TEXT,),
        "algorithms": ("direct_naive",),
        "mb": 1,
        "threads": (1,),
        "budget_s": 0.0,
    }
    return Request(**{**values, **changes})


def _rows(tasks: list[Task]) -> list[Row]:
    return list(runner.run_tasks(tasks, _LIMITS, budget_s=0.0))


def _registered(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> Algorithm:
    made = dataclasses.replace(get_algorithm("direct_naive"), name="made_up", **changes)
    monkeypatch.setitem(registry._REGISTRY, "made_up", made)
    return made


def test_a_right_result_is_timed_and_its_columns_agree() -> None:
    [row] = _rows(_request().tasks())
    problem = Conv2dProblem.parse(_TEXT)
    assert set(row) == set(COLUMNS) - {"run", "machine"}
    assert (row["status"], row["reason"], row["problem"], row["occurs"]) == ("ok", "", str(problem), 1)
    assert 0 < row["time_min_s"] <= row["time_s"] and row["samples"] >= 5
    assert row["useful_gflops"] == pytest.approx(2e-9 * problem.macs_useful / row["time_s"])
    assert row["nominal_gflops"] / row["useful_gflops"] == pytest.approx(problem.macs_nominal / problem.macs_useful)
    assert row["pct_of_peak"] == pytest.approx(row["useful_gflops"])
    assert 0 < row["rel_error"] < 1e-6 and row["compile_s"] >= 0 and row["prepare_s"] >= 0


@pytest.mark.parametrize("name", [name for name in COLUMNS if name not in ("run", "machine")])
def test_values_have_the_columns_kind(name: str) -> None:
    [row] = _rows(_request().tasks())
    assert type(row[name]) is COLUMNS[name]


def test_pct_of_peak_is_against_as_many_threads() -> None:
    if this_machine().threads < 2:
        pytest.skip("one thread: nothing to compare with")
    rows = _rows(_request(threads=(1, 2)).tasks())
    assert [row["threads"] for row in rows] == [1, 2]
    assert rows[1]["pct_of_peak"] == pytest.approx(100 * rows[1]["useful_gflops"] / 150)


def test_a_refusal_is_skipped_with_its_reason() -> None:
    [row] = _rows(_request(algorithms=("winograd_f4x3",)).tasks())
    assert (row["status"], row["reason"]) == ("skipped", "the kernel is 2x2, expected 3x3")
    assert all(row[name] is None for name in MEASURED)


def test_a_wrong_result_is_never_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    def zeros(problem, packed, src, bia, dst, workspace, threads) -> None:  # type: ignore[no-untyped-def]
        dst[:] = 0

    _registered(monkeypatch, run=zeros)
    monkeypatch.setattr(runner, "measure", lambda *args, **rest: pytest.fail("a wrong result was timed"))
    [row] = _rows(_request(algorithms=("made_up",)).tasks())
    assert row["status"] == "wrong" and "differ from the exact integers" in row["reason"]
    assert row["time_s"] is None


def test_a_wrong_result_keeps_its_measured_error(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = get_algorithm("direct_naive").run

    def rough(problem, packed, src, bia, dst, workspace, threads) -> None:  # type: ignore[no-untyped-def]
        honest(problem, packed, src, bia, dst, workspace, threads)
        dst *= np.float32(1 + 1e-5)

    _registered(monkeypatch, run=rough, exact_on_integers=False)
    [row] = _rows(_request(algorithms=("made_up",)).tasks())
    assert row["status"] == "wrong" and row["rel_error"] == pytest.approx(1e-5, rel=0.1)


def test_an_exception_is_that_rows_status_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def boom(*arguments: object) -> None:
        raise RuntimeError("first line\n  second line")

    _registered(monkeypatch, run=boom)
    rows = _rows(_request(algorithms=("made_up", "direct_naive")).tasks())
    assert [row["status"] for row in rows] == ["failed", "ok"]
    assert rows[0]["reason"] == "RuntimeError: first line second line"


def test_an_interrupt_is_nobodys_status(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    _registered(monkeypatch, run=interrupted)
    with pytest.raises(KeyboardInterrupt):
        _rows(_request(algorithms=("made_up",)).tasks())


def test_each_task_is_announced_and_its_row_has_its_key() -> None:
    tasks = _request(problems=(_TEXT, "ic2ih4oc2kh1"), algorithms=("direct_naive", "im2col_gemm")).tasks()
    seen: list[Task] = []
    rows = list(runner.run_tasks(tasks, _LIMITS, budget_s=0.0, before=seen.append))
    assert seen == tasks
    assert [key_of(row) for row in rows] == [task.key for task in tasks]


def test_networks_run_at_the_asked_batch_and_texts_at_their_own() -> None:
    asked = select_layers(["basics"], ["mb3ic2ih4oc2kh1"])
    assert {layer.problem.mb for layer in asked[:-1]} == {1}
    assert (asked[-1].network, asked[-1].problem.mb) == ("text", 3)
    assert max(layer.problem.mb for layer in select_layers(["basics"], mb=None)) == 64


def test_nothing_chosen_means_the_default_and_a_text_alone_means_itself() -> None:
    assert select_networks() == ("basics", "resnet50")
    assert select_networks(problems=[_TEXT]) == ()
    assert select_networks(["vgg19", "vgg19"]) == ("vgg19",)
    assert set(select_networks(every=True)) > {"basics", "resnet50", "vgg19"}
    assert [layer.network for layer in select_layers((), [_TEXT, _TEXT])] == ["text"]


def test_a_request_survives_json() -> None:
    request = _request(networks=("basics",), mb=None, threads=(1, 2))
    assert Request.from_dict(json.loads(json.dumps(request.as_dict()))) == request


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"networks": ("resnet5",)}, UnknownNetwork, "did you mean resnet50"),
        ({"algorithms": ("direct_tilde",)}, UnknownAlgorithm, "did you mean direct_tiled"),
        ({"problems": ("ic3ih2oc1kh3",)}, ProblemError, "kernel extent 3x3 .* larger than the padded input 2x2"),
        ({"threads": (0,)}, ValueError, "threads is 0, expected a whole number from 1 to"),
        ({"networks": ("basics",), "mb": -1}, ProblemError, "mb is -1, expected at least 0"),
    ],
)
def test_asking_for_what_there_is_not_is_one_sentence(changes: dict[str, Any], error: type, said: str) -> None:
    with pytest.raises(error, match=said):
        _request(**changes).tasks()


def test_verifying_alone_gives_the_same_statuses_and_no_times() -> None:
    tasks = _request(algorithms=("direct_naive", "winograd_f4x3")).tasks()
    ok, skipped = runner.verify_tasks(tasks)
    assert (ok["status"], skipped["status"]) == ("ok", "skipped")
    assert ok["rel_error"] < 1e-6 and ok["time_s"] is None


def test_what_networks_have_in_common_is_judged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, judged = Conv2dProblem.parse(_TEXT), []
    honest = runner.Referee.examine
    monkeypatch.setattr(runner.Referee, "examine", lambda self, *rest: judged.append(rest) or honest(self, *rest))
    other = Conv2dProblem.parse("ic1ih2oc1kh1")
    layers = [Layer("a", "x", problem, 1), Layer("a", "y", other, 1), Layer("b", "z", problem, 4)]
    rows = list(runner.verify_tasks([Task(layer, get_algorithm("direct_naive"), 1) for layer in layers]))
    assert [(row["network"], row["layer"], row["occurs"]) for row in rows] == [
        ("a", "x", 1),
        ("a", "y", 1),
        ("b", "z", 4),
    ]
    assert len(judged) == 2


def test_the_plan_that_is_timed_is_the_one_that_was_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    judged, timed = [], []
    honest = runner.Referee.examine

    def examine(self, *rest):  # type: ignore[no-untyped-def]
        judged.append(honest(self, *rest))
        return judged[-1]

    def timing(call, **rest):  # type: ignore[no-untyped-def]
        timed.append(call.__closure__)
        return measure(call, **rest)

    monkeypatch.setattr(runner.Referee, "examine", examine)
    monkeypatch.setattr(runner, "measure", timing)
    [row] = _rows(_request().tasks())
    assert judged[0].plan in [cell.cell_contents for cell in timed[0]]
    assert row["prepare_s"] == judged[0].plan.prepare_s
    assert row["compile_s"] == pytest.approx(max(0.0, judged[0].first_s - row["prepare_s"] - row["time_s"]))
