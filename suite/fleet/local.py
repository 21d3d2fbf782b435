"""A fleet on this machine: a scheduler and workers that end with the process that asked for them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from suite.fleet.dask import distributed_for

__all__ = ["local_fleet"]

_ROOT = Path(__file__).resolve().parent.parent.parent

#: Seconds that a worker has to end after its standard input is closed; what it measures has ended before.
_PATIENCE_S = 40.0


@contextmanager
def local_fleet(count: int) -> Iterator[str]:
    """Workers ``local-1`` and so on of one scheduler, whose address this is.

    They are machines of their own to a fleet and one host to its lock: one measures at a time.

    Parameters
    ----------
    count : int
        Of workers.

    Raises
    ------
    StoreError
        Dask is not installed.
    """
    make = distributed_for().LocalCluster
    path = os.pathsep.join(each for each in (str(_ROOT), os.environ.get("PYTHONPATH")) if each)
    with ExitStack() as stack:
        cluster = stack.enter_context(make(n_workers=0, host="127.0.0.1", protocol="tcp", dashboard_address=None))
        address = str(cluster.scheduler_address)
        workers: list[subprocess.Popen[bytes]] = []
        stack.callback(_end, workers)
        for number in range(1, count + 1):
            command = ("fleet", "worker", "--scheduler", address, "--name", f"local-{number}")
            workers.append(
                subprocess.Popen(
                    [sys.executable, "-m", "suite.fleet.child", *command],
                    stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": path},
                )
            )  # fmt: skip
        yield address


def _end(workers: list[subprocess.Popen[bytes]]) -> None:
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.close()
    for worker in workers:
        try:
            worker.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
