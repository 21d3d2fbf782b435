"""``convmark cache``: what is kept of compiled code, and what may go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kernels import cache_folder, prune_cache
from suite import options
from suite.console import fail, print_json, print_table
from suite.format import size

__all__ = ["EXAMPLES", "cache"]

EXAMPLES = ("convmark cache", "convmark cache --prune --days 30 --mb 100", "convmark cache --prune --days 0")


def cache(
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove what was not used for long, then the oldest until the rest fits.")
    ] = False,
    days: Annotated[
        float | None, typer.Option("--days", metavar="N", help="With --prune: keep what was used in N days.")
    ] = None,
    mb: Annotated[float | None, typer.Option("--mb", metavar="N", help="With --prune: keep at most N MiB.")] = None,
    as_json: options.Json = False,
) -> None:
    """Show where compiled code is kept and how much there is of it, or remove what is old.

    The folder is that of CONVMARK_CACHE_DIR if it is set. What is removed is compiled again when it is needed.
    """
    if not prune and (days is not None or mb is not None):
        fail("--days and --mb say what --prune keeps, expected --prune beside them")
    for name, value in (("--days", days), ("--mb", mb)):
        if value is not None and not value >= 0:
            fail(f"{name} is {value:g}, expected at least 0")
    folder = cache_folder()
    before = _pieces(folder)
    if prune:
        kept: dict[str, Any] = {} if days is None else {"most_days": days}
        if mb is not None:
            kept["most_bytes"] = int(mb * 2**20)
        prune_cache(**kept)
    after = _pieces(folder) if prune else before
    found = {"folder": str(folder), "pieces": len(after), "bytes": sum(after.values())}
    gone = {"removed": len(before) - len(after), "removed_bytes": sum(before.values()) - sum(after.values())}
    if as_json:
        print_json({**found, **gone} if prune else found)
        return
    lines = [("folder", str(folder)), ("pieces", str(len(after))), ("size", size(sum(after.values())))]
    if prune:
        lines.append(("removed", f"{gone['removed']} pieces, {size(gone['removed_bytes'])}"))
    print_table(("compiled code", ""), lines)


def _pieces(folder: Path) -> dict[str, int]:
    """Bytes of every file of the folder, by name; none if there is no folder."""
    found = {}
    for path in folder.glob("*"):
        try:
            found[path.name] = path.stat().st_size
        except OSError:
            # Another process has removed it meanwhile.
            continue
    return found
