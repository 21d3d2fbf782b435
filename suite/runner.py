"""Bouts -> takes: generation by generation, everything that was asked for and is not stored yet.

A generation is one fresh process of every contender and number of threads, which meets on
all layers. So many processes are measured as is asked for, and starting them is paid for
once a generation, not once a layer. The first generation verifies and screens: in the others,
who is too slow does not take part, and what was right is not verified again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from suite.company import Company, Start
from suite.contenders import absence
from suite.interleave import LONGEST_REASON, Entrant, Schedule, admit, take_turns
from suite.load import LoadGuard
from suite.outcome import Take
from suite.process import Worker, WorkerError
from suite.referees import Referees
from suite.screen import NO_SCREEN, Screen
from suite.selection import Bout, Task, bouts_of
from suite.works import AnyReferee, Work, referee_of

__all__ = ["Ledger", "run_bouts"]


@dataclass
class Ledger:
    """The takes that there are, by bout and generation: a take of each contender, by its name.

    Attributes
    ----------
    takes : dict
    screen : Screen
        Who is not expected in other generations than the first.
    """

    takes: dict[Bout, dict[int, dict[str, Take]]] = field(default_factory=dict)
    screen: Screen = NO_SCREEN

    def add(self, bout: Bout, generation: int, found: Mapping[str, Take]) -> None:
        """Note what came of one bout in one generation."""
        self.takes.setdefault(bout, {})[generation] = dict(found)

    def of(self, bout: Bout, contender: str) -> list[Take]:
        """A contender's takes, in the order of generations."""
        generations = self.takes.get(bout, {})
        return [generations[n][contender] for n in sorted(generations) if contender in generations[n]]

    def slow(self, bout: Bout, tasks: Iterable[Task]) -> set[str]:
        """Contenders that the first generation showed to be too slow for others."""
        first = self.takes.get(bout, {}).get(0, {})
        times = {name: take.median_s for name, take in first.items() if take.quiet}
        return self.screen.slow(times, {task.contender.name for task in tasks if task.contender.is_peer})

    def due(self, bout: Bout, generation: int, tasks: Iterable[Task]) -> list[Task]:
        """Those of these tasks that a generation measures."""
        every = list(tasks)
        slow = self.slow(bout, every) if generation else set()
        return [task for task in every if task.contender.name not in slow]

    def has(self, bout: Bout, generation: int, tasks: Iterable[Task]) -> bool:
        """Whether every one of these tasks that a generation measures has its take there."""
        found = self.takes.get(bout, {}).get(generation, {})
        return all(task.contender.name in found for task in self.due(bout, generation, tasks))


def run_bouts(
    tasks: Iterable[Task],
    ledger: Ledger,
    *,
    processes: int,
    schedule: Callable[[Bout], Schedule],
    store: Callable[[Bout, int, dict[str, Take]], None],
    compiled: Path | None = None,
    before: Callable[[Bout, int, str], None] = lambda bout, generation, contender: None,
    told: Callable[[str], None] = lambda phase: None,
    start: Start = Worker,
    guard: Callable[[int], LoadGuard] = LoadGuard,
) -> None:
    """Verify and time; what the ledger has already is not done again.

    Parameters
    ----------
    tasks : iterable of Task
    ledger : Ledger
        Is added to.
    processes : int
        Generations.
    schedule : callable
        How much to measure in a bout.
    store : callable
        Given every new take, bout by bout, before the next begins.
    compiled : Path, optional
        Where our kernels' compiled code is kept; empty at first, the first process compiles.
    before : callable
        Told of bout, generation and contender before each step.
    told : callable
        Told what goes on in that step: loading, preparing, compiling, verifying, timing.
    start, guard : callable
        Make a worker; make a load guard for a number of threads.
    """
    bouts = bouts_of(tasks)
    referee = Referees(referee_of)
    for generation in range(processes):
        for threads in dict.fromkeys(bout.threads for bout in bouts):
            due = {
                bout: ledger.due(bout, generation, own)
                for bout, own in bouts.items()
                if bout.threads == threads and not ledger.has(bout, generation, own)
            }
            with Company(threads, compiled, start) as company:
                for bout, own in due.items():
                    stage = _Stage(bout, generation, company, guard(threads), before, told)
                    found = stage.play(own, ledger, schedule(bout), referee)
                    ledger.add(bout, generation, found)
                    store(bout, generation, found)


def _was_right(earlier: list[Take], take: Take) -> bool:
    """Whether another process computed the same, with the same algorithm where it was chosen, and was right."""
    return any(each.status == "ok" and each.chosen == take.chosen for each in earlier)


@dataclass
class _Stage:
    bout: Bout
    generation: int
    company: Company
    guard: LoadGuard
    before: Callable[[Bout, int, str], None]
    told: Callable[[str], None]

    def play(
        self, tasks: list[Task], ledger: Ledger, schedule: Schedule, referee: Callable[[Work], AnyReferee]
    ) -> dict[str, Take]:
        """One bout in one generation."""
        found: dict[str, Take] = {}
        entrants: list[Entrant] = []
        problem = self.bout.layer.problem
        for task in tasks:
            contender = task.contender
            earlier = ledger.of(self.bout, contender.name)
            refusal = absence(contender) or contender.unsupported(problem, self.bout.threads)
            if refusal is not None:
                found[contender.name] = Take("skipped", refusal, contender.version() or "")
            elif earlier and earlier[0].status != "ok":
                # What was wrong once is not timed again.
                found[contender.name] = earlier[0]
            else:
                found[contender.name] = Take(version=contender.version() or "")
        # All have loaded before the first prepares: that is timed as well.
        self.company.call(name for name, take in found.items() if take.status == "ok")
        for task in tasks:
            name, take = task.contender.name, found[task.contender.name]
            if take.status != "ok":
                continue
            self.before(self.bout, self.generation, name)
            self.told("loading")
            try:
                entrants.append(Entrant(task.contender, self.company.hire(name), take, told=self.told))
            except WorkerError as error:
                take.status, take.reason = "failed", str(error)[:LONGEST_REASON]
        for entrant in entrants:
            self.before(self.bout, self.generation, entrant.contender.name)
            earlier = ledger.of(self.bout, entrant.contender.name) if self.generation else []
            admit(
                entrant, problem, referee(problem), integers=self.generation == 0,
                judged=functools.partial(_was_right, earlier),
            )  # fmt: skip
        screen = NO_SCREEN if self.generation else ledger.screen
        take_turns(
            entrants, replace(schedule, screen=screen), self.guard, backwards=self.generation % 2 == 1,
            before=lambda entrant: self.before(self.bout, self.generation, entrant.contender.name),
        )  # fmt: skip
        for entrant in entrants:
            if entrant.take.status == "failed":
                self.company.dismiss(entrant.contender.name)
        return found
