"""The description of a convolution: text, geometry and counts of work."""

from __future__ import annotations

import dataclasses

import pytest
from conftest import EDGES

from kernels import Conv2dProblem, ProblemError


@pytest.mark.parametrize("text", EDGES)
def test_text_and_problem_are_inverse(text: str) -> None:
    problem = Conv2dProblem.parse(text)
    assert Conv2dProblem.parse(str(problem)) == problem


@pytest.mark.parametrize("text", EDGES)
def test_useful_macs_count_taps_inside_the_input(text: str) -> None:
    p = Conv2dProblem.parse(text)
    rows = sum(0 <= o * p.sh + k * p.dh - p.ph < p.ih for o in range(p.oh) for k in range(p.kh))
    columns = sum(0 <= o * p.sw + k * p.dw - p.pw < p.iw for o in range(p.ow) for k in range(p.kw))
    assert p.macs_useful == p.mb * p.oc * p.ic // p.g * rows * columns


def test_padding_taps_overstate_a_small_map() -> None:
    p = Conv2dProblem.parse("ic512ih7oc512kh3ph1")
    assert p.macs_nominal / p.macs_useful == pytest.approx((7 * 3 / 19) ** 2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "malformed"),
        ("ic4ih8oc4", "has no 'kh'"),
        ("ic4ih8oc4kh3zz1", "unknown key 'zz'"),
        ("ic4ic4ih8oc4kh3", "stands twice"),
        ("ic4ih8oc4kh3 ph1", "malformed"),
        ("ic4ih8oc4kh-3", "malformed"),
        ("ic4ih2oc4kh3", "larger than the padded input 2x2"),
        ("g3ic4ih8oc6kh3", "ic is 4, expected a multiple of g=3"),
        ("ic4ih8oc4kh3sh0", "sh is 0, expected at least 1"),
        ("ic4ih8oc4kh3f16", "f is 16"),
    ],
)
def test_bad_text_is_one_sentence_with_the_value(text: str, said: str) -> None:
    with pytest.raises(ProblemError, match=said) as caught:
        Conv2dProblem.parse(text)
    assert "\n" not in str(caught.value)


def test_a_problem_is_frozen_and_hashable() -> None:
    p = Conv2dProblem.parse("ic4ih8oc4kh3")
    assert len({p, dataclasses.replace(p), p.replace(bias=True)}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        p.ic = 5  # type: ignore[misc]
