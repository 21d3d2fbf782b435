"""A worker process as its parent sees it: started with its threads and cores settled, asked, ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

__all__ = ["Worker", "WorkerError", "measuring_cpus", "worker_environment"]

_ROOT = Path(__file__).resolve().parent.parent.parent

#: Every variable by which a library of those that are timed, or of what they stand on, sizes a pool.
_POOLS = (
    "OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS", "TBB_NUM_THREADS", "OPENCV_FOR_THREADS_NUM",
)  # fmt: skip

#: Every OpenMP keeps its threads on a core each. Left to the system, both threads of a pool of two are
#: now and then on one core for seconds on end, and what is timed meanwhile takes twice as long.
_PLACES = {"OMP_PROC_BIND": "true"}

#: Seconds after which an answer is not waited for any longer.
_PATIENCE_S = 600.0


class WorkerError(Exception):
    """A contender's process raised, crashed or hung; the message says which."""


def worker_environment(threads: int, compiled: Path | None = None, sources: Path = _ROOT) -> dict[str, str]:
    """Variables for a worker with ``threads`` threads and the packages below ``sources``.

    Our compiled code is kept in ``compiled`` if that is given.
    """
    # A worker that a test starts must not take part in that test's own collection and timing.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    # These sources, whatever else is installed under the same names.
    path = os.pathsep.join(part for part in (str(sources), kept.get("PYTHONPATH")) if part)
    pools = dict.fromkeys(_POOLS, str(threads))
    ours = {} if compiled is None else {"CONVMARK_CACHE_DIR": str(compiled.resolve())}
    places = _PLACES if threads > 1 else {}
    return {**kept, **pools, **places, **ours, "PYTHONPATH": path}


def measuring_cpus(threads: int) -> frozenset[int]:
    """The cores that all workers of a number of threads are pinned to; none if that cannot be done.

    One hardware thread a core while there are cores enough, the last ones: the first serves
    most interrupts.
    """
    if not hasattr(os, "sched_getaffinity"):
        return frozenset()
    allowed = sorted(os.sched_getaffinity(0), reverse=True)
    firsts = [cpu for cpu in allowed if cpu == min(_siblings(cpu) & set(allowed))]
    others = [cpu for cpu in allowed if cpu not in firsts]
    return frozenset((firsts + others)[:threads])


def _siblings(cpu: int) -> set[int]:
    """Hardware threads of the same core, itself included."""
    path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
    try:
        parts = [part.split("-") for part in path.read_text().strip().split(",")]
        return {cpu, *(each for part in parts for each in range(int(part[0]), int(part[-1]) + 1))}
    except (OSError, ValueError):
        return {cpu}


class Worker:
    """A fresh process for one contender; it ends at the latest with this one.

    Parameters
    ----------
    contender : str
    threads : int
    compiled : Path, optional
        Where our kernels' compiled code is kept.
    patience_s : float
        Seconds after which an answer counts as never coming.
    sources : Path
        Folder of the packages ``kernels`` and ``suite``.
    python : str
        The interpreter.
    """

    def __init__(
        self,
        contender: str,
        threads: int,
        compiled: Path | None = None,
        patience_s: float = _PATIENCE_S,
        sources: Path = _ROOT,
        python: str = sys.executable,
    ) -> None:
        self.contender = contender
        self.threads = threads
        self._patience_s = patience_s
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  (closed in `close`)
        cpus = measuring_cpus(threads)
        # One thread goes to its core once everything is imported: processes that start together need not
        # share that core. A pool's threads stay on the cores that they were started on.
        alone = [str(cpu) for cpu in cpus] if threads == 1 else []
        with _pinned(frozenset() if alone else cpus):
            self._process = subprocess.Popen(
                [python, "-m", "suite.measure.request_handler", str(os.getpid()), *alone],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, cwd=sources,
                env=worker_environment(threads, compiled, sources),
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def ask(self, do: str, told: Callable[[str], None] = lambda phase: None, **request: Any) -> dict[str, Any]:
        """One request and its reply; an array is in it as ``array``.

        Parameters
        ----------
        do : str
        told : callable
            Called with what the process does meanwhile, in a word, if it says so.
        **request

        Raises
        ------
        WorkerError
            The contender raised, or its process crashed or did not answer.
        """
        late = threading.Event()
        alarm = threading.Timer(self._patience_s, self._give_up, (late,))
        alarm.daemon = True
        alarm.start()
        try:
            reply = self._exchange({"do": do, **request}, told)
        finally:
            alarm.cancel()
        if reply is None:
            raise WorkerError(self._obituary(do, late.is_set()))
        if "error" in reply:
            raise WorkerError(str(reply["error"]))
        return reply

    def _exchange(self, request: dict[str, Any], told: Callable[[str], None]) -> dict[str, Any] | None:
        """``None`` if the process ended instead of answering."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return None
        while True:
            line = self._process.stdout.readline()
            if not line.endswith(b"\n"):
                return None
            reply: dict[str, Any] = json.loads(line)
            if "phase" not in reply:
                break
            told(reply["phase"])
        if "bytes" in reply:
            content = self._process.stdout.read(reply["bytes"])
            if len(content) < reply["bytes"]:
                return None
            reply["array"] = np.frombuffer(content, reply["dtype"]).reshape(reply["shape"])
        return reply

    def _give_up(self, late: threading.Event) -> None:
        late.set()
        self._process.kill()

    def _obituary(self, do: str, late: bool) -> str:
        code = self._process.wait()
        if late:
            return f"no answer to {do!r} within {self._patience_s:g} s, expected one"
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        self._said.seek(0)
        words = " ".join(self._said.read().decode(errors="replace").split())
        return f"its process {how} at {do!r}" + (f": {words[-200:]}" if words else "")

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None and self._process.stdout is not None
        # It is waited for, so killing is enough; it has nothing to tidy up.
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(BrokenPipeError):
                pipe.close()
        self._said.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


@contextmanager
def _pinned(cpus: frozenset[int]) -> Iterator[None]:
    """What is started in the block runs on these cores: children inherit them from the first instruction on."""
    if not cpus:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
