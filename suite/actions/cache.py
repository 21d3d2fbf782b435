"""The work of ``convmark cache``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kernels import cache_folder, prune_cache
from suite.console import fail, print_json, print_table
from suite.format import size

__all__ = ["cache"]


def cache(prune: bool, days: float | None, mb: float | None, as_json: bool) -> None:
    """See `suite.commands.cache.cache`."""
    if not prune and (days is not None or mb is not None):
        fail("--days and --mb say what --prune keeps, expected --prune with them")
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
