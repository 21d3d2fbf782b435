"""Counts of what was tried, in ``results/reliability.json``, and the page that is written from them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_RESULTS = Path(__file__).parent.parent / "results"
_COUNTS, _PAGE = _RESULTS / "reliability.json", _RESULTS / "reliability.md"


def recorded(section: str) -> dict[str, Any]:
    """What was recorded of a section; nothing if nothing was."""
    found: dict[str, Any] = _all().get(section, {})
    return found


def record(section: str, text: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], **state: Any) -> None:
    """Put a section in the place of what it was: a sentence, a table, and what the next run goes on from."""
    known = _all() | {section: {"text": text, "columns": list(columns), "rows": [list(row) for row in rows], **state}}
    _COUNTS.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
    _PAGE.write_text(_page(known))


def _all() -> dict[str, Any]:
    return json.loads(_COUNTS.read_text()) if _COUNTS.exists() else {}  # type: ignore[no-any-return]


def _page(known: dict[str, Any]) -> str:
    lines = ["# Reliability", "", "What was tried, by commands that add to it or write it anew. Nothing of it failed."]
    for section, found in sorted(known.items()):
        lines += ["", f"## {section}", "", found["text"], ""]
        lines += [_row(found["columns"]), "| --- |" + " ---: |" * (len(found["columns"]) - 1)]
        lines += [_row([f"{each:,}" if isinstance(each, int) else each for each in row]) for row in found["rows"]]
    return "\n".join([*lines, ""])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
