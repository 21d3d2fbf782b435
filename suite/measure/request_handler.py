"""A fresh process that prepares one contender for one problem or block, and times it on request.

Started by `suite.measure.worker` as ``python -m suite.measure.request_handler``. Requests and replies are lines of
JSON on stdin and stdout; an array follows its reply as plain bytes. What libraries print
goes to stderr. The worker ends when its stdin does, and if the system can do it, it is
killed with its parent: nothing is measured for a dead runner.

While a library prepares, the first piece of code that it compiles is announced by a line of its own
before the reply: ``{"phase": "compiling"}``.

requests:
  load     contender, threads          import the library  -> load_s, version
  offers   problems                    our algorithms      -> algorithms: name -> refusals, tolerance
  prepare  contender, problem, fill,   get ready, once or  -> first_s, first_call_s, prepare_s, ...
           twice                       twice
  result                               one call            -> shape, dtype, digest, touched, bytes
  time     budget_s, least, most, ...  samples             -> samples, own_s
  last     known                       the last timed call -> digest, touched, and shape, dtype, bytes if its
                                                              digest is none of those known
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterable
from dataclasses import asdict, astuple
from typing import Any, BinaryIO

import numpy as np
from numba.core import event

from kernels import Conv2dProblem, algorithms
from suite.blocks.inputs import BlockInputs
from suite.check.bound import use_plain_calls
from suite.check.inputs import Inputs
from suite.check.tolerance import Tolerance
from suite.contenders import Prepared, contender_of
from suite.measure.sampling import Evictor, Sample, calls_per_sample, slowed, take_sample
from suite.workload import fill_workload, parse_workload

__all__ = ["RequestHandler", "main"]

#: ``prctl``'s option that has a process killed with its parent.
_PR_SET_PDEATHSIG = 1

#: Calls that take longer need no call before they are timed.
_LONG_S = 5e-3

#: Calls that take longer are not tried first to find out how many of them make a sample.
_SURELY_LONG_S = 0.1


class _Compiling(event.Listener):
    """Says ``compiling`` when Numba runs its first pass over a function."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._said = False

    def on_start(self, event: event.Event) -> None:
        if not self._said:
            self._said = True
            self._say("compiling")

    def on_end(self, event: event.Event) -> None:
        pass


class RequestHandler:
    """Answers requests, one after the other.

    Parameters
    ----------
    say : callable
        Called with what goes on in a request that takes long.
    """

    def __init__(self, say: Callable[[str], None] = lambda phase: None) -> None:
        self._say = say
        self._threads = 1
        self._sums: dict[str, int] = {}
        self._first: object = None
        self._inputs: Inputs | BlockInputs | None = None
        self._prepared: Prepared | None = None
        self._call_s = 0.0
        # By bytes to evict: calls a sample, and seconds of one.
        self._calls: dict[int, tuple[int, float]] = {}
        self._slowed: dict[float, Callable[[], object]] = {}
        self._evict: Evictor | None = None
        self._returned: list[object] = []

    def answer(self, request: dict[str, Any]) -> tuple[dict[str, Any], np.ndarray | None]:
        """Do what is asked; the reply, and an array if it has one."""
        rest = {name: value for name, value in request.items() if name != "do"}
        kinds: dict[str, Callable[..., tuple[dict[str, Any], np.ndarray | None]]] = {
            "load": self._load,
            "offers": self._offers,
            "prepare": self._prepare,
            "result": self._result,
            "time": self._time,
            "last": self._last,
        }
        return kinds[request["do"]](**rest)

    def _load(self, contender: str, threads: int, plain: bool = False) -> tuple[dict[str, Any], None]:
        if plain:
            use_plain_calls()
        start = time.perf_counter()
        found, self._threads = contender_of(contender), threads
        found.load(threads)
        return {"load_s": time.perf_counter() - start, "version": found.version()}, None

    def _offers(self, problems: list[str]) -> tuple[dict[str, Any], None]:
        """Why each algorithm refuses each problem, ``None`` if it does not, and what it promises."""
        parsed = [Conv2dProblem.parse(text) for text in problems]
        return {
            "algorithms": {
                each.name: {
                    "refusals": [each.unsupported(problem) for problem in parsed],
                    "tolerance": asdict(Tolerance.of(each)),
                }
                for each in algorithms()
            }
        }, None

    def _prepare(self, contender: str, problem: str, fill: str, twice: bool = True) -> tuple[dict[str, Any], None]:
        """The first time compiles or loads compiled code; what is left the second time is preparing."""
        # What the last one held goes first: two of a large problem need not fit into memory.
        self._prepared = self._first = None
        self._returned.clear()
        found, work = contender_of(contender), parse_workload(problem)
        self._inputs = fill_workload(work, fill)
        self._sums = _sums(self._inputs)
        with event.install_listener("numba:run_pass", _Compiling(self._say)):
            start = time.perf_counter()
            # Kept while it is called: what is bound to an array does not always keep the array.
            self._prepared = found.prepare(work, self._inputs, self._threads)
            called = time.perf_counter()
            self._first = self._prepared.call()
            first = time.perf_counter()
        prepare_s = called - start
        if twice:
            self._prepared = self._first = None
            released = time.perf_counter()
            self._prepared = found.prepare(work, self._inputs, self._threads)
            prepare_s = time.perf_counter() - released
        self._call_s = first - called
        self._calls, self._slowed = {}, {}
        return {
            "first_s": first - start,
            "first_call_s": first - called,
            "prepare_s": prepare_s,
            "chosen": self._prepared.chosen,
            "workspace_bytes": self._prepared.workspace_bytes,
        }, None

    def _result(self) -> tuple[dict[str, Any], np.ndarray]:
        assert self._prepared is not None
        called = self._prepared.call() if self._first is None else self._first
        self._first = None
        return self._fetched(called)

    def _last(self, known: list[int]) -> tuple[dict[str, Any], np.ndarray | None]:
        """What the last timed call computed; if that is known to be right, what one more does on spoilt memory.

        A call that computed nothing, and left what an earlier one had written, shows itself by the second.
        """
        assert self._prepared is not None
        reply, array = self._fetched(self._returned.pop())
        if reply["digest"] in known and not reply["touched"] and self._prepared.spoil is not None:
            self._prepared.spoil()
            reply, array = self._fetched(self._prepared.call())
        return (reply, None) if reply["digest"] in known else (reply, array)

    def _fetched(self, called: object) -> tuple[dict[str, Any], np.ndarray]:
        """A result as an array, its digest, and which inputs were written to."""
        assert self._prepared is not None and self._inputs is not None
        result = np.ascontiguousarray(self._prepared.fetch(called))
        after = _sums(self._inputs)
        touched = [name for name in after if after[name] != self._sums[name]]
        digest = zlib.crc32(result.data) if result.size else 0
        return {"shape": result.shape, "dtype": result.dtype.name, "digest": digest, "touched": touched}, result

    def _time(
        self, budget_s: float, least: int, most: int, cold_bytes: int = 0, slowdown: float = 0.0
    ) -> tuple[dict[str, Any], None]:
        assert self._prepared is not None
        begun, call = time.process_time(), self._prepared.call
        if cold_bytes and self._evict is None:
            self._evict = Evictor(cold_bytes)
        evict = self._evict if cold_bytes else None
        self._first = None
        self._returned.clear()
        if cold_bytes not in self._calls:
            if self._call_s < _SURELY_LONG_S:
                call()
                calls = calls_per_sample(call, evict)
                self._calls[cold_bytes] = calls, take_sample(call, calls, evict).seconds
            else:
                # Even if most of the first call was something else, it shows at the first sample.
                sample = take_sample(call, 1, evict)
                calls = 1 if sample.wall_s > _LONG_S else calls_per_sample(call, evict)
                self._calls[cold_bytes] = calls, sample.seconds
        calls, seconds = self._calls[cold_bytes]
        if slowdown:
            if slowdown not in self._slowed:
                self._slowed[slowdown] = slowed(call, slowdown, evict)
            call = self._slowed[slowdown]
        # The one that was measured before has filled the caches; a long call fills them by itself.
        if seconds < _LONG_S:
            call()
        samples: list[Sample] = []
        end = time.perf_counter() + budget_s
        while len(samples) < least or (len(samples) < most and time.perf_counter() < end):
            samples.append(take_sample(call, calls, evict, self._returned))
        return {"samples": [astuple(each) for each in samples], "own_s": time.process_time() - begun}, None


def _end_with(parent: int) -> None:
    """Have this process end with its parent, however that ends."""
    # An interrupt at the terminal is the runner's to handle.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:
        os._exit(1)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def _sums(inputs: Inputs | BlockInputs) -> dict[str, int]:
    """A checksum of every array, by which writing to one shows."""
    return {name: zlib.crc32(np.ascontiguousarray(array).data) for name, array in inputs.named.items()}


def _serve(requests: BinaryIO, replies: BinaryIO) -> None:
    def say(phase: str) -> None:
        replies.write(json.dumps({"phase": phase}).encode() + b"\n")
        replies.flush()

    handler = RequestHandler(say)
    for line in requests:
        array = None
        try:
            reply, array = handler.answer(json.loads(line))
        # Whatever a library raises is the reply; the runner decides what it means.
        except Exception as error:
            reply = {"error": " ".join(f"{type(error).__name__}: {error}".split())}
        if array is not None:
            reply["bytes"] = array.nbytes
        replies.write(json.dumps(reply).encode() + b"\n")
        if array is not None:
            replies.write(array.data if array.size else b"")
        replies.flush()


def main(parent: int, cpus: Iterable[int] = ()) -> None:
    """Serve requests until stdin ends, on these cores if some are given."""
    _end_with(parent)
    if pinned := frozenset(cpus):
        os.sched_setaffinity(0, pinned)
    # Replies get a pipe of their own; what libraries print on stdout would garble them.
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _serve(sys.stdin.buffer, replies)
    replies.flush()
    # Without the libraries' own tidying up: some of their thread pools crash or hang at it.
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), map(int, sys.argv[2:]))
