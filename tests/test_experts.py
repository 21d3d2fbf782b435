"""Sums of packed weights, for every algorithm: what packing the summed weights gives."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from kernels import Algorithm, Conv2dProblem, Setup, algorithms, conv2d_reference, get_algorithm, plan, registry
from kernels.blocks.experts import PackedExperts, PlaneAverage, fastest_with_experts
from kernels.registry import Packing, Run
from kernels.select import choose

#: For those that are made for one kind only: depthwise, 5x5, one-dimensional.
_PROBLEMS = (
    "mb2ic17ih23oc40kh3ph1b1",
    "g16ic16ih30oc16kh3ph1b1",
    "ic17ih23oc40kh5ph2b1",
    "ic17ih23oc40kh1kw7pw3ph0b1",
    "ic17ih23oc40kh2b1",
)


@pytest.mark.parametrize("algorithm", algorithms("fwd"), ids=lambda each: each.name)
def test_a_sum_of_packed_experts_is_the_sum_packed(algorithm: Algorithm) -> None:
    p = next(each for each in map(Conv2dProblem.parse, _PROBLEMS) if algorithm.unsupported(each) is None)
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(3, *p.weight_shape)).astype(p.dtype)
    # Of such weights alone, transforms would pack their digits and apart from them a power of two.
    weights[1, 0] *= 1e-30
    biases = rng.normal(size=(3, p.oc)).astype(p.dtype)
    zeros = np.zeros(p.weight_shape, p.dtype), np.zeros(p.oc, p.dtype) if p.bias else None
    bound = plan(p, *zeros, algorithm=algorithm.name, threads=1)
    experts = PackedExperts(bound, weights, biases)
    for factors in (np.array([0.25, -0.5, 0.75]), np.array([1.0, 0.125, 0.0])):
        experts.blend(factors)
        wei, bia = (np.tensordot(factors, each, 1).astype(p.dtype) for each in (weights, biases))
        packed = algorithm.prepare(p, wei, bia)
        for one, other in zip(bound.setup.packed, packed, strict=True):
            if isinstance(one, np.ndarray):
                np.testing.assert_allclose(one, other, rtol=0, atol=2e-6 * np.abs(other).max())
            else:
                assert one == other
        src = rng.normal(size=p.input_shape).astype(p.dtype)
        expected = conv2d_reference(p, src, *(np.tensordot(factors, each, 1) for each in (weights, biases)))
        np.testing.assert_allclose(bound(src), expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_packing_that_is_not_linear_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    naive = get_algorithm("direct_naive")

    def bind(setup: Setup) -> Run:
        return naive.bind(dataclasses.replace(setup, packed=setup.packed[:2]))

    def packing(p: Conv2dProblem, threads: int) -> Packing:
        made = naive.packing(p, threads)
        squares = np.empty(p.weight_shape)

        def weights(wei: np.ndarray) -> None:
            made.weights(wei)
            squares[...] = 1 + wei**2

        return Packing((*made.packed, squares), weights, made.biases)

    made = dataclasses.replace(naive, name="squares", packing=packing, bind=bind)
    monkeypatch.setitem(registry._REGISTRY, "squares", made)
    p = Conv2dProblem.parse("ic2ih3oc2kh1")
    bound = plan(p, np.zeros(p.weight_shape, p.dtype), algorithm="squares", threads=1)
    with pytest.raises(ValueError, match="squares packs weights not linearly"):
        PackedExperts(bound, np.ones((2, *p.weight_shape), p.dtype), np.zeros((2, 2), p.dtype))


def test_an_algorithm_is_chosen_with_what_summing_its_weights_takes() -> None:
    p = Conv2dProblem.parse("ic256ih14oc256kh3ph1b1")
    alone = choose(p)
    seconds = {each.algorithm.name: each.seconds for each in alone.candidates}

    def bytes_of(name: str) -> int:
        zeros = np.zeros(p.weight_shape, p.dtype)
        packed = get_algorithm(name).prepare(p, zeros, np.zeros(p.oc, p.dtype))
        return sum(each.nbytes for each in packed if isinstance(each, np.ndarray))

    few, many = (fastest_with_experts(p, experts, 1) for experts in (1, 64))
    assert bytes_of(many) < bytes_of(alone.algorithm.name) and bytes_of(many) <= bytes_of(few)
    assert (seconds[many] or 0) > (seconds[alone.algorithm.name] or 0)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("elements", [5, 64, 200])
def test_short_and_ragged_sums(threads: int, elements: int) -> None:
    """Of fewer elements than a run of vectors, of exactly as many, and of some more."""
    p = Conv2dProblem.parse(f"ic{elements}ih2oc1kh1")
    weights = np.random.default_rng(1).integers(-9, 9, (3, *p.weight_shape)).astype(p.dtype)
    bound = plan(p, np.zeros(p.weight_shape, p.dtype), algorithm="direct_naive", threads=threads)
    PackedExperts(bound, weights, np.ones((3, 1))).blend(np.array([2.0, 3.0, -4.0]))
    np.testing.assert_array_equal(bound.setup.packed[0], 2 * weights[0] + 3 * weights[1] - 4 * weights[2])
    np.testing.assert_array_equal(bound.setup.packed[1], [1.0])


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("shape", [(2, 3, 2, 5), (1, 5, 11, 13)])
def test_averages_over_pixels(threads: int, shape: tuple[int, ...]) -> None:
    src = np.random.default_rng(1).normal(size=shape).astype("f4")
    found = PlaneAverage(shape, "float32", threads)(src)
    np.testing.assert_allclose(found, src.mean((2, 3), dtype=np.float64), rtol=0, atol=1e-7)
