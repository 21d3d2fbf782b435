"""Gate runs: all benchmarks are screened, suspects are measured until they are decided.

Every generation is one fresh pair of processes for all benchmarks that are not decided yet.
Most are after the screen; what is left gets pair after pair, in forward and reversed order,
until `suite.check.statistics.gate` decides or the time is up.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from suite.catalogue import Layer
from suite.check.statistics import LOOKS, decide, gate, own_margin
from suite.gate.findings import METRICS, Benchmark, Finding
from suite.gate.pair import BASE, CONTROL, HEAD, Offer, RevisionPair, StartSide, offer_of, start_side
from suite.gate.revisions import Revision
from suite.measure.interleave import Schedule
from suite.measure.result import ProcessResult, log_ratio
from suite.measure.worker import WorkerError

__all__ = ["CONTROLS", "SCHEDULE", "GateRun", "Pairs", "benchmarks_of", "controls_of", "offers_of"]

#: Benchmarks in which the control takes part.
CONTROLS = 6

#: Less is loading of what was compiled before.
_LEAST_COMPILE_S = 0.03

#: Pairs that are tried for each that counts: a disturbed one is no pair.
_TRIES = 2


#: Visits of milliseconds, many in turns: what a shared machine does to one side it then does to the
#: other as well. (Two visits of 30 ms a process left three times the noise in a pair.)
SCHEDULE = Schedule(visit_s=0.004, rounds=16, spend_s=0.25, settle_s=1.0, retries=2)


def offers_of(
    revisions: dict[str, Revision], problems: Sequence[str], start: StartSide = start_side
) -> dict[str, Offer]:
    """What each side offers; one that is the same revision as another is asked once.

    Raises
    ------
    WorkerError
        A side cannot be started; the message says which, and what it lacks.
    """
    known: dict[Revision, Offer] = {}
    for side, revision in revisions.items():
        if revision not in known:
            try:
                known[revision] = offer_of(revision, problems, start)
            except WorkerError as error:
                raise WorkerError(f"{side}, {revision.name}, cannot be measured by these sources: {error}") from error
    return {side: known[revision] for side, revision in revisions.items()}


def benchmarks_of(
    layers: Sequence[Layer[Any]],
    threads: Sequence[int],
    offers: dict[str, Offer],
    algorithms: Sequence[str] = (),
    *,
    without: Sequence[str] = (),
) -> tuple[list[Benchmark], list[Finding]]:
    """Benchmarks that both sides have; and a finding each for what is new in head or gone from it.

    Parameters
    ----------
    layers : sequence of Layer
    threads : sequence of int
    offers : dict
        By side.
    algorithms : sequence of str
        Those that are wanted; empty for all that either side has ...
    without : sequence of str
        ... but these.
    """
    base, head = offers[BASE], offers[HEAD]
    names = list(algorithms) or [*dict.fromkeys((*base.refusals, *head.refusals))]
    both, others = [], []
    for layer, count, name in itertools.product(layers, threads, (name for name in names if name not in without)):
        benchmark = Benchmark(layer.network, layer.name, str(layer.problem), name, count)
        missing = {side: offers[side].absence(name, benchmark.problem) for side in (BASE, HEAD)}
        if missing[BASE] is None and missing[HEAD] is None:
            both.append(benchmark)
        elif missing[HEAD] is None:
            others.append(Finding(benchmark, "new", reason=f"in base, {missing[BASE]}"))
        elif missing[BASE] is None:
            others.append(Finding(benchmark, "gone", reason=f"in head, {missing[HEAD]}"))
    return both, others


@dataclass
class Pairs:
    """The pairs of one benchmark.

    Attributes
    ----------
    base_s, head_s : list of float
        Seconds, a pair at the same place of both.
    log_ratios : list of float
        Of head to base, pair by pair.
    tries : int
        Generations in which it was measured; more than there are pairs if some were disturbed.
    fault : Finding or None
        Why there will be no more.
    disturbed : str
        What disturbed the last one that was.
    """

    base_s: list[float] = field(default_factory=list)
    head_s: list[float] = field(default_factory=list)
    log_ratios: list[float] = field(default_factory=list)
    tries: int = 0
    fault: Finding | None = None
    disturbed: str = ""

    def add(self, base: ProcessResult, head: ProcessResult) -> None:
        """Note the times of one generation."""
        self.tries += 1
        if base.quiet and head.quiet:
            self.base_s.append(base.median_s)
            self.head_s.append(head.median_s)
            self.log_ratios.append(log_ratio(head, base))
        else:
            self.disturbed = base.disturbed or head.disturbed

    def add_compiling(self, base: ProcessResult, head: ProcessResult) -> None:
        """Note the seconds of compiling of one generation."""
        self.tries += 1
        seconds = [_compile_s(each) for each in (base, head)]
        self.base_s.append(seconds[0])
        self.head_s.append(seconds[1])
        # What an earlier benchmark has compiled is loaded: milliseconds, of which nothing follows.
        compiled = max(seconds) >= _LEAST_COMPILE_S
        self.log_ratios.append(math.log(seconds[1] / seconds[0]) if compiled else 0.0)


def _compile_s(result: ProcessResult) -> float:
    """Seconds of the first preparation and call beyond those of a later one, at least a millisecond."""
    first, prepare = result.first_s or 0.0, result.prepare_s or 0.0
    return max(1e-3, first - prepare - result.median_s)


def controls_of(benchmarks: Sequence[Benchmark], count: int = CONTROLS) -> frozenset[Benchmark]:
    """Some benchmarks, evenly spread over those there are."""
    count = min(count, len(benchmarks))
    return frozenset(benchmarks[i * len(benchmarks) // count] for i in range(count))


@dataclass
class GateRun:
    """All benchmarks of one run of the gate, and where they stand.

    Parameters
    ----------
    benchmarks : sequence of Benchmark
        Those that both sides have.
    margin : float
        The smallest slowdown that must not pass; a benchmark of which base differs by more from itself has a
        larger one.
    risk : float
        How often, at most, all of them together may call slower what did not change.
    deadline : float
        `time.monotonic` at which it ends.
    store : callable
        Called with a line for each benchmark and generation, to be kept.
    clock : callable
        Tells seconds, as `time.monotonic` does.
    metrics : sequence of {"time", "compile", "workspace"}
        What is compared.
    decider : callable
        Makes the command that would decide a benchmark.
    """

    benchmarks: Sequence[Benchmark]
    margin: float
    risk: float
    deadline: float
    store: Callable[[dict[str, Any]], None] = lambda line: None
    clock: Callable[[], float] = time.monotonic
    metrics: Sequence[str] = METRICS[:1]
    decider: Callable[[Benchmark], str] = lambda benchmark: ""

    def __post_init__(self) -> None:
        compared = [name for name in self.metrics if name != "workspace"]
        self.pairs = {replace(each, metric=name): Pairs() for each in self.benchmarks for name in compared}
        self.controls = controls_of(self.benchmarks)
        #: Pairs of base and itself: of the controls, and of all that were not decided by the screen.
        self.aa: dict[Benchmark, Pairs] = {each: Pairs() for each in self.controls}
        self.workspaces: dict[Benchmark, Finding] = {}

    @property
    def _share(self) -> float:
        """The risk that one benchmark may take, so that all together stay within theirs."""
        return self.risk / max(1, len(self.pairs))

    def open(self) -> list[Benchmark]:
        """Benchmarks that are not decided by every metric and can still be."""
        return [each for each in self.benchmarks if any(map(self._goes_on, self._keys(each)))]

    def _keys(self, benchmark: Benchmark) -> list[Benchmark]:
        """A benchmark by each metric that pairs decide."""
        keys = (replace(benchmark, metric=name) for name in self.metrics)
        return [key for key in keys if key in self.pairs]

    def _goes_on(self, key: Benchmark) -> bool:
        return self._is_open(self.pairs[key], self._margin(key))

    def _is_open(self, pairs: Pairs, margin: float) -> bool:
        if pairs.fault or pairs.tries >= _TRIES * LOOKS[-1] or len(pairs.base_s) >= LOOKS[-1]:
            return False
        return decide(np.array(pairs.log_ratios), margin=margin, risk=self._share)[0] == "undecided"

    def _margin(self, key: Benchmark) -> float:
        """The smallest slowdown of a benchmark that must not pass."""
        aa = self.aa.get(key)
        return self.margin if aa is None else own_margin(self.margin, aa.log_ratios)

    def run(
        self,
        pair: Callable[[int], RevisionPair],
        before: Callable[[Benchmark, int, int], None] = lambda benchmark, generation, left: None,
    ) -> None:
        """Generation by generation, until nothing is open or the time is up.

        Parameters
        ----------
        pair : callable
            Makes the processes of a generation, of its number.
        before : callable
            Called with each benchmark, its generation, and how many are open.
        """
        number = 0
        while (waiting := self._waiting(number)) and self.clock() < self.deadline:
            with pair(number) as here:
                for benchmark in waiting:
                    if self.clock() >= self.deadline:
                        break
                    before(benchmark, number, len(waiting))
                    self._measure(here, benchmark, number)
            number += 1

    def _waiting(self, number: int) -> list[Benchmark]:
        """Open benchmarks, and those whose control is: a control that is suspected is cleared up as well."""
        waiting = set(self.open()) | {each for each in self.controls if self._is_open(self.aa[each], self.margin)}
        if number == 0:
            # Nothing but memory is asked for: one look.
            waiting |= set(self.benchmarks) if "workspace" in self.metrics else set()
        return [
            each
            for each in self.benchmarks
            if each in waiting and not any(self.pairs[k].fault for k in self._keys(each))
        ]

    def _measure(self, here: RevisionPair, benchmark: Benchmark, number: int) -> None:
        # Of what the screen did not decide it must be known how much base differs from itself.
        controlled = benchmark in self.controls or number >= LOOKS[0]
        results = {side: own[0] for side, own in here.measure(benchmark, control=controlled).items()}
        line: dict[str, Any] = {"generation": number, "benchmark": benchmark.name}
        line |= {f"{side}_s": result.median_s if result.quiet else None for side, result in results.items()}
        others = (HEAD, CONTROL) if results.get(BASE) and results[BASE].quiet else ()
        line |= {
            f"{side}_log_ratio": log_ratio(results[side], results[BASE])
            for side in others
            if side in results and results[side].quiet
        }
        for side, result in results.items():
            line[f"{side}_status"] = result.disturbed or result.reason or result.status
            line[f"{side}_first_s"], line[f"{side}_prepare_s"] = result.first_s, result.prepare_s
            line[f"{side}_workspace_bytes"] = result.workspace_bytes
        self.store(line)
        fault = next((side for side, result in results.items() if result.status != "ok"), None)
        if fault is not None:
            status, reason = results[fault].status, results[fault].reason
            verdict = status if fault == HEAD else "unmeasured"
            for key in self._keys(benchmark):
                self.pairs[key].fault = Finding(key, verdict, reason=f"{fault} is {status}: {reason}")
            if "workspace" in self.metrics and benchmark not in self.workspaces:
                key = replace(benchmark, metric="workspace")
                self.workspaces[benchmark] = Finding(key, verdict, reason=f"{fault} is {status}: {reason}")
            return
        for key in self._keys(benchmark):
            add = self.pairs[key].add if key.metric == "time" else self.pairs[key].add_compiling
            add(results[BASE], results[HEAD])
        if "workspace" in self.metrics:
            found = [results[side].workspace_bytes or 0 for side in (BASE, HEAD)]
            self.workspaces.setdefault(benchmark, _of_workspace(benchmark, *found))
        if controlled and CONTROL in results:
            self.aa.setdefault(benchmark, Pairs()).add(results[BASE], results[CONTROL])

    def findings(self) -> list[Finding]:
        """One finding per benchmark and metric."""
        return [
            self.workspaces.get(each, Finding(replace(each, metric=name), "unmeasured", reason="the time was up"))
            if name == "workspace"
            else self._finding(key := replace(each, metric=name), self.pairs[key], self._margin(key))
            for name in self.metrics
            for each in self.benchmarks
        ]

    def control_findings(self) -> list[Finding]:
        """One finding per control: base against itself."""
        return [self._finding(each, self.aa[each], self.margin) for each in self.benchmarks if each in self.controls]

    def _finding(self, benchmark: Benchmark, pairs: Pairs, margin: float) -> Finding:
        if pairs.fault:
            return pairs.fault
        if not pairs.base_s:
            reason = f"every pair was disturbed: {pairs.disturbed}" if pairs.tries else "the time was up"
            return Finding(benchmark, "unmeasured", reason=self._undecided(benchmark, reason))
        found = gate(np.array(pairs.log_ratios), margin=margin, risk=self._share)
        reasons = []
        if found.verdict == "undecided":
            reasons.append(self._undecided(benchmark, "the time was up before it was decided"))
        elif pairs.tries > len(pairs.base_s):
            reasons.append(f"{pairs.tries - len(pairs.base_s)} of {pairs.tries} pairs were disturbed and do not count")
        if margin > self.margin:
            reasons.append(f"base differs from itself, so that its margin is {margin:.1%}")
        used = slice(found.pairs)
        return Finding(
            benchmark, found.verdict, found.ratio, found.low, found.high, found.pairs,
            float(np.median(pairs.base_s[used])) if found.pairs else math.nan,
            float(np.median(pairs.head_s[used])) if found.pairs else math.nan, "; ".join(reasons), margin,
        )  # fmt: skip

    def _undecided(self, benchmark: Benchmark, reason: str) -> str:
        command = self.decider(benchmark)
        return f"{reason}; decide it with: {command}" if command else reason


def _of_workspace(benchmark: Benchmark, base: int, head: int) -> Finding:
    """Memory does not vary: any more of it is called slower, whatever the margin."""
    key = replace(benchmark, metric="workspace")
    verdict = "same" if head == base else "slower" if head > base else "faster"
    ratio = head / base if base else (1.0 if head == base else math.inf)
    reason = "" if head == base else f"{head} bytes of workspace, were {base}"
    return Finding(key, verdict, ratio, pairs=1, reason=reason)
