"""What is seen while a run goes on: a bar with the time left, or a line a layer where nobody watches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as TimeLeftColumn

from suite.report.units import span
from suite.rows import Row
from suite.selection import Task

__all__ = ["Watch"]

#: Seconds over which the time left is estimated: rows take from milliseconds to seconds.
_ESTIMATE_S = 120


class Watch:
    """Shows which task is on its way and how many are left.

    Parameters
    ----------
    console : Console
        Usually of stderr, so that stdout stays what was asked for.
    total : int
    """

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._count = 0
        self._layer: tuple[str, str] | None = None
        self._rows: list[Row] = []
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeLeftColumn(),
            console=console,
            transient=True,
            speed_estimate_period=_ESTIMATE_S,
        )
        self._line = self._bar.add_task("", total=total)

    def before(self, task: Task) -> None:
        """A task starts."""
        self._bar.update(self._line, description=f"{task.layer.network}/{task.layer.name} {task.algorithm.name}")

    def follow(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Pass rows on, and show each."""
        if not self._console.is_terminal:
            for row in rows:
                yield row
                self._note(row)
            self._say()
            return
        with self._bar:
            for row in rows:
                yield row
                self._bar.advance(self._line)

    def _note(self, row: Row) -> None:
        layer = row["network"], row["layer"]
        if layer != self._layer:
            self._say()
            self._layer, self._rows = layer, []
        self._count += 1
        self._rows.append(row)

    def _say(self) -> None:
        """One line on a layer that is done."""
        if self._layer is None:
            return
        states = [row["status"] for row in self._rows]
        counts = ", ".join(f"{states.count(name)} {name}" for name in dict.fromkeys(states))
        timed = [row for row in self._rows if row["time_s"] is not None]
        best = min(timed, key=lambda row: float(row["time_s"]), default=None)
        fastest = f", fastest {best['algorithm']} {span(best['time_s'])}" if best else ""
        self._console.print(f"[{self._count}/{self._total}] {'/'.join(self._layer)}: {counts}{fastest}", markup=False)
