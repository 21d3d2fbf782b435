"""Progress: a bar with the time left on a terminal, else a line per layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as TimeLeftColumn

from suite.catalogue import Layer
from suite.format import span
from suite.measure.result import ProcessResult
from suite.results.rows import Row

__all__ = ["Tally", "Watch", "brief_rows"]

#: Seconds over which the time left is estimated: steps take from milliseconds to seconds.
_ESTIMATE_S = 120


def brief_rows(results: Mapping[str, ProcessResult]) -> list[Row]:
    """What `Watch.done_with` needs of the results of contenders in one process, by their names."""
    return [
        {"algorithm": name, "status": each.status, "time_s": each.median_s if each.seconds else None}
        for name, each in results.items()
    ]


class Watch:
    """Shows what is on its way and how much is left; used in a ``with`` block.

    Parameters
    ----------
    console : Console
        Usually of stderr, so that stdout stays what was asked for.
    total : int
        Steps.
    done : int
        Steps that are done already.
    effort : float, optional
        What all steps together take, those that are done left out, in a unit that `done_with` counts in as
        well: what the time left is estimated by. Else every step takes 1.
    """

    def __init__(self, console: Console, total: int, done: int = 0, effort: float | None = None) -> None:
        self._console = console
        self._total = total
        self._count = done
        self._steps, self._at = done, ""
        self._where: tuple[str, ...] | None = None
        self._rows: list[Row] = []
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[steps]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeLeftColumn(),
            console=console,
            transient=True,
            speed_estimate_period=_ESTIMATE_S,
        )
        self._line = self._bar.add_task("", total=total - done if effort is None else effort, steps=self._so_far())

    def _so_far(self) -> str:
        return f"{self._steps}/{self._total}"

    def at(self, layer: Layer[Any], contender: str) -> None:
        """Something starts."""
        self._at = f"{layer.network}/{layer.name} {contender}"
        self._bar.update(self._line, description=self._at)

    def doing(self, phase: str) -> None:
        """What goes on there, in a word such as ``compiling``."""
        self._bar.update(self._line, description=f"{self._at}: {phase}")

    def expect(self, effort: float) -> None:
        """What all steps that are not done take together is known better."""
        self._bar.update(self._line, total=self._bar.tasks[0].completed + effort)

    def say(self, line: str) -> None:
        """Print a line that stays."""
        self._console.print(line, markup=False, soft_wrap=True)

    def _advance(self, effort: float) -> None:
        self._steps += 1
        self._bar.update(self._line, advance=effort, steps=self._so_far())

    def done_and_said(self, line: str, effort: float = 1.0) -> None:
        """A step is done, and a line of its own tells what came of it."""
        self._advance(effort)
        self._count += 1
        self.say(f"{f'[{self._steps}/{self._total}]':>{2 * len(str(self._total)) + 3}} {line}")

    def done_with(self, where: tuple[str, ...], rows: Sequence[Row], effort: float = 1.0) -> None:
        """A step is done: what came of it, by status and time."""
        self._advance(effort)
        if self._console.is_terminal:
            return
        # Steps of one layer share a line.
        if where != self._where:
            self._say()
            self._where, self._rows = where, []
        self._count += 1
        self._rows += rows

    def _say(self) -> None:
        """One line on what is done."""
        if self._where is None:
            return
        states = [row["status"] for row in self._rows]
        counts = ", ".join(f"{states.count(name)} {name}" for name in dict.fromkeys(states))
        timed = [row for row in self._rows if row.get("time_s") is not None]
        best = min(timed, key=lambda row: float(row["time_s"]), default=None)
        fastest = f", fastest {best['algorithm']} {span(best['time_s'])}" if best else ""
        self._console.print(
            f"[{self._count}/{self._total}] {'/'.join(self._where)}: {counts}{fastest}", markup=False, soft_wrap=True
        )

    def __enter__(self) -> Watch:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.stop() if self._console.is_terminal else self._say()


class Tally:
    """Shows how many of something are done if their order is not known before; used in a ``with`` block.

    Parameters
    ----------
    console : Console
    total : int
    word : str
        What being done is called.
    """

    def __init__(self, console: Console, total: int, word: str) -> None:
        self._console = console
        self._total, self._word = total, word
        self._said = ""
        self._bar = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn(),
            TextColumn(word), TimeElapsedColumn(), console=console, transient=True,
        )  # fmt: skip
        self._line = self._bar.add_task("", total=total)

    def at(self, words: str, done: int) -> None:
        """Something starts; so many are done."""
        self._bar.update(self._line, description=words, completed=done)
        head = words.partition(":")[0]
        if not self._console.is_terminal and head != self._said:
            self._said = head
            self._console.print(f"[{done}/{self._total} {self._word}] {head}", markup=False, soft_wrap=True)

    def __enter__(self) -> Tally:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._console.is_terminal:
            self._bar.stop()
