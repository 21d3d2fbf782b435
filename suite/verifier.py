"""Tasks -> rows without times: every algorithm of ours against the oracle, in this process."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator

from kernels import Conv2dProblem, get_algorithm
from suite.interleave import reason_of
from suite.rows import MEASURED, Row
from suite.selection import Task
from suite.summary import identity_of
from suite.verify import Referee

__all__ = ["verify_tasks"]


def verify_tasks(tasks: Iterable[Task], before: Callable[[Task], None] = lambda task: None) -> Iterator[Row]:
    """Verify, one row a task, in their order; what networks have in common is judged once.

    Parameters
    ----------
    tasks : iterable of Task
        Of our own algorithms.
    before : callable
        Told of each task before it starts.

    Yields
    ------
    Row
        All of `suite.rows.COLUMNS` but ``run`` and ``machine``. Its status is ``ok``,
        ``skipped`` (the algorithm's own reason), ``wrong`` or ``failed`` (the exception's text).
    """
    known: dict[tuple[Conv2dProblem, str, int], Row] = {}
    for problem, group in itertools.groupby(tasks, key=lambda task: task.layer.problem):
        referee: Referee | None = None
        for task in group:
            before(task)
            key = problem, task.contender.name, task.threads
            if key not in known:
                referee = referee or Referee(problem)
                known[key] = _row(task, referee)
            yield {**known[key], **identity_of(task)}


def _row(task: Task, referee: Referee) -> Row:
    row: Row = {**identity_of(task), "status": "", "reason": "", **dict.fromkeys(MEASURED)}
    try:
        check = referee.check(get_algorithm(task.contender.name), task.threads)
    # Whatever one algorithm raises is its own row's status; the others go on.
    except Exception as error:
        return {**row, "status": "failed", "reason": reason_of(error)}
    row.update(status=check.status, reason=check.reason)
    if not math.isnan(check.rel_error):
        row["rel_error"] = check.rel_error
    return row
