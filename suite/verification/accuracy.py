"""Accuracy: how far algorithms are from float64, on friendly data and on data that is not.

Errors are also stated relative to two others, made of the same arrays: NumPy's own arithmetic of the
problem's precision, which `kernels.registry.Algorithm.error_factor` promises a multiple of if it is more than
`kernels.error_unit`, and
``direct_tiled``, the direct sum. The first is the smaller one: NumPy's products add up in blocks, a direct
sum adds one product after the other.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kernels import Algorithm, Conv2dProblem, get_algorithm
from suite.check.checker import Errors, Oracle
from suite.check.inputs import REAL_FILLS
from suite.contenders import Contender
from suite.measure.interleave import reason_of
from suite.selection import Case

__all__ = ["DIRECT", "LADDER", "Accuracy", "measure_accuracy"]

#: The algorithm that is the direct sum.
DIRECT = "direct_tiled"

#: Problems if none are asked for: each kind of kernel over numbers of input channels.
LADDER = (
    *(f"ic{ic}ih28oc32kh3ph1" for ic in (16, 32, 64, 128, 256, 512)),
    *(f"ic{ic}ih17oc32kh5ph2" for ic in (16, 64, 256, 512)),
    *(f"ic{ic}ih17oc32kh1kw7ph0pw3" for ic in (16, 64, 256, 512)),
    *(f"ic{ic}ih16oc32kh2" for ic in (16, 64, 256)),
    *(f"g8ic{ic}ih28oc{ic}kh3ph1" for ic in (64, 256, 512)),
    *(f"g{ic}ic{ic}ih28oc{ic}kh3ph1" for ic in (32, 512)),
)


@dataclass(frozen=True)
class Accuracy:
    """The errors of one algorithm on one problem and one kind of data.

    Attributes
    ----------
    network, layer, problem : str
    channels : int
        Input channels of the problem, all groups together.
    algorithm : str
    threads : int
    fill : str
        Of `suite.check.inputs.REAL_FILLS`; empty if the problem is refused, and that is all there is.
    status : {"ok", "skipped", "wrong", "failed"}
        ``wrong`` if it breaks the promise at its registration.
    reason : str
    error_factor : float
        The promise: most ``rel_vs_numpy``.
    rel_error, max_error : float or None
        Relative L2 error, and the most that one element errs by.
    rel_vs_numpy, max_vs_numpy, rel_vs_direct, max_vs_direct : float or None
        The same relative to the errors of NumPy's arithmetic and of the direct sum.
    """

    network: str
    layer: str
    problem: str
    channels: int
    algorithm: str
    threads: int
    fill: str
    status: str
    reason: str
    error_factor: float
    rel_error: float | None = None
    max_error: float | None = None
    rel_vs_numpy: float | None = None
    max_vs_numpy: float | None = None
    rel_vs_direct: float | None = None
    max_vs_direct: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Every attribute, in types that JSON knows."""
        return asdict(self)


def measure_accuracy(
    cases: Mapping[Case, Sequence[Contender[Any, Any]]],
    before: Callable[[Case, Contender[Any, Any]], None] = lambda case, contender: None,
) -> Iterator[tuple[Case, list[Accuracy]]]:
    """Measure errors, case by case in their order.

    Parameters
    ----------
    cases : mapping of Case to sequence of Contender
        Of our own algorithms.
    before : callable
        Called with each case and contender before it starts.

    Yields
    ------
    case : Case
    found : list of Accuracy
        One per kind of data, or a single one if the problem is refused or something is raised.
    """
    for problem, group in itertools.groupby(cases, key=lambda case: case.layer.problem):
        errors = _ErrorsOf(problem)
        for case in group:
            for contender in cases[case]:
                before(case, contender)
                algorithm = get_algorithm(contender.name)
                refusal = algorithm.unsupported(problem)
                if refusal is not None:
                    yield case, [_entry(case, algorithm, "", "skipped", refusal)]
                    continue
                found = []
                for fill in REAL_FILLS:
                    try:
                        measured = errors.measure(fill, algorithm, case.threads)
                        found.append(_entry(case, algorithm, fill, *measured))
                    # Whatever one algorithm raises is its own entry's status; the others go on.
                    except Exception as error:
                        found.append(_entry(case, algorithm, fill, "failed", reason_of(error)))
                yield case, found


class _ErrorsOf:
    """The errors of one problem's results, and those that they are relative to."""

    def __init__(self, problem: Conv2dProblem) -> None:
        self._oracle = Oracle(problem)
        self._directs: dict[str, Errors] = {}

    def measure(
        self, fill: str, algorithm: Algorithm, threads: int
    ) -> tuple[str, str, Errors | None, Errors | None, Errors | None]:
        """Status, reason, and errors: its own, NumPy's, the direct sum's; none if it is not finite."""
        _, expected = self._oracle.filled(fill)
        dst, spoilt = self._oracle.compute(fill, algorithm, threads)
        check = expected.close(dst, algorithm.error_factor)
        status, reason = ("wrong", spoilt) if spoilt else (check.status, check.reason)
        # Whatever is not finite has no relative error.
        if check.rel_error != check.rel_error:
            return status, reason, None, None, None
        return status, reason, expected.errors(dst), expected.numpy_errors, self._direct(fill)

    def _direct(self, fill: str) -> Errors:
        if fill not in self._directs:
            expected = self._oracle.filled(fill)[1]
            self._directs[fill] = expected.errors(self._oracle.compute(fill, get_algorithm(DIRECT))[0])
        return self._directs[fill]


def _entry(
    case: Case,
    algorithm: Algorithm,
    fill: str,
    status: str,
    reason: str,
    own: Errors | None = None,
    numpys: Errors | None = None,
    directs: Errors | None = None,
) -> Accuracy:
    layer = case.layer
    entry = (
        layer.network, layer.name, str(layer.problem), layer.problem.ic, algorithm.name, case.threads, fill, status,
        reason, algorithm.error_factor,
    )  # fmt: skip
    if own is None or numpys is None or directs is None:
        return Accuracy(*entry)
    return Accuracy(
        *entry,
        own.relative,
        own.largest,
        own.relative / numpys.relative,
        own.largest / numpys.largest if numpys.largest else None,
        # A direct sum can be exact, if there is one product or only zeros.
        own.relative / directs.relative if directs.relative else None,
        own.largest / directs.largest if directs.largest else None,
    )
