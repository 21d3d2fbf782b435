"""Oracle runs: every algorithm of ours against the oracle, in this process, without times."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from kernels import Conv2dProblem, get_algorithm
from suite.check.checker import Oracle
from suite.contenders import Contender
from suite.measure.interleave import reason_of
from suite.results.rows import MEASURED, Row
from suite.results.summary import identity_of
from suite.selection import Case

__all__ = ["verify_cases"]


def verify_cases(
    cases: Mapping[Case, Sequence[Contender[Any, Any]]],
    before: Callable[[Case, Contender[Any, Any]], None] = lambda case, contender: None,
) -> Iterator[Row]:
    """Verify, case by case in their order; what networks have in common is checked once.

    Parameters
    ----------
    cases : mapping of Case to sequence of Contender
        Of our own algorithms.
    before : callable
        Called with each case and contender before it starts.

    Yields
    ------
    Row
        One per case and contender, with all of `suite.results.rows.COLUMNS` except ``run`` and ``machine``.
        Its status is ``ok``, ``skipped`` (the algorithm's own reason), ``wrong`` or ``failed`` (the
        exception's text).
    """
    known: dict[tuple[Conv2dProblem, str, int], Row] = {}
    for problem, group in itertools.groupby(cases, key=lambda case: case.layer.problem):
        oracle: Oracle | None = None
        for case in group:
            for contender in cases[case]:
                before(case, contender)
                key = problem, contender.name, case.threads
                if key not in known:
                    oracle = oracle or Oracle(problem)
                    known[key] = _row(case, contender, oracle)
                yield {**known[key], **identity_of(case, contender)}


def _row(case: Case, contender: Contender[Any, Any], oracle: Oracle) -> Row:
    row: Row = {**identity_of(case, contender), "status": "", "reason": "", **dict.fromkeys(MEASURED)}
    try:
        check = oracle.check(get_algorithm(contender.name), case.threads)
    # Whatever one algorithm raises is its own row's status; the others go on.
    except Exception as error:
        return {**row, "status": "failed", "reason": reason_of(error)}
    row.update(status=check.status, reason=check.reason)
    if not math.isnan(check.rel_error):
        row["rel_error"] = check.rel_error
    return row
