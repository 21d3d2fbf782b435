"""One generation of processes: a fresh one for every contender, kept over all layers that they meet on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from suite.process import Worker, WorkerError

__all__ = ["Company", "Staff", "Start"]


class Staff(Protocol):
    """A worker as those see it who measure."""

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """See `suite.process.Worker.ask`."""

    def close(self) -> None:
        """End the process."""


#: Makes a worker of a contender's name, a number of threads, and a folder for compiled code.
Start = Callable[[str, int, Path | None], Staff]


class Company:
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
        self._staff: dict[str, Staff] = {}
        self._loaded: set[str] = set()

    def call(self, contenders: Iterable[str]) -> None:
        """Start the processes of several: while one is waited for, the others start as well."""
        for name in contenders:
            if name not in self._staff:
                self._staff[name] = self._start(name, self.threads, self._compiled)

    def hire(self, contender: str) -> Staff:
        """The contender's process, its library loaded.

        Raises
        ------
        WorkerError
            The library could not be loaded.
        """
        self.call((contender,))
        if contender not in self._loaded:
            try:
                self._staff[contender].ask("load", contender=contender, threads=self.threads)
            except WorkerError:
                self.dismiss(contender)
                raise
            self._loaded.add(contender)
        return self._staff[contender]

    def dismiss(self, contender: str) -> None:
        """End a process; the next layer gets a new one."""
        if contender in self._staff:
            self._staff.pop(contender).close()
            self._loaded.discard(contender)

    def __enter__(self) -> Company:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for name in [*self._staff]:
            self.dismiss(name)
