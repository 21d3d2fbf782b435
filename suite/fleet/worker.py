"""A worker of a fleet: one thread, one measurement at a time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from typing import Any

from suite.console import warn
from suite.fleet.dask import distributed_for
from suite.fleet.tasks import RESOURCE, statement

__all__ = ["serve"]

#: Seconds from one look for a scheduler to the next.
_AGAIN_S = 1.0

#: What Dask does in a worker while a task goes on, as seldom as it can be: it takes time from what is measured.
_SELDOM = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.tick.limit": "60s",
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.diagnostics.nvml": False,
}


def serve(scheduler: str, name: str) -> None:
    """Work for a scheduler until interrupted; one that is lost is looked for again.

    Parameters
    ----------
    scheduler : str
        Its address.
    name : str
        This machine's in fleets; empty for its host's.
    """
    distributed = distributed_for(scheduler)
    stated = statement(name)
    _give_way()
    said = False
    import dask

    with dask.config.set(_SELDOM):
        while True:
            try:
                asyncio.run(_work(distributed, scheduler, stated))
                warn(f"the scheduler at {scheduler} is gone; it is looked for again")
                said = True
            except (OSError, TimeoutError, asyncio.CancelledError, RuntimeError) as error:
                if not said:
                    why = error.__cause__ or error
                    warn(f"cannot serve {scheduler}: {why}, expected a scheduler there; it is looked for again")
                    said = True
            time.sleep(_AGAIN_S)


def _give_way() -> None:
    """Wake up when a core is free rather than in what is measured; unlike a priority, what is started can undo it."""
    if hasattr(os, "sched_setscheduler"):
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


async def _work(distributed: Any, scheduler: str, stated: dict[str, str]) -> None:
    """One life of a worker, which ends when its scheduler does."""

    async def state(worker: Any) -> dict[str, str]:
        return stated

    async with distributed.Worker(
        scheduler, nthreads=1, resources=RESOURCE, name=f"{stated['name']}-{os.getpid()}-{time.time_ns()}",
        memory_limit=0, dashboard=False, startup_information={"convmark": state},
    ) as worker:  # fmt: skip
        warn(f"{stated['name']} serves {scheduler}")
        await worker.finished()
