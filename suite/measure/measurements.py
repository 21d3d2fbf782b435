"""Everything that was measured so far, by case and generation of processes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from suite.contenders import Contender
from suite.measure.result import ProcessResult
from suite.measure.screen import NO_SCREEN, Screen
from suite.selection import Case

__all__ = ["Measurements"]


@dataclass
class Measurements:
    """Results by case, generation, and contender's name.

    Attributes
    ----------
    results : dict
    screen : Screen
        Which contenders are expected in the first generation alone.
    """

    results: dict[Case, dict[int, dict[str, ProcessResult]]] = field(default_factory=dict)
    screen: Screen = NO_SCREEN

    def add(self, case: Case, generation: int, found: Mapping[str, ProcessResult]) -> None:
        """Note the results of one case in one generation."""
        self.results.setdefault(case, {})[generation] = dict(found)

    def of(self, case: Case, contender: str) -> list[ProcessResult]:
        """A contender's results, in the order of generations."""
        generations = self.results.get(case, {})
        return [generations[n][contender] for n in sorted(generations) if contender in generations[n]]

    def drop_failed(self) -> None:
        """Forget every result of a contender that failed in some generation of a case."""
        for generations in self.results.values():
            failed = {name for each in generations.values() for name in each if each[name].status == "failed"}
            for each in generations.values():
                for name in failed & each.keys():
                    del each[name]

    def slow(self, case: Case, contenders: Iterable[Contender[Any, Any]]) -> set[str]:
        """Contenders that the first generation showed to be too slow for others."""
        first = self.results.get(case, {}).get(0, {})
        times = {name: result.median_s for name, result in first.items() if result.quiet}
        return self.screen.slow(times, {each.name for each in contenders if each.is_peer})

    def due(self, case: Case, generation: int, contenders: Iterable[Contender[Any, Any]]) -> list[Contender[Any, Any]]:
        """Those of these contenders that a generation measures."""
        every = list(contenders)
        slow = self.slow(case, every) if generation else set()
        return [each for each in every if each.name not in slow]

    def has(self, case: Case, generation: int, contenders: Iterable[Contender[Any, Any]]) -> bool:
        """Whether every one of these contenders that a generation measures has its result there."""
        found = self.results.get(case, {}).get(generation, {})
        return all(each.name in found for each in self.due(case, generation, contenders))
