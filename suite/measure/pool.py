"""Pools of workers: one generation of processes, a fresh one per contender, kept over all layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from suite.measure.worker import Worker, WorkerError

__all__ = ["Start", "WorkerLike", "WorkerPool"]


class WorkerLike(Protocol):
    """What measuring needs of a worker."""

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """See `suite.measure.worker.Worker.ask`."""

    def close(self) -> None:
        """End the process."""


#: Makes a worker of a contender's name, a number of threads, and a folder for compiled code.
Start = Callable[[str, int, Path | None], WorkerLike]


class WorkerPool:
    """The processes of one generation, all with the same number of threads.

    A process is started when its contender is first asked for, and again after it crashed.

    Parameters
    ----------
    threads : int
    compiled : Path, optional
        Where our kernels' compiled code is kept.
    start : callable
    """

    def __init__(self, threads: int, compiled: Path | None = None, start: Start = Worker) -> None:
        self.threads = threads
        self._compiled = compiled
        self._start = start
        self._workers: dict[str, WorkerLike] = {}
        self._loaded: set[str] = set()

    def start(self, contenders: Iterable[str]) -> None:
        """Start the processes of several: while one is waited for, the others start as well."""
        for name in contenders:
            if name not in self._workers:
                self._workers[name] = self._start(name, self.threads, self._compiled)

    def get(self, contender: str) -> WorkerLike:
        """The contender's process, its library loaded.

        Raises
        ------
        WorkerError
            The library could not be loaded.
        """
        self.start((contender,))
        if contender not in self._loaded:
            try:
                self._workers[contender].ask("load", contender=contender, threads=self.threads)
            except WorkerError:
                self.stop(contender)
                raise
            self._loaded.add(contender)
        return self._workers[contender]

    def stop(self, contender: str) -> None:
        """End a process; the next layer gets a new one."""
        if contender in self._workers:
            self._workers.pop(contender).close()
            self._loaded.discard(contender)

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for name in [*self._workers]:
            self.stop(name)
