"""The work of ``convmark blocks``."""

from __future__ import annotations

from pathlib import Path

from suite.actions.arguments import caches_of, check_amounts, slower_of, threads_of
from suite.actions.run import begin, carry_out
from suite.catalogue import blocks as listed_blocks
from suite.contenders import select_block_contenders
from suite.contenders.ours import FUSED
from suite.machine.host_lock import measuring_alone
from suite.selection import Request

__all__ = ["blocks"]


def blocks(
    block: list[str] | None,
    contender: list[str] | None,
    threads: list[str] | None,
    seconds: float,
    processes: int,
    cache: str,
    slower: float,
    results: Path,
    details: bool,
    no_wait: bool,
    as_json: bool,
) -> None:
    """See `suite.commands.blocks.blocks`."""
    check_amounts(seconds, processes)
    chosen = tuple(each.name for each in select_block_contenders(contender or ("all",)))
    request = Request(
        networks=(),
        problems=(),
        contenders=chosen,
        mb=None,
        threads=threads_of(threads) or (1,),
        budget_s=seconds,
        processes=processes,
        caches=caches_of(cache),
        reference=FUSED if FUSED in chosen else "",
        slower=slower_of(slower),
        blocks=tuple(block or (each.name for each in listed_blocks())),
    )
    with measuring_alone(wait=not no_wait):
        carry_out(begin(request, results), as_json, details)
