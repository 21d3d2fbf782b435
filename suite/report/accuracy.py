"""Errors against float64, in a terminal: a table a kind of layer, then what each algorithm promises and keeps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.text import Text

from kernels import Conv2dProblem
from suite.format import scientific
from suite.report.kinds import kind_of
from suite.report.table import Table, table_of
from suite.report.terminal import print_table
from suite.verification.accuracy import DIRECT, Accuracy

__all__ = ["error_tables", "print_accuracy", "promise_lines"]

#: What is measured, and how one entry tells it and its multiple of NumPy's.
_MEASURES: dict[str, tuple[Callable[[Accuracy], float | None], Callable[[Accuracy], float | None]]] = {
    "relative L2 error": (lambda each: each.rel_error, lambda each: each.rel_vs_numpy),
    "largest error of one element": (lambda each: each.max_error, lambda each: each.max_vs_numpy),
}

_PROMISES = ("algorithm", "promised", "worst", "on", "data", f"vs {DIRECT}", f"one element vs {DIRECT}")

_HOW_TO_READ = f"""\
Errors are against float64, those of float64 against exact sums; times (x) are those of NumPy's own arithmetic
on the same data. Promises are multiples of what rounding comes to (`kernels.error_unit`), or of NumPy's error
if that is more. The table of promises has them in times of {DIRECT}'s as well. Data: normal values; a mean
of a hundred deviations; a wide range of magnitudes; smooth pictures. A cell is the worst of all layers of
its kind and number of input channels."""


def error_tables(entries: Sequence[Accuracy]) -> list[Table]:
    """Two tables for each kind of layer, in the order of the entries; refused problems are in none."""
    kinds: dict[str, list[Accuracy]] = {}
    for each in entries:
        if each.fill:
            kinds.setdefault(kind_of(Conv2dProblem.parse(each.problem)), []).append(each)
    found = []
    for kind, own in kinds.items():
        channels = sorted({each.channels for each in own})
        for measure in _MEASURES:
            lines = tuple(
                (algorithm, fill, *(_cell(own, measure, algorithm, fill, count) for count in channels))
                for algorithm, fill in dict.fromkeys((each.algorithm, each.fill) for each in own)
            )
            headings = ("algorithm", "data", *(f"{count} channels" for count in channels))
            found.append(table_of(headings, lines, title=f"{kind}: {measure}", words=("algorithm", "data")))
    return found


def _cell(entries: Sequence[Accuracy], measure: str, algorithm: str, fill: str, channels: int) -> str:
    """The worst; a word where something is worse than any number."""
    own = [each for each in entries if (each.algorithm, each.fill, each.channels) == (algorithm, fill, channels)]
    value, multiple = _MEASURES[measure]
    for each in own:
        if value(each) is None:
            return each.status
    if not own:
        return ""
    worst = max(own, key=lambda each: multiple(each) or 0.0)
    return f"{scientific(value(worst))} {_times(multiple(worst))}".rstrip()


def promise_lines(entries: Sequence[Accuracy]) -> list[tuple[tuple[str, ...], bool]]:
    """A line for each algorithm that computed anything, a cell each of `_PROMISES`; and whether it kept its promise."""
    found = []
    for name in dict.fromkeys(each.algorithm for each in entries if each.fill):
        own = [each for each in entries if each.algorithm == name and each.fill]
        kept = all(each.status == "ok" for each in own)
        measured = [each for each in own if each.rel_vs_numpy is not None]
        head = (name, f"{own[0].error_factor:g}x")
        if not measured:
            found.append(((*head, *[""] * (len(_PROMISES) - len(head))), kept))
            continue
        worst = max(measured, key=lambda each: each.rel_vs_numpy or 0.0)
        directs = [each.rel_vs_direct for each in measured if each.rel_vs_direct is not None]
        largest = [each.max_vs_direct for each in measured if each.max_vs_direct is not None]
        cells = (
            *head,
            _times(worst.rel_vs_numpy),
            worst.problem,
            worst.fill,
            _times(max(directs, default=None)),
            _times(max(largest, default=None)),
        )
        found.append((cells, kept))
    return found


def print_accuracy(console: Console, entries: Sequence[Accuracy]) -> None:
    """Print everything: errors, promises, refusals with their reasons, and each promise that is broken."""
    for each in error_tables(entries):
        print_table(console, each)
    promises = promise_lines(entries)
    if promises:
        title = "Promises: relative L2 error in times of NumPy's, worst of all"
        table = table_of(_PROMISES, [cells for cells, _ in promises], title=title, words=("algorithm", "on", "data"))
        print_table(console, table, styles=["" if kept else "bold red" for _, kept in promises])
        console.print(Text(_HOW_TO_READ, style="dim"))
    refusals = Counter((each.algorithm, each.reason) for each in entries if each.status == "skipped")
    for (algorithm, reason), count in refusals.items():
        console.print(Text(f"skipped {count} x {algorithm}: {reason}", style="dim"))
    for bad in entries:
        if bad.status in ("wrong", "failed"):
            where = f"{bad.network}/{bad.layer} on {bad.fill} data"
            console.print(Text(f"{bad.status} {bad.algorithm}, {where}: {bad.reason}", style="bold red"))


def _times(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}x"
