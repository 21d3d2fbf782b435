"""Tuning: the algorithms that may be the fastest on a problem, timed in turns."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kernels import Choice, Conv2dProblem
from suite.catalogue import Layer
from suite.contenders import Contender, get_contender
from suite.measure.interleave import Schedule
from suite.measure.load_guard import LoadGuard
from suite.measure.measurements import Measurements
from suite.measure.pool import Start
from suite.measure.result import ProcessResult, Result
from suite.measure.runner import run_cases
from suite.measure.worker import Worker
from suite.selection import Case

__all__ = ["TuningCase", "TuningResult", "distinct", "run_tuning", "worth_timing"]

#: Turns that each takes in a process, and how many times its seconds of samples it may take for them.
_ROUNDS, _PATIENCE = 8, 10


@dataclass(frozen=True)
class TuningCase:
    """The algorithms that are timed on one problem with one number of threads.

    Attributes
    ----------
    layer : Layer
    threads : int
    choice : Choice
        What the cost model says.
    names : tuple of str
        Algorithms.
    """

    layer: Layer[Conv2dProblem]
    threads: int
    choice: Choice
    names: tuple[str, ...]

    @property
    def problem(self) -> Conv2dProblem:
        """What they compute."""
        return self.layer.problem

    @property
    def case(self) -> Case:
        """The same for `suite.measure.runner`."""
        return Case(self.layer, self.threads)

    @property
    def contenders(self) -> tuple[Contender[Any, Any], ...]:
        """The algorithms as contenders."""
        return tuple(get_contender(name) for name in self.names)


@dataclass(frozen=True)
class TuningResult:
    """The result of each algorithm of a tuning case, by its name."""

    case: TuningCase
    results: Mapping[str, Result]

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds of one call of those that are right, and whose times can be trusted; the least first."""
        right = {name: each.time_s for name, each in self.results.items() if each.status == "ok"}
        return dict(sorted(right.items(), key=lambda pair: pair[1]))

    @property
    def picked(self) -> str:
        """The cost model's choice."""
        return self.case.choice.algorithm.name

    @property
    def faults(self) -> dict[str, str]:
        """Those that have no time to rely on: status and reason."""
        return {name: f"{each.status}: {each.reason}" for name, each in self.results.items() if each.status != "ok"}

    @property
    def is_bad(self) -> bool:
        """Whether any result was wrong or failed."""
        return any(each.status in ("wrong", "failed") for each in self.results.values())

    @property
    def picked_behind(self) -> float | None:
        """How many times the fastest's time the model's choice takes; ``None`` if it has no time."""
        seconds = self.seconds
        return seconds[self.picked] / min(seconds.values()) if self.picked in seconds else None

    @property
    def doubt(self) -> str:
        """Why its times are not to be kept; empty if they are.

        One that was disturbed could be the fastest: what is kept is not measured again, and then it never was.
        """
        disturbed = [name for name, each in self.results.items() if each.status == "mistrusted"]
        if disturbed:
            others = f" and {len(disturbed) - 1} more" if len(disturbed) > 1 else ""
            return f"{disturbed[0]}{others} mistrusted: {self.results[disturbed[0]].reason}"
        return "" if self.seconds else "none is right"

    def as_dict(self) -> dict[str, Any]:
        """In types that JSON knows."""
        return {
            "problem": str(self.case.problem), "threads": self.case.threads, "seconds": self.seconds,
            "faults": self.faults, "winner": next(iter(self.seconds), None), "picked": self.picked,
            "picked_behind": self.picked_behind, "doubt": self.doubt,
        }  # fmt: skip


def distinct(layers: Iterable[Layer[Any]]) -> list[Layer[Any]]:
    """Layers without those whose problem an earlier one has, but for a bias: that costs nothing."""
    found: dict[Conv2dProblem, Layer[Any]] = {}
    for layer in layers:
        bare = layer.problem.replace(bias=False)
        found.setdefault(bare, dataclasses.replace(layer, problem=bare))
    return list(found.values())


def worth_timing(choice: Choice, within: float) -> tuple[str, ...]:
    """Algorithms that may be chosen and are predicted to take no more than ``within`` times the least.

    Those of which nothing is predicted are among them.
    """
    able = [each for each in choice.candidates if not each.refused]
    most = within * min((each.seconds for each in able if each.seconds is not None), default=0.0)
    return tuple(each.algorithm.name for each in able if each.seconds is None or each.seconds <= most)


def run_tuning(
    tuning_cases: Iterable[TuningCase],
    seconds: float,
    processes: int,
    done: Callable[[TuningResult], None],
    *,
    step: Callable[[TuningCase, dict[str, ProcessResult]], None] = lambda tuning_case, results: None,
    before: Callable[[Case, int, str], None] = lambda case, generation, contender: None,
    start: Start = Worker,
    guard: Callable[[int], LoadGuard] = LoadGuard,
) -> None:
    """Verify and time, each algorithm in fresh processes of its own, in turns with the others.

    Parameters
    ----------
    tuning_cases : iterable of TuningCase
        No two of the same layer and number of threads.
    seconds : float
        Of samples, of each algorithm, all its processes together.
    processes : int
        Of each algorithm.
    done : callable
        Called with a result as soon as all its processes are through, before the next begins.
    step : callable
        Called with each tuning case that is through in one process.
    before, start, guard : callable
        As `suite.measure.runner.run_cases` has them.
    """
    by_case = {each.case: each for each in tuning_cases}
    measurements = Measurements()
    schedule = Schedule(seconds / (processes * _ROUNDS), _ROUNDS, spend_s=_PATIENCE * seconds / processes)

    def store(case: Case, generation: int, found: dict[str, ProcessResult]) -> None:
        tuning_case = by_case[case]
        step(tuning_case, found)
        if generation == processes - 1:
            results = {name: Result(measurements.of(case, name)) for name in tuning_case.names}
            done(TuningResult(tuning_case, results))

    run_cases(
        {case: each.contenders for case, each in by_case.items()}, measurements, processes=processes,
        schedule=lambda case: schedule, store=store, before=before, start=start, guard=guard,
    )  # fmt: skip
