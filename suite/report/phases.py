"""The phases of a transform as a table: in a terminal, and as one Markdown file."""

from __future__ import annotations

from collections.abc import Sequence

from suite.format import number, percent, span
from suite.machine.environment import Machine
from suite.measure.phases import Ceilings, Profile
from suite.report.machine import machine_table
from suite.report.markdown import markdown_cells, markdown_table

__all__ = ["PHASE_HEADINGS", "ceiling_line", "phase_lines", "phases_markdown"]

PHASE_HEADINGS = (
    "layer", "algorithm", "a call", "nominal GFLOP/s", "phase", "time", "share", "GFLOP/s", "GB/s", "limit (GB/s)",
    "% of limit",
)  # fmt: skip

_HOW_TO_READ = """\
Processor time on one thread, the least of some repetitions. Phases are run one by one over all blocks of a layer, so
their sum is near the time of a call, not the same. Products are held against the multiply-add limit, or, where that
takes longer, against reading the transformed weights once; rows and channels that fill up a tile count
as work. Of a transform, each byte that it reads or writes is held against the bandwidth that a plain loop has, on the
same core in the same process, over as many bytes as lie between two uses of it: for source and
result those of the whole layer, for points and products those that a block works on. The limit names
the cache that holds so much and that bandwidth, of what is read first. At 100 % a phase does nothing
but multiply, or nothing but move its bytes.
"""


def ceiling_line(ceilings: Ceilings) -> tuple[str, str]:
    """The limit that all products have in common, as name and value."""
    return "FMA limit float32, 1 thread", f"{number(ceilings.fma_gflops)} GFLOP/s"


def phase_lines(profiles: Sequence[Profile]) -> list[tuple[str, ...]]:
    """A line a phase, a cell each of `PHASE_HEADINGS`; a refusal is one line with its reason."""
    lines: list[tuple[str, ...]] = []
    for each in profiles:
        if each.reason:
            cells = (each.problem, each.algorithm, "", "", f"skipped: {each.reason}")
            lines.append((*cells, *[""] * (len(PHASE_HEADINGS) - len(cells))))
        head = (each.problem, each.algorithm, span(each.call_s), number(each.nominal_gflops))
        for phase in each.phases:
            lines.append(
                (
                    *head,
                    phase.name,
                    span(phase.seconds),
                    f"{phase.share:.0%}",
                    number(phase.gflops) if phase.gflops else "",
                    number(phase.gb_s),
                    phase.limit,
                    percent(phase.pct_of_limit),
                )
            )
            # What all phases have in common stands once.
            head = ("", "", "", "")
    return lines


def phases_markdown(profiles: Sequence[Profile], ceilings: Ceilings, machine: Machine) -> str:
    """The whole page as text."""
    parts = (
        "# Where the time of the transforms goes",
        _HOW_TO_READ.strip(),
        markdown_table(machine_table(machine, None, [ceiling_line(ceilings)])),
        markdown_cells(PHASE_HEADINGS, phase_lines(profiles)),
    )
    return "\n\n".join(parts) + "\n"
