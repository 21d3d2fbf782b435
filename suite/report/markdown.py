"""The report as one Markdown file with its pictures beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from suite.machine.environment import Limits, Machine
from suite.report.automatic import AUTOMATIC_HEADINGS, automatic_tables
from suite.report.blocks import BLOCKS_NOTE, block_tables
from suite.report.choice import CHOICE_HEADINGS, MISSED_HEADINGS, choice_tables
from suite.report.kinds import kind_tables
from suite.report.scaling import SCALING_HEADINGS, scaling_tables
from suite.report.summaries import TOTAL_HEADINGS, VERSION_HEADINGS, summaries, version_lines
from suite.report.tables import layer_tables
from suite.report.terminal import machine_lines
from suite.report.tradeoff import TRADEOFF_HEADINGS, tradeoffs

__all__ = ["markdown", "table"]

_HOW_TO_READ = """\
Time is that of one call: the median over fresh processes of each one's median; spread is the distance
between the quartiles of the processes, min the least sample of all. Caches are warm where it does not
say cold: then inputs and weights are out of all caches when a call begins. Useful GFLOP/s leave out
the taps that fall on padding; % of limit is that speed against the measured multiply-add limit of as
many threads, so an algorithm that needs fewer multiplications can pass 100. Ratio is the time by that
of the reference, process by process side by side, with its 95 % interval: above 1 is slower. Vs best
peer is above 1 where it is faster than every other library. Error is the relative L2 error against
float64. Prepare packs the weights; compile is what the first call ever took beyond that and a later
call, reload the same in a later process, with compiled code on the disk; first call is that call alone.
Mistrusted times are of processes that others' load disturbed. The fastest is **bold**.
"""

_KINDS = """\
Geometric means over layers, each shape once, of the time of the fastest peer by that of the fastest of
ours: above 1 is ahead. A library counts by its fastest way to be used.
"""

_SCALING = "Geometric means over layers, each shape once, of a contender's time on one thread by its time on several.\n"

_AUTOMATIC = """\
Geometric means over layers, each shape once, of a library's time by that of auto: above 1 auto is ahead.
"""

_CHOICE = """\
Time of the algorithm that is chosen by that of the fastest of ours, each shape once: 1.00x is right, mean is
geometric. The cost model is that of the kernels that wrote this report, without measured times of choices, and
its choice has the time of that algorithm's own row; auto is what ran, with measured choices where there were any.
"""

_MISSED = "Shapes on which either is more than 10 % from the fastest:"


def markdown(
    frame: pd.DataFrame,
    machine: Machine | None,
    limits: Limits | None,
    pictures: Iterable[Path] = (),
    control: Iterable[tuple[str, str]] = (),
) -> str:
    """The whole report as text; pictures are named relative to it, ``control`` is what the null control found."""
    parts = ["# Convolution speed", _HOW_TO_READ]
    if machine is not None:
        parts.append(table(("machine", ""), [*machine_lines(machine, limits), *control]))
    versions = version_lines(frame)
    if versions:
        parts.append(table(VERSION_HEADINGS, versions))
    parts += [f"![{path.stem}]({path.name})" for path in pictures]
    for blocks in block_tables(frame):
        parts += [f"## {blocks.title}", BLOCKS_NOTE, table(blocks.headings, blocks.lines)]
    for kinds in kind_tables(frame):
        parts += [f"## {kinds.title}", _KINDS, table(kinds.headings, kinds.lines)]
    for automatic in automatic_tables(frame):
        parts += [f"## {automatic.title}", _AUTOMATIC, table(AUTOMATIC_HEADINGS, automatic.lines)]
    for scaling in scaling_tables(frame):
        parts += [f"## {scaling.title}", _SCALING, table(SCALING_HEADINGS, scaling.lines)]
    for choice in choice_tables(frame):
        parts += [f"## {choice.title}", _CHOICE, table(CHOICE_HEADINGS, choice.lines)]
        if choice.missed:
            parts += [_MISSED, table(MISSED_HEADINGS, choice.missed)]
    for each in tradeoffs(frame):
        parts += [f"## {each.title}", _sentence(each.note), table(TRADEOFF_HEADINGS, each.lines)]
    for summary, total in summaries(frame):
        parts += [f"## {summary.title}", table(summary.headings, summary.lines)]
        parts += [_sentence(note) for note in summary.notes]
        if total.lines:
            parts.append(table(TOTAL_HEADINGS, total.lines))
        if total.lacking:
            parts.append(_sentence(total.lacking))
    parts.append("## Every layer")
    for layer in layer_tables(frame):
        lines = []
        for line in layer.lines:
            first, *others = (line.cells[name] for name in layer.headings)
            lines.append((f"**{first}**" if line.fastest else first, *others))
        parts += [f"### {layer.title}", table(layer.headings, lines)]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def table(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table as Markdown has it."""
    rows = [headings, ["---"] * len(headings), *lines]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
