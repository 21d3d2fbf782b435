"""A worker answers, fails in a sentence, is alone on its cores, and never outlives its parent."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import register_made_up

from kernels import Conv2dProblem, Setup, algorithms, get_algorithm
from suite.check.checker import Oracle
from suite.check.tolerance import Tolerance
from suite.contenders import get_contender
from suite.measure.interleave import Participant, Schedule, check_last, measure_in_turns, prepare_and_check
from suite.measure.load_guard import LoadGuard
from suite.measure.request_handler import RequestHandler
from suite.measure.result import ProcessResult
from suite.measure.worker import Worker, WorkerError, measuring_cpus, worker_environment

_ROOT = Path(__file__).parent.parent
_TEXT = "mb2ic1ih9oc1kh3ph1b1"


@pytest.fixture
def worker() -> Iterator[Worker]:
    with Worker("direct_naive", 1) as started:
        yield started


def _gone(pid: int, seconds: float = 30.0) -> bool:
    """Whether a process has ended, waiting for it; one that nobody has collected yet has."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system has no /proc")


def test_a_worker_prepares_computes_and_times(worker: Worker) -> None:
    assert worker.ask("load", contender="direct_naive", threads=1)["load_s"] >= 0
    reply = worker.ask("prepare", contender="direct_naive", problem=_TEXT, fill="normal")
    assert reply["first_s"] >= reply["first_call_s"] > 0 and reply["prepare_s"] > 0 and reply["chosen"] == ""
    result = worker.ask("result")
    problem = Conv2dProblem.parse(_TEXT)
    assert result["touched"] == [] and result["array"].shape == problem.output_shape
    assert Oracle(problem).normal[1].within(result["array"], 1e-6).status == "ok"
    for cold_bytes in (0, 2**16):
        reply = worker.ask("time", budget_s=0.0, least=3, most=9, cold_bytes=cold_bytes)
        assert len(reply["samples"]) == 3
        assert all(calls >= 1 and wall_s > 0 for calls, wall_s, _, _ in reply["samples"])


def test_a_worker_says_when_it_compiles(tmp_path: Path) -> None:
    heard: list[list[str]] = []
    for _ in range(2):
        said: list[str] = []
        with Worker("direct_naive", 1, tmp_path) as worker:
            worker.ask("load", contender="direct_naive", threads=1)
            for _ in range(2):
                worker.ask("prepare", told=said.append, contender="direct_naive", problem=_TEXT, fill="normal")
        heard.append(said)
    assert heard[0] == ["compiling"]


def test_what_writes_to_its_inputs_is_seen() -> None:
    handler = RequestHandler()
    handler.answer({"do": "load", "contender": "direct_naive", "threads": 1})
    handler.answer({"do": "prepare", "contender": "direct_naive", "problem": _TEXT, "fill": "normal", "twice": False})
    assert handler.answer({"do": "result"})[0]["touched"] == []
    assert handler._inputs is not None
    handler._inputs.named["weight"][:] += 1
    assert handler.answer({"do": "result"})[0]["touched"] == ["weight"]


def test_auto_says_what_it_chose() -> None:
    with Worker("auto", 1) as worker:
        worker.ask("load", contender="auto", threads=1)
        assert worker.ask("prepare", contender="auto", problem="ic4ih6oc4kh1", fill="integer")["chosen"]


def test_what_a_contender_raises_is_the_reply_and_the_worker_goes_on(worker: Worker) -> None:
    worker.ask("load", contender="direct_naive", threads=1)
    with pytest.raises(WorkerError, match="ProblemError: malformed problem text 'nonsense'"):
        worker.ask("prepare", contender="direct_naive", problem="nonsense", fill="normal")
    assert worker.ask("prepare", contender="direct_naive", problem=_TEXT, fill="integer")["prepare_s"] > 0


def test_a_crash_is_named(worker: Worker) -> None:
    worker.ask("load", contender="direct_naive", threads=1)
    os.kill(worker.pid, signal.SIGSEGV)
    with pytest.raises(WorkerError, match="its process was ended by SIGSEGV at 'prepare'"):
        worker.ask("prepare", contender="direct_naive", problem=_TEXT, fill="normal")


def test_a_hang_is_not_waited_for() -> None:
    with Worker("direct_naive", 1, patience_s=0.2) as worker:
        os.kill(worker.pid, signal.SIGSTOP)
        with pytest.raises(WorkerError, match=r"no answer to 'load' within 0.2 s, expected one"):
            worker.ask("load", contender="direct_naive", threads=1)


def test_a_worker_says_what_its_sources_offer(worker: Worker) -> None:
    offered = worker.ask("offers", problems=[_TEXT, "ic4ih6oc4kh1"])["algorithms"]
    assert [*offered] == [each.name for each in algorithms()]
    assert offered["direct_naive"]["refusals"] == [None, None]
    assert "expected 3x3" in offered["winograd_f4x3"]["refusals"][1]
    assert Tolerance(**offered["direct_naive"]["tolerance"]) == Tolerance.of(get_algorithm("direct_naive"))


@needs_proc
def test_a_worker_ends_with_its_requests() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "suite.measure.request_handler", str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=worker_environment(1),
    )
    process.communicate(b"", timeout=60)
    assert process.returncode == 0


@needs_proc
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a worker looks only once a second")
def test_a_worker_does_not_outlive_a_parent_that_was_killed() -> None:
    script = (
        "import suite.measure.worker, sys, time\n"
        "worker = suite.measure.worker.Worker('direct_naive', 1)\n"
        "worker.ask('load', contender='direct_naive', threads=1)\n"
        f"worker.ask('prepare', contender='direct_naive', problem='{_TEXT}', fill='normal')\n"
        "print(worker.pid, flush=True)\n"
        "worker.ask('time', budget_s=1e9, least=1, most=10**9, cold_bytes=0)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=worker_environment(1))
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert _gone(pid)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system does not pin")
def test_a_worker_is_pinned_and_its_parent_is_not() -> None:
    before = os.sched_getaffinity(0)
    with Worker("direct_naive", 1) as worker:
        worker.ask("load", contender="direct_naive", threads=1)
        assert os.sched_getaffinity(worker.pid) == measuring_cpus(1)
    assert os.sched_getaffinity(0) == before
    assert len(measuring_cpus(1)) == 1 and measuring_cpus(len(before)) == before


def test_pools_are_sized_before_the_start_and_nothing_of_pytest_gets_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    environment = worker_environment(3, Path("there"))
    assert {environment[name] for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS")} == {"3"}
    assert not [name for name in environment if name.startswith("PYTEST_")]
    assert Path(environment["CONVMARK_CACHE_DIR"]) == Path("there").resolve()
    assert environment["PYTHONPATH"].split(os.pathsep)[0] == str(_ROOT)


# -- contenders that rot or cheat while they are timed ------------------------------------


class _InThisProcess:
    """A worker that answers in this process, so that it knows algorithms that a test made up."""

    def __init__(self) -> None:
        self._handler = RequestHandler()

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        request.pop("told", None)
        reply, array = self._handler.answer({"do": do, **request})
        return reply if array is None else {**reply, "array": array}

    def close(self) -> None:
        pass


def _timed(name: str) -> ProcessResult:
    problem = Conv2dProblem.parse("ic2ih12oc4kh3ph1")
    participant = Participant(get_contender(name), _InThisProcess(), ProcessResult())
    participant.worker.ask("load", contender=name, threads=1)
    prepare_and_check(participant, problem, Oracle(problem), integers=False)
    assert participant.result.status == "ok"
    guard = LoadGuard(1, 2, lambda: None, lambda: 0.0, lambda seconds: None)
    measure_in_turns([participant], Schedule(0.0, rounds=2, settle_s=0.0), guard)
    check_last([participant], problem, Oracle(problem))
    assert participant.result.seconds
    return participant.result


def _made_up(monkeypatch: pytest.MonkeyPatch, calls: int, after: Callable[[np.ndarray], object]) -> None:
    """An algorithm that is right in its first calls, and does something else in those after them."""
    count = itertools.count(1)

    def run(setup: Setup, src: np.ndarray, dst: np.ndarray) -> None:
        if next(count) <= calls:
            get_algorithm("direct_naive").bind(setup)(src, dst, dst)
        else:
            after(dst)

    register_made_up(monkeypatch, run)


def test_one_that_stays_right_is_ok() -> None:
    assert _timed("direct_naive").status == "ok"


def test_one_that_rots_in_the_timed_loop_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    _made_up(monkeypatch, 4, lambda dst: dst.__imul__(np.float32(1.001)))
    result = _timed("made_up")
    assert result.status == "wrong" and result.reason.startswith("after it was timed: ")


def test_one_that_leaves_what_it_computed_before_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    _made_up(monkeypatch, 4, lambda dst: None)
    result = _timed("made_up")
    assert result.status == "wrong" and "elements are not finite" in result.reason
