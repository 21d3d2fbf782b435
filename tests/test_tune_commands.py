"""``convmark tune``, ``explain`` and ``memory``: what they measure, keep and say."""

from __future__ import annotations

import functools
import importlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fake_workers import FakeWorkers, quiet_guard

from kernels import Conv2dProblem, get_algorithm, measured_limits, memory_of, plan, tuned
from suite import cli
from suite.measure.sampling import Sample
from suite.measure.tuning import distinct, run_tuning, worth_timing

tune_module = importlib.import_module("suite.actions.tune")
explain_module = importlib.import_module("suite.actions.explain")

_TEXT = "ic3ih6oc4kh2ph1"
_PROBLEM = Conv2dProblem.parse(_TEXT)
_TUNE = ("tune", "-p", _TEXT, "--seconds", "0")

Convmark = Callable[..., tuple[int, str, str]]

#: Seconds that the stand-in for the cost model predicts; ``direct_naive`` is beyond twice the least.
_PREDICTED = {"direct_tiled": 1.0, "im2col_gemm": 1.5, "direct_naive": 3.0, "winograd_f2x3": None}


def _choose(
    problem: Conv2dProblem, threads: int = 1, *, max_error: float | None = None, max_workspace: int | None = None,
    window_only: bool = False, tuned: bool = True,
) -> Any:  # fmt: skip
    candidates = tuple(
        SimpleNamespace(
            algorithm=get_algorithm(name), seconds=seconds, measured_s=None,
            terms={"products": 0.75 * seconds, "calls": 1e-3 * seconds} if seconds else {},
            rel_error=1e-6 if seconds else math.nan, workspace_bytes=2048, refused="" if seconds else "it is refused",
        )
        for name, seconds in _PREDICTED.items()
    )  # fmt: skip
    return SimpleNamespace(algorithm=get_algorithm("direct_tiled"), why="direct_tiled is least", candidates=candidates)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The database's file."""
    path = tmp_path / "tuned.sqlite"
    monkeypatch.setenv("CONVMARK_TUNED", str(path))
    return path


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], file: Path) -> Convmark:
    """Run the command line as it is."""

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            cli.main(arguments)
        said = capsys.readouterr()
        return int(exit_.value.code or 0), said.out, said.err

    return run


@pytest.fixture
def workers() -> FakeWorkers:
    """Played workers, of which `im2col_gemm` is the fastest."""
    seconds = {"direct_tiled": 1.25, "im2col_gemm": 1.0, "direct_naive": 4.0}
    return FakeWorkers(samples=lambda name, process: [Sample(1, seconds[name], seconds[name], 0.0)] * 2)


@pytest.fixture
def played(command: Convmark, workers: FakeWorkers, monkeypatch: pytest.MonkeyPatch) -> Convmark:
    """Run the command line with played workers and a cost model that is known."""
    for module in (tune_module, explain_module):
        monkeypatch.setattr(module, "run_tuning", functools.partial(run_tuning, start=workers.start, guard=quiet_guard))
        monkeypatch.setattr(module, "choose", _choose)
    monkeypatch.setattr(tune_module, "_measure_limits", lambda: None)
    return command


def _from_disk(text: str = _TEXT) -> dict[str, float]:
    tuned._loaded.clear()
    return dict(tuned.recall(Conv2dProblem.parse(text), 1))


def test_a_problem_is_tuned_from_end_to_end(command: Convmark) -> None:
    # Only what the cost model chooses: others would have to be compiled.
    code, out, err = command(*_TUNE, "--within", "1", "--json")
    content = json.loads(out)
    [found] = content["problems"]
    assert (code, content["remembered"], found["faults"], found["doubt"]) == (0, 1, {}, ""), err
    assert _from_disk() == found["seconds"] and set(found["seconds"]) == {found["winner"]} == {found["picked"]}
    assert 0 < found["seconds"][found["winner"]] < 1
    # What the cost model divides by is this machine's from now on.
    limits = measured_limits()
    assert limits is not None and 1e8 < limits.fma_per_s < 1e11 and 1e8 < limits.memory_bytes_per_s < 1e12


def test_the_fastest_of_those_near_the_least_prediction_is_remembered_once(
    played: Convmark, workers: FakeWorkers
) -> None:
    code, out, err = played(*_TUNE)
    assert code == 0 and _from_disk() == {"im2col_gemm": 1.0, "direct_tiled": 1.25}
    assert "direct_naive" not in workers.started and "winograd_f2x3" not in workers.started
    assert "fastest on 0 of 1, within 10 % of it on 0; at worst 1.25x its time, on ic3ih6oc4kh2ph1" in out
    assert f"[1/1] text/{_TEXT}/1 thread: 2 ok, fastest im2col_gemm 1.00 s" in err
    before = dict(workers.started)
    code, _, err = played(*_TUNE, "-p", f"{_TEXT}b1")
    assert code == 0 and workers.started == before and "1 of 1 are known already" in err
    workers.samples = lambda name, process: [Sample(1, 2.0, 2.0, 0.0)] * 2
    assert played(*_TUNE, "--again")[0] == 0 and set(_from_disk().values()) == {2.0}
    assert played("tune", "--forget")[1] == f"4 rows of {tuned.database()} removed.\n"
    assert json.loads(played("tune", "--forget", "--json")[1])["forgotten"] == 0 and _from_disk() == {}


def test_what_is_wrong_is_not_remembered_and_neither_is_a_problem_on_which_another_was_disturbed(
    played: Convmark, workers: FakeWorkers
) -> None:
    workers.spoil["im2col_gemm"] = np.zeros_like
    code, out, _ = played(*_TUNE)
    assert code == 1 and f"{_TEXT} im2col_gemm: wrong: " in out and _from_disk() == {"direct_tiled": 1.25}
    workers.spoil.clear()
    workers.samples = lambda name, process: [Sample(1, 1.0, 1.0 if name == "im2col_gemm" else 0.5, 0.0)] * 2
    code, _, err = played("tune", "-p", "ic3ih5oc4kh2", "--seconds", "0")
    assert code == 0 and "is not remembered: direct_tiled mistrusted: 1 of 1 processes were disturbed" in err
    assert _from_disk("ic3ih5oc4kh2") == {}
    workers.samples = lambda name, process: [Sample(1, 1.0, 0.5, 0.0)] * 2
    content = json.loads(played("tune", "-p", "ic3ih5oc4kh2", "--seconds", "0", "--json")[1])
    assert content["remembered"] == 0 and "direct_tiled and 1 more mistrusted" in content["problems"][0]["doubt"]


def test_an_interrupt_keeps_what_is_finished(played: Convmark, workers: FakeWorkers) -> None:
    def interrupted(do: str, name: str) -> None:
        # Where no time is spent, both are visited twice on the first problem.
        if len(workers.timed) == 6:
            raise KeyboardInterrupt

    workers.asked = interrupted
    code, out, err = played(*_TUNE, "-p", "ic3ih5oc4kh2", "--json")
    assert code == 130 and "interrupted with 1 of 2 remembered; the same command goes on with the rest" in err
    assert [each["problem"] for each in json.loads(out)["problems"]] == [_TEXT]
    assert _from_disk() and not _from_disk("ic3ih5oc4kh2") and workers.open == 0


def test_processes_are_all_through_before_anything_is_remembered(
    played: Convmark, workers: FakeWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers.samples = lambda name, process: [Sample(1, 1.0 + process, 1.0 + process, 0.0)] * 2
    kept: list[dict[str, float]] = []
    monkeypatch.setattr(tuned, "remember", lambda problem, threads, seconds: kept.append(dict(seconds)))
    assert played(*_TUNE, "--processes", "3")[0] == 0
    assert kept == [{"direct_tiled": 2.0, "im2col_gemm": 2.0}]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("tune",), "nothing is asked for, expected --network, --problem or --all"),
        (("tune", "-p", _TEXT, "--within", "0.5"), "--seconds is 0.2, --processes 1, --within 0.5, expected at least"),
        (("tune", "-p", _TEXT, "--mb", "x"), "--mb is 'x', expected a whole number or 'listed'"),
        (("tune", "--forget", "--all"), "--forget removes all that was measured on this CPU, expected no selection"),
        (("explain", "ic3"), "problem text 'ic3' has no 'ih'"),
        (("explain", _TEXT, "-t", "1,1", "--max-workspace", "4 MB"), "--max-workspace is '4 MB', expected bytes, as"),
        (("memory",), "nothing is asked for, expected --network or --problem"),
        (("memory", "-n", "resnet5"), "unknown network 'resnet5', did you mean resnet50"),
    ],
)
def test_bad_input_is_one_sentence(command: Convmark, arguments: tuple[str, ...], said: str) -> None:
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"convmark: {said}") and err.count("\n") == 1


def test_a_database_that_cannot_be_written_is_found_out_before_anything_is_measured(
    played: Convmark, workers: FakeWorkers, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("no database " * 100)
    code, _, err = played(*_TUNE)
    assert code == 2 and err.startswith(f"convmark: cannot write {file}: file is not a database") and not workers.log
    monkeypatch.setenv("CONVMARK_TUNED", "off")
    code, _, err = played(*_TUNE)
    assert code == 2 and "CONVMARK_TUNED is 'off', expected" in err and not workers.log


def test_explain_sets_what_is_measured_beside_what_is_predicted(played: Convmark, workers: FakeWorkers) -> None:
    code, out, _ = played("explain", _TEXT)
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert [
        "*",
        "direct_tiled",
        "1.00",
        "s",
        "1.25",
        "s",
        "0.80",
        "1.0e-06",
        "2.0",
        "KiB",
        "products",
        "750",
        "ms",
    ] in lines
    assert ["winograd_f2x3", "it", "is", "refused"] in lines
    assert "direct_tiled is least.\n" in out
    assert "The cost model's choice, direct_tiled, takes 1.25x the time of the fastest, im2col_gemm (1.00 s)." in out
    assert workers.open == 0 and not _from_disk()


def test_explain_speaks_json_and_need_not_measure(played: Convmark, workers: FakeWorkers) -> None:
    content = json.loads(played("explain", _TEXT, "--json")[1])
    assert (content["chosen"], content["fastest"], content["cost_model_behind"]) == (
        "direct_tiled",
        "im2col_gemm",
        1.25,
    )
    by_name = {each["algorithm"]: each for each in content["algorithms"]}
    assert by_name["im2col_gemm"]["measured_s"] == 1.0 and by_name["direct_tiled"]["terms_s"]["calls"] == 1e-3
    assert (by_name["winograd_f2x3"]["predicted_s"], by_name["winograd_f2x3"]["refused"]) == (None, "it is refused")
    workers.log.clear()
    content = json.loads(played("explain", _TEXT, "--json", "--no-measure")[1])
    assert content["fastest"] is None and not workers.log
    assert {each["measured_s"] for each in content["algorithms"]} == {None}


def test_the_memory_of_a_plan_is_what_it_holds() -> None:
    problem = Conv2dProblem.parse("mb2ic3ih9oc20kh3ph1b1")
    weights, bias = np.ones(problem.weight_shape, np.float32), np.zeros(20, np.float32)
    for name in ("direct_tiled", "winograd_f4x3", "im2col_gemm"):
        memory, bound = memory_of(problem, name, 1), plan(problem, weights, bias, algorithm=name, threads=1)
        held = sum(each.nbytes for each in bound.setup.packed if isinstance(each, np.ndarray))
        assert (memory.packed_bytes, memory.workspace_bytes) == (held, bound.workspace_bytes)
        assert memory[:3] == (4 * 2 * 3 * 81, 4 * 2 * 20 * 81, 4 * (20 * 27 + 20))
    # Copies of the weights and the bias as they are.
    assert memory_of(problem, "direct_naive", 1).packed_bytes == weights.nbytes + 4 * 20


def test_memory_adds_up_layers_as_often_as_they_occur(command: Convmark) -> None:
    code, out, _ = command("memory", "-n", "alexnet", "--mb", "2", "--json")
    content = json.loads(out)
    layers, [totals] = content["layers"], content["totals"].values()
    assert code == 0 and all("mb2" in each["problem"] for each in layers)
    assert totals["packed_bytes"] == sum(each["occurs"] * each["packed_bytes"] for each in layers)
    assert totals["workspace_bytes_largest"] == max(each["workspace_bytes"] for each in layers)
    assert totals["activation_bytes_largest"] == max(each["input_bytes"] + each["output_bytes"] for each in layers)
    budget = totals["workspace_bytes_largest"] - 1
    within = json.loads(command("memory", "-n", "alexnet", "--mb", "2", "--json", "--max-workspace", str(budget))[1])
    assert within["totals"]["alexnet"]["workspace_bytes_largest"] <= budget
    assert "packed weights of all layers" in command("memory", "-n", "alexnet")[1]


def test_problems_count_once_and_those_are_timed_that_may_be_the_fastest() -> None:
    from suite.catalogue import Layer

    layers = [
        Layer("n", str(i), Conv2dProblem.parse(text), 1) for i, text in enumerate((_TEXT, f"{_TEXT}b1", "ic3ih5oc4kh2"))
    ]
    assert [(each.name, str(each.problem)) for each in distinct(layers)] == [("0", _TEXT), ("2", "ic3ih5oc4kh2")]
    choice = _choose(_PROBLEM)
    assert worth_timing(choice, 1.0) == ("direct_tiled",) and len(worth_timing(choice, 3.0)) == 3
    # Of a new algorithm nothing may be predicted yet.
    choice.candidates[2].seconds = None
    assert worth_timing(choice, 1.0) == ("direct_tiled", "direct_naive")
