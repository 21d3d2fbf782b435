"""Drawn problems, the same at each run, on every algorithm that takes them; `make fuzz` draws on."""

from __future__ import annotations

from collections import Counter

import pytest

pytest.importorskip("hypothesis")

from fuzz_problems import Case, cases, command, fault, takers
from hypothesis import HealthCheck, given, settings

from kernels import Conv2dProblem, Epilogue, algorithms, get_algorithm

_COUNTS: Counter[str] = Counter()


@given(cases())
@settings(max_examples=30, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def _drawn(case: Case) -> None:
    for each in takers(case.problem):
        _COUNTS[each.name] += 1
        reason = fault(case, each)
        assert not reason, f"{each.name}: {reason}\n{case!r}\n{command(case, each.name)}"


@pytest.mark.xdist_group("fuzz")
def test_drawn_problems_are_right_on_every_algorithm_that_takes_them() -> None:
    _drawn()
    families = {get_algorithm(name).family for name in _COUNTS}
    assert families == {each.family for each in algorithms("fwd")} and sum(_COUNTS.values()) > 150, _COUNTS


def test_a_fault_is_seen_and_can_be_pasted(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(Conv2dProblem.parse("ic3ih5oc2kh3ph1b1"), Epilogue(relu=True), 1, 0)
    algorithm = get_algorithm("direct_naive")
    assert fault(case, algorithm) == ""
    assert eval(repr(case)) == case  # its text is what makes it again
    assert command(case, "x") == "convmark verify --problem ic3ih5oc2kh3ph1b1 --algorithm x --threads 1"
    monkeypatch.setattr("fuzz_problems.conv2d_reference", lambda p, *arrays: _one_off(p, *arrays))
    assert fault(case._replace(seed=1), algorithm) == "1 of 50 elements differ from the exact integers"


def _one_off(p: Conv2dProblem, *arrays: object) -> object:
    from kernels import conv2d_reference

    found = conv2d_reference(p, *arrays)  # type: ignore[arg-type]
    found[0, 1, 2, 3] = abs(found[0, 1, 2, 3]) + 1
    return found
