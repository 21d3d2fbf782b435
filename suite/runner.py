"""Tasks -> rows: verified first, timed only when right, and nothing dropped silently."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from kernels import Conv2dProblem
from suite.environment import Limits
from suite.rows import MEASURED, Row
from suite.selection import Task
from suite.timer import measure
from suite.verify import Referee

__all__ = ["run_tasks", "verify_tasks"]

#: Compilers explain themselves over pages; a row keeps the beginning.
_LONGEST_REASON = 500


def run_tasks(
    tasks: Iterable[Task],
    limits: Limits,
    *,
    budget_s: float,
    before: Callable[[Task], None] = lambda task: None,
) -> Iterator[Row]:
    """Verify and time, one row a task, in their order.

    Neighbouring tasks of the same problem share its inputs, result and oracle.

    Parameters
    ----------
    tasks : iterable of Task
    limits : Limits
        What ``pct_of_peak`` is stated against.
    budget_s : float
        Seconds of samples a row.
    before : callable
        Told of each task before it starts.

    Yields
    ------
    Row
        All of `suite.rows.COLUMNS` but ``run`` and ``machine``. Its status is ``ok``,
        ``skipped`` (the algorithm's own reason), ``wrong`` (never timed) or ``failed``
        (the exception's text).
    """
    for _, group in itertools.groupby(tasks, key=lambda task: task.layer.problem):
        bench: _Bench | None = None
        for task in group:
            before(task)
            bench = bench or _Bench(task.layer.problem)
            yield bench.row(task, limits, budget_s)


def verify_tasks(tasks: Iterable[Task], before: Callable[[Task], None] = lambda task: None) -> Iterator[Row]:
    """Verify without timing: the same rows as `run_tasks`, without times and speeds.

    What networks have in common is judged once.
    """
    known: dict[tuple[Conv2dProblem, str, int], Row] = {}
    for problem, group in itertools.groupby(tasks, key=lambda task: task.layer.problem):
        bench: _Bench | None = None
        for task in group:
            before(task)
            key = problem, task.algorithm.name, task.threads
            if key not in known:
                bench = bench or _Bench(problem)
                known[key] = bench.row(task, None, 0.0)
            yield {**known[key], **_identity(task)}


def _identity(task: Task) -> Row:
    layer, algorithm = task.layer, task.algorithm
    return {
        "network": layer.network,
        "layer": layer.name,
        "occurs": layer.occurs,
        "problem": str(layer.problem),
        "algorithm": algorithm.name,
        "family": algorithm.family,
        "threads": task.threads,
    }


class _Bench:
    """The arrays of one problem, the same ones for every algorithm: placement in memory is no difference."""

    def __init__(self, problem: Conv2dProblem) -> None:
        self.problem = problem
        self.referee = Referee(problem)
        self.dst = np.empty(problem.output_shape, problem.dtype)

    def row(self, task: Task, limits: Limits | None, budget_s: float) -> Row:
        """Measure one task; without limits, only verify it."""
        row: Row = {**_identity(task), "status": "", "reason": "", **dict.fromkeys(MEASURED)}
        try:
            self._examine(task, limits, budget_s, row)
        # Whatever one contender raises is its own row's status; the others go on.
        except Exception as error:
            text = " ".join(f"{type(error).__name__}: {error}".split())
            row.update(status="failed", reason=text[:_LONGEST_REASON])
        return row

    def _examine(self, task: Task, limits: Limits | None, budget_s: float, row: Row) -> None:
        examination = self.referee.examine(task.algorithm, task.threads)
        check, bound = examination.check, examination.plan
        row.update(status=check.status, reason=check.reason)
        if not math.isnan(check.rel_error):
            row["rel_error"] = check.rel_error
        if check.status != "ok" or bound is None or limits is None:
            return
        inputs, _ = self.referee.normal
        timing = measure(lambda: bound(inputs.src, out=self.dst), budget_s=budget_s)
        useful, nominal = (
            2e-9 * macs / timing.time_s for macs in (self.problem.macs_useful, self.problem.macs_nominal)
        )
        row.update(
            time_s=timing.time_s,
            time_min_s=timing.time_min_s,
            time_spread=timing.time_spread,
            samples=timing.samples,
            # What the first preparation and call took beyond later ones: compiling, or loading
            # from the disk cache. Nothing where an earlier layer needed the same code.
            compile_s=max(0.0, examination.first_s - bound.prepare_s - timing.time_s),
            prepare_s=bound.prepare_s,
            workspace_bytes=bound.workspace_bytes,
            useful_gflops=useful,
            nominal_gflops=nominal,
            pct_of_peak=100 * useful / limits.fma_gflops[self.problem.dtype][task.threads],
        )
