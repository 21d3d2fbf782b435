"""What a report has, in order: the one list that every renderer goes through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pandas as pd

from suite.report.blocks import block_tables
from suite.report.choice import choice_tables
from suite.report.comparisons import (
    automatic_tables,
    fastest_tables,
    kind_tables,
    network_tables,
    scaling_tables,
    total_tables,
    version_tables,
)
from suite.report.layers import layer_tables
from suite.report.machines import machine_tables
from suite.report.table import Table
from suite.report.tradeoff import tradeoff_tables

__all__ = ["SECTIONS", "Made", "Section", "sections"]


@dataclass(frozen=True)
class Section:
    """Some tables under one heading.

    Attributes
    ----------
    key : str
        By which pages name it.
    title : str
    tables : callable
        Makes them of a frame; none if it has nothing for them.
    """

    key: str
    title: str
    tables: Callable[[pd.DataFrame], list[Table]]


SECTIONS = (
    Section("machines", "Machines", machine_tables),
    Section("networks", "Networks", network_tables),
    Section("kinds", "Kinds of layers", kind_tables),
    Section("auto", "What auto is worth", automatic_tables),
    Section("choice", "What auto chose", choice_tables),
    Section("threads", "Threads", scaling_tables),
    Section("error", "Speed against error", tradeoff_tables),
    Section("blocks", "Fused blocks", block_tables),
    Section("fastest", "Fastest per layer", fastest_tables),
    Section("totals", "Sums over networks", total_tables),
    Section("versions", "Libraries", version_tables),
    Section("layers", "Every layer", layer_tables),
)


#: A section with its tables.
Made = tuple[Section, list[Table]]


def sections(frame: pd.DataFrame) -> Iterator[Made]:
    """Those that have anything to show."""
    for section in SECTIONS:
        tables = section.tables(frame)
        if tables:
            yield section, tables
