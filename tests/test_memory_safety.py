"""No kernel reads or writes past an end of an array: each runs against unreadable pages."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

import pytest
from guarded import PLACEMENTS, Case
from guarded_runs import run_cases
from memory_problems import NARROW, matrix, sample, spread

from kernels import Conv2dProblem, algorithms, get_algorithm
from kernels.machine.cpu import vector_bytes

#: ``make test-memory``: hundreds of problems an algorithm, not a sample.
FULL = os.environ.get("CONVMARK_TEST_MEMORY") == "full"

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason=f"guard pages are made by Linux's mprotect, this is {sys.platform}"
)


#: One worker an algorithm, as in test_algorithms: each kernel is then compiled once.
def _each(direction: str | None = None) -> pytest.MarkDecorator:
    names = [each.name for each in algorithms(direction)]
    return pytest.mark.parametrize("name", [pytest.param(each, marks=pytest.mark.xdist_group(each)) for each in names])


each_algorithm = _each()

#: Problems of the full run with an epilogue, and with narrow vectors.
EPILOGUES, NARROW_ONES = 24, 20
#: Of each kind of loops one, for the vectors that take longest to compile for.
SHORTEST = ("direct_naive", "direct_tiled", "im2col_gemm", "depthwise_stencil", "grouped_winograd", "winograd_f2x3")


def cases(name: str, texts: Mapping[int, Sequence[str]]) -> list[Case]:
    """Problems by number of threads: both placements of the page, the workspace whole and in its pieces."""
    return [
        Case(name, text, placement, threads, apart)
        for threads in texts
        for text in texts[threads]
        for placement in PLACEMENTS
        for apart in (False, True)
    ]


def few(name: str, count: int) -> Sequence[str]:
    """So many problems of each direction in full, else the first of those that are compiled for anyway."""
    algorithm = get_algorithm(name)
    if FULL:
        return [text for way in algorithm.directions for text in spread(matrix(algorithm, way), count)]
    problems = (Conv2dProblem.parse(text).replace(direction=algorithm.directions[0]) for text in NARROW)
    return [next(str(each) for each in problems if algorithm.unsupported(each) is None)]


@each_algorithm
def test_nothing_past_an_end_is_touched(name: str) -> None:
    algorithm = get_algorithm(name)
    asked = []
    for way in algorithm.directions:
        texts = {n: matrix(algorithm, way) if FULL else sample(algorithm, way, n) for n in (1, 2)}
        assert any(texts.values()), way
        asked += cases(name, texts)
    outcome = run_cases(asked)
    print(f"{name}: {dict(outcome.counts)}")
    assert not outcome.failures, "\n".join(outcome.failures)
    assert outcome.counts["ok"] == len(asked)


@each_algorithm
@pytest.mark.parametrize("width", [16, 32])
def test_nothing_past_an_end_is_touched_with_narrow_vectors(name: str, width: int) -> None:
    if width == 16 and name not in SHORTEST and not FULL:
        pytest.skip("its loops are those of another algorithm, which is tested")
    if width >= vector_bytes():
        pytest.skip(f"this CPU's vectors have {vector_bytes()} bytes, the other test uses them")
    outcome = run_cases(cases(name, {1: few(name, NARROW_ONES)}), vector_bytes=width)
    print(f"{name}, {width} bytes: {dict(outcome.counts)}")
    assert not outcome.failures, "\n".join(outcome.failures)
    assert outcome.counts["ok"]


@_each("fwd")
def test_nothing_past_an_end_is_touched_by_an_epilogue(name: str) -> None:
    # Convolutions alone have one.
    texts = [text for text in few(name, EPILOGUES) if Conv2dProblem.parse(text).direction == "fwd"]
    outcome = run_cases([Case(name, text, at, 1, epilogue=True) for text in texts for at in PLACEMENTS])
    assert not outcome.failures, "\n".join(outcome.failures)
    assert outcome.counts["ok"]


#: Name in `broken_kernels`, the placement of the page that finds the mistake, and what is said of it.
BROKEN = (
    ("broken_reads_a_vector_past", "after", "killed by SIGSEGV, at src"),
    ("broken_reads_before", "before", "killed by SIGSEGV, at packed[0]"),
    ("broken_writes_an_element_past", "after", "killed by SIGSEGV, at dst"),
    ("broken_writes_an_element_past", "before", "something was written beside dst"),
    ("broken_writes_the_source", "before", "killed by SIGSEGV, at src"),
    ("broken_outgrows_a_piece_of_the_workspace", "after", "killed by SIGSEGV, at workspace first"),
    ("broken_leaves_one_out", "after", "1 of 378 elements of dst are NaN"),
)


def test_broken_kernels_are_caught_and_named() -> None:
    text = "ic4ih9iw7oc6kh3ph1"
    outcome = run_cases(
        [Case(name, text, placement, 1, apart=True) for name, placement, _ in BROKEN], modules=["broken_kernels"]
    )
    assert outcome.counts == {"died": 5, "wrong": 2}
    for said, (name, placement, found) in zip(outcome.failures, BROKEN, strict=True):
        assert said.startswith(f"{name} on {text}, an unreadable page {placement} each array")
        assert "threads=1" in said
        assert found in said
