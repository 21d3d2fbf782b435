"""A line per layer: who is the fastest, how near the limit, and who comes next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from suite.format import percent, span
from suite.report.groups import name_of
from suite.results.rows import Row

__all__ = ["OVERVIEW_HEADINGS", "overview_faults", "overview_line", "overview_lines"]

OVERVIEW_HEADINGS = ("layer", "fastest", "time", "% of limit", "runner-up", "behind")


def overview_line(rows: Sequence[Row]) -> tuple[str, ...]:
    """Cells of `OVERVIEW_HEADINGS`, of the rows of one layer under the same circumstances.

    Only right and trusted times count. ``auto`` runs one of the others and counts only if it is alone.
    """
    head = rows[0]
    right = sorted((row for row in rows if row["status"] == "ok"), key=lambda row: float(row["time_s"]))
    ranked = [row for row in right if row["family"] != "auto"] or right
    layer = f"{head['network']}/{head['layer']}"
    if not ranked:
        states = {row["status"] for row in rows}
        return layer, "only mistrusted ones" if "mistrusted" in states else "none is right", "", "", "", ""
    first, *others = ranked
    cells = layer, _name(first), span(first["time_s"]), percent(first["pct_of_peak"])
    return *cells, *((_name(others[0]), _behind(first, others[0])) if others else ("", ""))


def overview_lines(groups: Iterable[Sequence[Row]], circumstances: Iterable[str]) -> list[tuple[str, ...]]:
    """A line per layer; circumstances stand in front of the others only where they differ."""
    lines = [(said, *overview_line(rows)) for rows, said in zip(groups, circumstances, strict=True)]
    differ = len({line[0] for line in lines}) > 1
    return [line if differ else line[1:] for line in lines]


def overview_faults(rows: Iterable[Row]) -> list[tuple[str, str]]:
    """Status and a sentence of every row that is not right or not trusted, those of one reason together."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        if row["status"] in ("wrong", "failed", "mistrusted"):
            key = row["status"], row["algorithm"], row["reason"] or ""
            found.setdefault(key, []).append(f"{row['network']}/{row['layer']}")
    return [
        (status, f"{status} {name} on {_few(layers)}: {reason}") for (status, name, reason), layers in found.items()
    ]


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _name(row: Row) -> str:
    # A row of a run that is on its way has no source yet: it is ours.
    return name_of({"source": "convmark", "run": "", **row})


def _behind(first: Row, second: Row) -> str:
    ratio = float(second["time_s"]) / float(first["time_s"])
    return f"+{100 * (ratio - 1):.0f} %" if ratio < 2 else f"{ratio:.1f}x"
