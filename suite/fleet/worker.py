"""A worker of a fleet: one thread, one measurement at a time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from typing import Any

from suite.results.files import StoreError

__all__ = ["serve"]

#: Seconds from one look for a scheduler to the next.
_AGAIN_S = 1.0


def serve(scheduler: str, *, forever: bool = True) -> None:
    """Work for a scheduler; one that is lost is looked for again.

    Parameters
    ----------
    scheduler : str
        Its address.
    forever : bool
        Whether to go on once the scheduler is gone.
    """
    try:
        import distributed
    except ImportError as error:
        raise StoreError("a fleet needs Dask, expected it installed: pip install 'convmark[fleet]'") from error
    while True:
        with contextlib.suppress(OSError, TimeoutError, asyncio.CancelledError, RuntimeError):
            asyncio.run(_work(distributed, scheduler))
        if not forever:
            return
        time.sleep(_AGAIN_S)


async def _work(distributed: Any, scheduler: str) -> None:
    """One life of a worker, which ends when its scheduler does."""
    async with distributed.Worker(
        scheduler, nthreads=1, resources={"BENCH": 1}, name=f"convmark-{os.getpid()}-{time.time_ns()}",
        memory_limit=0, dashboard=False,
    ) as worker:  # fmt: skip
        await worker.finished()
