"""Algorithms that may be the fastest on a problem, timed side by side: what a choice can be judged and replaced by."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kernels import Choice, Conv2dProblem
from suite.catalogue import Layer
from suite.company import Start
from suite.contenders import get_contender
from suite.interleave import Schedule
from suite.load import LoadGuard
from suite.outcome import Outcome, Take
from suite.process import Worker
from suite.runner import Ledger, run_bouts
from suite.selection import Bout, Task

__all__ = ["Contest", "Finding", "distinct", "hold", "worth_timing"]

#: Turns that each takes in a process, and how many times its seconds of samples it may take for them.
_ROUNDS, _PATIENCE = 8, 10


@dataclass(frozen=True)
class Contest:
    """Who is timed on one problem with one number of threads.

    Attributes
    ----------
    layer : Layer
    threads : int
    choice : Choice
        What the cost model says.
    names : tuple of str
        Algorithms.
    """

    layer: Layer
    threads: int
    choice: Choice
    names: tuple[str, ...]

    @property
    def problem(self) -> Conv2dProblem:
        """What they compute."""
        return self.layer.problem

    @property
    def tasks(self) -> list[Task]:
        """The same for `suite.runner`."""
        return [Task(self.layer, get_contender(name), self.threads) for name in self.names]


@dataclass(frozen=True)
class Finding:
    """What came of a contest: an outcome of each algorithm, by its name."""

    contest: Contest
    outcomes: Mapping[str, Outcome]

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds of one call of those that are right, and whose times can be trusted; the least first."""
        right = {name: each.time_s for name, each in self.outcomes.items() if each.status == "ok"}
        return dict(sorted(right.items(), key=lambda pair: pair[1]))

    @property
    def picked(self) -> str:
        """The cost model's choice."""
        return self.contest.choice.algorithm.name

    @property
    def faults(self) -> dict[str, str]:
        """Those that have no time to rely on: status and reason."""
        return {name: f"{each.status}: {each.reason}" for name, each in self.outcomes.items() if each.status != "ok"}

    @property
    def is_bad(self) -> bool:
        """Whether somebody computed wrongly or failed."""
        return any(each.status in ("wrong", "failed") for each in self.outcomes.values())

    @property
    def picked_behind(self) -> float | None:
        """By how many times the model's choice takes longer than the fastest; ``None`` where it has no time."""
        seconds = self.seconds
        return seconds[self.picked] / min(seconds.values()) if self.picked in seconds else None

    @property
    def doubt(self) -> str:
        """Why its times are not to be kept; empty where they are.

        Whoever was disturbed could be the fastest: what is kept is not measured again, and then it never was.
        """
        disturbed = [name for name, each in self.outcomes.items() if each.status == "mistrusted"]
        if disturbed:
            others = f" and {len(disturbed) - 1} more" if len(disturbed) > 1 else ""
            return f"{disturbed[0]}{others} mistrusted: {self.outcomes[disturbed[0]].reason}"
        return "" if self.seconds else "none is right"

    def as_dict(self) -> dict[str, Any]:
        """In types that JSON knows."""
        return {
            "problem": str(self.contest.problem), "threads": self.contest.threads, "seconds": self.seconds,
            "faults": self.faults, "winner": next(iter(self.seconds), None), "picked": self.picked,
            "picked_behind": self.picked_behind, "doubt": self.doubt,
        }  # fmt: skip


def distinct(layers: Iterable[Layer]) -> list[Layer]:
    """Layers without those whose problem an earlier one has, but for a bias: that costs nothing."""
    found: dict[Conv2dProblem, Layer] = {}
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


def hold(
    contests: Iterable[Contest],
    seconds: float,
    processes: int,
    done: Callable[[Finding], None],
    *,
    step: Callable[[Contest, dict[str, Take]], None] = lambda contest, takes: None,
    before: Callable[[Bout, int, str], None] = lambda bout, generation, contender: None,
    start: Start = Worker,
    guard: Callable[[int], LoadGuard] = LoadGuard,
) -> None:
    """Verify and time, each algorithm in fresh processes of its own, in turns with the others.

    Parameters
    ----------
    contests : iterable of Contest
        No two of the same layer and number of threads.
    seconds : float
        Of samples, of each algorithm, all its processes together.
    processes : int
        Of each algorithm.
    done : callable
        Given a contest's finding as soon as all its processes are through, before the next begins.
    step : callable
        Told of each contest that is through in one process.
    before, start, guard : callable
        As `suite.runner.run_bouts` has them.
    """
    by_bout = {task.bout: contest for contest in contests for task in contest.tasks}
    ledger = Ledger()
    schedule = Schedule(seconds / (processes * _ROUNDS), _ROUNDS, spend_s=_PATIENCE * seconds / processes)

    def store(bout: Bout, generation: int, found: dict[str, Take]) -> None:
        contest = by_bout[bout]
        step(contest, found)
        if generation == processes - 1:
            done(Finding(contest, {name: Outcome(ledger.of(bout, name)) for name in contest.names}))

    run_bouts(
        [task for contest in by_bout.values() for task in contest.tasks], ledger, processes=processes,
        schedule=lambda bout: schedule, store=store, before=before, start=start, guard=guard,
    )  # fmt: skip
