"""Bouts -> takes: generation by generation, everything that was asked for and is not stored yet.

A generation is one fresh process of every contender and number of threads, which meets on
all layers. So many processes are measured as is asked for, and starting them is paid for
once a generation, not once a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from suite.company import Company, Start
from suite.contenders import absence
from suite.interleave import LONGEST_REASON, Entrant, Schedule, admit, take_turns
from suite.load import LoadGuard
from suite.outcome import Take
from suite.process import Worker, WorkerError
from suite.referees import Referees
from suite.selection import Bout, Task, bouts_of
from suite.works import AnyReferee, Work, referee_of

__all__ = ["Ledger", "run_bouts"]


@dataclass
class Ledger:
    """The takes that there are, by bout and generation: a take of each contender, by its name."""

    takes: dict[Bout, dict[int, dict[str, Take]]] = field(default_factory=dict)

    def add(self, bout: Bout, generation: int, found: Mapping[str, Take]) -> None:
        """Note what came of one bout in one generation."""
        self.takes.setdefault(bout, {})[generation] = dict(found)

    def of(self, bout: Bout, contender: str) -> list[Take]:
        """A contender's takes, in the order of generations."""
        generations = self.takes.get(bout, {})
        return [generations[n][contender] for n in sorted(generations) if contender in generations[n]]

    def has(self, bout: Bout, generation: int, tasks: Iterable[Task]) -> bool:
        """Whether every one of these tasks has its take in a generation."""
        found = self.takes.get(bout, {}).get(generation, {})
        return all(task.contender.name in found for task in tasks)


def run_bouts(
    tasks: Iterable[Task],
    ledger: Ledger,
    *,
    processes: int,
    schedule: Callable[[Bout], Schedule],
    store: Callable[[Bout, int, dict[str, Take]], None],
    compiled: Path | None = None,
    before: Callable[[Bout, int, str], None] = lambda bout, generation, contender: None,
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
    start, guard : callable
        Make a worker; make a load guard for a number of threads.
    """
    bouts = bouts_of(tasks)
    referee = Referees(referee_of)
    for generation in range(processes):
        for threads in dict.fromkeys(bout.threads for bout in bouts):
            due = {
                bout: own
                for bout, own in bouts.items()
                if bout.threads == threads and not ledger.has(bout, generation, own)
            }
            with Company(threads, compiled, start) as company:
                for bout, own in due.items():
                    stage = _Stage(bout, generation, company, guard(threads), before)
                    found = stage.play(own, ledger, schedule(bout), referee)
                    ledger.add(bout, generation, found)
                    store(bout, generation, found)


@dataclass
class _Stage:
    bout: Bout
    generation: int
    company: Company
    guard: LoadGuard
    before: Callable[[Bout, int, str], None]

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
        for task in tasks:
            name, take = task.contender.name, found[task.contender.name]
            if take.status != "ok":
                continue
            self.before(self.bout, self.generation, name)
            try:
                entrants.append(Entrant(task.contender, self.company.hire(name), take))
            except WorkerError as error:
                take.status, take.reason = "failed", str(error)[:LONGEST_REASON]
        for entrant in entrants:
            self.before(self.bout, self.generation, entrant.contender.name)
            admit(entrant, problem, referee(problem), integers=self.generation == 0)
        take_turns(
            entrants, schedule, self.guard, backwards=self.generation % 2 == 1,
            before=lambda entrant: self.before(self.bout, self.generation, entrant.contender.name),
        )  # fmt: skip
        for entrant in entrants:
            if entrant.take.status == "failed":
                self.company.dismiss(entrant.contender.name)
        return found
