"""``algorithm="auto"``: which algorithm a problem gets, and why.

Of the algorithms that take a problem and keep its user's budgets, the one that was measured to be
fastest on this machine (`kernels.tuning.measured`); where nothing was measured, the one that the cost model
(`kernels.costs`) predicts to be.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from operator import attrgetter
from types import MappingProxyType
from typing import Any, NamedTuple

from kernels.arguments import NO_BUDGETS, Budgets, read_budgets, read_count
from kernels.costs.errors import expected_error
from kernels.costs.model import packing_seconds, seconds_by_term
from kernels.problem import Conv2dProblem, UnsupportedProblem
from kernels.registry import Algorithm, algorithms, get_algorithm
from kernels.tuning.limits import Limits, measured_limits
from kernels.tuning.measured import recall

__all__ = ["Candidate", "Choice", "choice_of", "choose", "choose_threads", "named"]


class Candidate(NamedTuple):
    """An algorithm as a choice sees it.

    Attributes
    ----------
    algorithm : Algorithm
    seconds : float or None
        Predicted time of a call; None of what is refused, and where nobody has counted its work.
    terms : mapping of str to float
        What that time is made of, longest first.
    measured_s : float or None
        Time of a call as it was measured on this machine.
    rel_error : float
        Relative L2 error against float64 that is expected on normal values.
    workspace_bytes : int
        Scratch memory of a plan.
    refused : str
        Why it is not chosen, whatever its time: its own reason, or the budget that it does not keep. Else empty.
    packing_s : float
        Predicted time of packing the weights; in none of the others.
    """

    algorithm: Algorithm
    seconds: float | None
    terms: Mapping[str, float]
    measured_s: float | None
    rel_error: float
    workspace_bytes: int
    refused: str
    packing_s: float = 0.0

    def __reduce__(self) -> tuple[Any, ...]:
        return _copied, ({**self._asdict(), "terms": dict(self.terms)},)


def _copied(fields: dict[str, Any]) -> Candidate:
    return Candidate(**{**fields, "terms": MappingProxyType(fields["terms"])})


class Choice(NamedTuple):
    """What was chosen of whom.

    Attributes
    ----------
    algorithm : Algorithm
    candidates : tuple of Candidate
        Every algorithm, in order of registration; none where the user named the algorithm.
    """

    algorithm: Algorithm
    candidates: tuple[Candidate, ...] = ()

    @property
    def why(self) -> str:
        """One sentence."""
        if not self.candidates:
            return f"{self.algorithm.name} was asked for"
        return _why(*_timed(self.candidates))

    @property
    def chosen(self) -> Candidate | None:
        """The candidate that was chosen; None where the user named the algorithm."""
        return next((each for each in self.candidates if each.algorithm is self.algorithm), None)


def choose(
    problem: Conv2dProblem,
    threads: int = 1,
    *,
    max_error: float | None = None,
    max_workspace: float | None = None,
    window_only: bool = False,
    tuned: bool = True,
    packing: bool = False,
) -> Choice:
    """The fastest algorithm for a problem, within budgets.

    Parameters
    ----------
    problem : Conv2dProblem
    threads : int
    max_error : float, optional
        Most relative L2 error against float64 that may be expected on normal values.
    max_workspace : int, optional
        Most bytes of scratch memory.
    window_only : bool
        Whether each output must depend on its own window of the input alone. Winograd's and Fourier's algorithms are
        left out then: they compute outputs in tiles, in which what is huge, infinite or NaN spoils all.
    tuned : bool
        Whether times that were measured on this machine count; the cost model decides alone otherwise, by this
        machine's rates where they are known.
    packing : bool
        Whether each call packs the weights first, so that it counts.

    Returns
    -------
    Choice

    Raises
    ------
    UnsupportedProblem
        No algorithm keeps the budgets.
    ArgumentError, ValueError
        ``threads`` or a budget is no number that it can be.
    """
    budgets = read_budgets(max_error, max_workspace, window_only)
    return _chosen(problem, read_count("threads", threads, 1), budgets, tuned=tuned, packing=packing)


def _chosen(
    problem: Conv2dProblem, threads: int, budgets: Budgets, *, tuned: bool = True, packing: bool = False
) -> Choice:
    limits = measured_limits()
    candidates = _candidates(problem, threads, limits, len(algorithms()))
    if tuned and (known := recall(problem, threads)):
        candidates = tuple(each._replace(measured_s=known.get(each.algorithm.name)) for each in candidates)
    if packing:
        candidates = tuple(map(_with_packing, candidates))
    if budgets != NO_BUDGETS:
        candidates = tuple(each._replace(refused=each.refused or _broken(each, budgets)) for each in candidates)
    timed, seconds_of = _timed(candidates)
    if not timed:
        raise UnsupportedProblem(f"no algorithm takes {problem} within the budgets: {_nearest(candidates, budgets)}")
    return Choice(min(timed, key=seconds_of).algorithm, candidates)


def counts_of_threads(most: int) -> list[int]:
    """Numbers of threads that are weighed: ``most`` and the powers of two below it."""
    return [*(2**i for i in range((most - 1).bit_length())), most]


def choose_threads(
    problem: Conv2dProblem, most: int, budgets: Budgets = NO_BUDGETS, *, packing: bool = False
) -> tuple[Choice, int]:
    """The choice and on how many threads: ``most``, or fewer if to start others takes longer than they save.

    Asked are `counts_of_threads`.
    """
    counts = counts_of_threads(most)
    choices = [_chosen(problem, count, budgets, packing=packing) for count in counts]
    for seconds_of in _SECONDS:
        times = [seconds_of(each.chosen) for each in choices]
        # What was measured on some counts alone says nothing about the others.
        if times[0] is not None and times[-1] is not None:
            _, fastest = min((seconds, i) for i, seconds in enumerate(times) if seconds is not None)
            return choices[fastest], counts[fastest]
    return choices[-1], most


def choice_of(
    name: str, problem: Conv2dProblem, most: int, budgets: Budgets, *, packing: bool = False
) -> tuple[Choice, int]:
    """The algorithm that a user asks for, by its name or as ``"auto"``, and on how many threads.

    Raises
    ------
    UnknownAlgorithm, UnsupportedProblem
        As `choose` and `named`.
    """
    if name == "auto":
        return choose_threads(problem, most, budgets, packing=packing)
    return named(name, problem, most, budgets), most


def named(name: str, problem: Conv2dProblem, threads: int, budgets: Budgets) -> Choice:
    """The algorithm that the user named, if it takes the problem and keeps the budgets.

    Raises
    ------
    UnknownAlgorithm
        There is none of that name.
    UnsupportedProblem
        It refuses the problem, or does not keep a budget.
    """
    algorithm = get_algorithm(name)
    algorithm.require(problem)
    if budgets != NO_BUDGETS:
        broken = _broken(_candidate(algorithm, problem, threads, None), budgets)
        if broken:
            raise UnsupportedProblem(f"{name} does not suit {problem}: {broken}")
    return Choice(algorithm)


#: What a choice goes by: times that were measured, before those that are predicted.
_SECONDS = _MEASURED, _PREDICTED = attrgetter("measured_s"), attrgetter("seconds")


def _timed(candidates: Iterable[Candidate]) -> tuple[list[Candidate], attrgetter[float]]:
    """Those that may be chosen and have a time of the kind that decides, and which kind that is."""
    able = [each for each in candidates if not each.refused]
    measured = [each for each in able if each.measured_s is not None]
    if measured:
        return measured, _MEASURED
    return [each for each in able if each.seconds is not None], _PREDICTED


@functools.lru_cache(maxsize=1024)
def _candidates(problem: Conv2dProblem, threads: int, limits: Limits | None, registered: int) -> tuple[Candidate, ...]:
    """Every algorithm, of which so many are registered; nothing measured and no budget applied."""
    return tuple(_candidate(each, problem, threads, limits) for each in algorithms())


def _candidate(algorithm: Algorithm, problem: Conv2dProblem, threads: int, limits: Limits | None) -> Candidate:
    refusal = algorithm.unsupported(problem)
    if refusal is not None:
        return Candidate(algorithm, None, MappingProxyType({}), None, float("nan"), 0, refusal)
    amounts = algorithm.amounts(problem, threads)
    terms = {} if amounts is None else seconds_by_term(amounts, threads, limits)
    return Candidate(
        algorithm,
        sum(terms.values()) if terms else None,
        MappingProxyType(terms),
        None,
        expected_error(algorithm, problem),
        algorithm.workspace_bytes(problem, threads),
        "",
        packing_seconds(algorithm.packing_elements(problem), threads),
    )


def _with_packing(each: Candidate) -> Candidate:
    """A candidate whose times are of calls that pack first."""
    seconds, measured_s = (None if s is None else s + each.packing_s for s in (each.seconds, each.measured_s))
    terms = {**each.terms, "packing": each.packing_s} if each.terms else each.terms
    longest_first = sorted(terms.items(), key=lambda term: -term[1])
    return each._replace(seconds=seconds, measured_s=measured_s, terms=MappingProxyType(dict(longest_first)))


def _broken(each: Candidate, budgets: Budgets) -> str:
    """The budget that a candidate does not keep; empty for none."""
    max_error, max_workspace, window_only = budgets
    if max_error is not None and not each.rel_error <= max_error:
        return f"its relative error is expected to be {each.rel_error:.2g}, expected at most {max_error:.2g}"
    if max_workspace is not None and each.workspace_bytes > max_workspace:
        return f"its workspace takes {each.workspace_bytes} bytes, expected at most {max_workspace:.0f}"
    if window_only and not each.algorithm.window_only:
        return "its outputs depend on more than their own window, expected window_only"
    return ""


def _why(timed: list[Candidate], seconds_of: attrgetter[float]) -> str:
    """Why the fastest of ``timed`` is the one."""
    first, *others = sorted(timed, key=seconds_of)
    seconds, of_that = seconds_of(first), ""
    what = "measured" if seconds_of is _MEASURED else "predicted"
    said = f"{what} to take {1e6 * seconds:.0f} us"
    if not others:
        return f"{first.algorithm.name} is the only one: {said}"
    if what == "predicted":
        mostly, longest = next(iter(first.terms.items()))
        of_that = f", {longest / seconds:.0%} of it for {mostly}"
    beside = f"{others[0].algorithm.name} {seconds_of(others[0]) / seconds:.2f} times as long"
    return f"{first.algorithm.name} is {said}{of_that}, and {beside}"


def _nearest(candidates: tuple[Candidate, ...], budgets: Budgets) -> str:
    """Which budgets would do."""
    timed = [each for each in candidates if each.seconds is not None]
    able = [each for each in timed if each.algorithm.window_only or not budgets.window_only]
    least_error = min(able, key=lambda each: each.rel_error)
    least_bytes = min(able, key=lambda each: each.workspace_bytes)
    return (
        f"the least error is {least_error.rel_error:.2g} ({least_error.algorithm.name}), "
        f"the least workspace {least_bytes.workspace_bytes} bytes ({least_bytes.algorithm.name})"
    )
