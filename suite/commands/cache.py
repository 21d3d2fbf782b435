"""``convmark cache``: what is kept of compiled code, and what may go."""

from __future__ import annotations

from typing import Annotated

import typer

from suite import options

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
    from suite.actions import cache

    cache.cache(prune, days, mb, as_json)
