"""Single calls: weights are packed anew in plans that are kept by shape, in bounds, for one call at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

import kernels
from kernels import Algorithm, Conv2dProblem, Plan, algorithms, choose, conv2d, conv2d_reference
from kernels.arguments import Asked
from kernels.geometry import describe
from kernels.one_call import CALLS, OneCalls, Shape

_TEXTS = (
    "mb2ic5ih9oc7kh3ph1b1",
    "g4ic4ih9oc4kh3ph1b1",
    "ic5ih9oc7kh5ph2b1",
    "ic5ih9oc7kh1kw7pw3ph0b1",
    "ic5ih9oc7kh2b1",
)


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    kernels.clear_caches()
    yield
    kernels.clear_caches()


def _drawn(p: Conv2dProblem, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    src, wei, bia = (rng.integers(-3, 4, s).astype(p.dtype) for s in (p.input_shape, p.weight_shape, (p.oc,)))
    return src, wei, bia


def _called(p: Conv2dProblem, src: np.ndarray, wei: np.ndarray, bia: np.ndarray | None, name: str) -> np.ndarray:
    return conv2d(src, wei, bia, (p.sh, p.sw), (p.ph, p.pw), (p.dh, p.dw), p.g, algorithm=name, threads=1)


@pytest.mark.parametrize("algorithm", algorithms("fwd"), ids=lambda each: each.name)
def test_each_call_is_of_its_own_weights(algorithm: Algorithm) -> None:
    p = next(each for each in map(Conv2dProblem.parse, _TEXTS) if algorithm.unsupported(each) is None)
    for seed in range(3):
        src, wei, bia = _drawn(p, seed)
        expected = conv2d_reference(p, src, wei, bia)
        np.testing.assert_allclose(_called(p, src, wei, bia, algorithm.name), expected, rtol=0, atol=1e-3)
        # Without a bias it is a shape of its own, and not the last call's bias.
        plain = _called(p, src, wei, None, algorithm.name)
        np.testing.assert_allclose(plain, expected - bia.reshape(1, -1, 1, 1), rtol=0, atol=1e-3)
    assert len(CALLS) == 2


def test_a_second_call_makes_no_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    p = Conv2dProblem.parse(_TEXTS[0])
    src, wei, bia = _drawn(p, 0)
    first = _called(p, src, wei, bia, "auto")
    monkeypatch.setattr(Shape, "plan", None)
    monkeypatch.setattr("kernels.one_call.describe", None)
    np.testing.assert_array_equal(_called(p, src, wei, bia, "auto"), first)
    strided = np.asfortranarray(src), np.asfortranarray(wei)
    np.testing.assert_array_equal(_called(p, *strided, bia, "auto"), first)
    out = np.empty_like(first)
    assert conv2d(src, wei, bia, padding=1, threads=1, out=out) is out
    np.testing.assert_array_equal(out, first)


@pytest.mark.parametrize("mode", ["reflect", "circular", "replicate"])
def test_padding_of_other_modes_is_kept_too(mode: str) -> None:
    p = Conv2dProblem.parse("ic5ih9oc7kh3")
    for seed in range(2):
        src, wei, _ = _drawn(p, seed)
        padded = np.pad(
            src, ((0, 0), (0, 0), (1, 1), (2, 2)), {"circular": "wrap", "replicate": "edge"}.get(mode, mode)
        )
        expected = conv2d(padded, wei, threads=1)
        np.testing.assert_array_equal(conv2d(src, wei, padding=(1, 2), padding_mode=mode, threads=1), expected)
    assert len(CALLS) == 2


def test_calls_that_overlap_have_plans_of_their_own() -> None:
    p = Conv2dProblem.parse("ic8ih24oc8kh3ph1")
    drawn = [_drawn(p, seed) for seed in range(4)]
    expected = [conv2d_reference(p, src, wei, None) for src, wei, _ in drawn]
    wrong: list[int] = []

    def work(number: int) -> None:
        src, wei, _ = drawn[number]
        for _ in range(200):
            if not np.allclose(_called(p, src, wei, None, "auto"), expected[number], atol=1e-3):
                wrong.append(number)

    started = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for each in started:
        each.start()
    for each in started:
        each.join()
    assert wrong == []
    (shape,) = CALLS._shapes.values()
    assert 1 <= len(shape.idle) <= 4 and CALLS.nbytes == sum(each.nbytes for each in shape.idle)


def _taken(calls: OneCalls, key: object, p: Conv2dProblem) -> tuple[Shape, Plan]:
    src, wei, _ = _drawn(p, 0)
    shape = calls.find(key)
    if shape is None:
        asked = Asked(algorithm="direct_naive", threads=1)
        shape = calls.keep(key, Shape(describe(src, wei, None, asked), asked, packing=True))
    return shape, calls.take(shape) or shape.plan(wei, None, repackable=True)


def _kept(calls: OneCalls, sizes: range) -> None:
    for ih in sizes:
        p = Conv2dProblem.parse(f"ic2ih{ih}oc2kh1")
        calls.give(*_taken(calls, ih, p))


def test_shapes_are_bounded_in_number_and_bytes() -> None:
    calls = OneCalls(5, 2**20)
    _kept(calls, range(1, 20))
    assert list(calls._shapes) == [15, 16, 17, 18, 19]
    one = calls.nbytes // 5
    calls = OneCalls(100, 3 * one)
    _kept(calls, range(1, 20))
    assert list(calls._shapes) == [17, 18, 19] and calls.nbytes == 3 * one
    # What is larger than all that may be kept goes as well.
    calls = OneCalls(100, one - 1)
    _kept(calls, range(1, 3))
    assert len(calls) == 0 and calls.nbytes == 0


def test_a_plan_whose_shape_went_meanwhile_is_not_kept() -> None:
    calls = OneCalls(1, 2**20)
    shape, bound = _taken(calls, "a", Conv2dProblem.parse("ic2ih3oc2kh1"))
    _kept(calls, range(4, 5))
    before = calls.nbytes
    calls.give(shape, bound)
    assert calls.nbytes == before and list(calls._shapes) == [4] and shape.idle == []


def test_the_choice_counts_packing() -> None:
    p = Conv2dProblem.parse("ic512ih7oc512kh3ph1")
    once = choose(p, 1, tuned=False, packing=True)
    assert all(each.packing_s > 0 for each in once.candidates if not each.refused)
    assert once.chosen is not None and once.chosen.seconds is not None
    again = choose(p, 1, tuned=False).candidates
    without = {each.algorithm.name: each.seconds for each in again}
    assert once.chosen.seconds == pytest.approx((without[once.algorithm.name] or 0) + once.chosen.packing_s)
    # Transformed weights are four times as many: they are not worth it for one call on a small map.
    assert once.algorithm.family in ("im2col", "direct", "grouped")


def test_the_caches_are_emptied() -> None:
    p = Conv2dProblem.parse(_TEXTS[0])
    src, wei, bia = _drawn(p, 0)
    _called(p, src, wei, bia, "auto")
    assert len(CALLS) == 1 and CALLS.nbytes > 0
    kernels.clear_caches()
    assert len(CALLS) == 0 and CALLS.nbytes == 0
