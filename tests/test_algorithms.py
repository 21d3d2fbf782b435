"""Every registered algorithm against the oracle, on every edge."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import integers

from kernels import Algorithm, Conv2dProblem, UnknownAlgorithm, UnsupportedProblem, algorithms, conv2d_reference, plan

#: One worker an algorithm where tests run in parallel: each kernel is then compiled once.
each_algorithm = pytest.mark.parametrize(
    "algorithm",
    [pytest.param(each, marks=pytest.mark.xdist_group(each.name), id=each.name) for each in algorithms("fwd")],
)


@each_algorithm
def test_matches_the_oracle(algorithm: Algorithm, edge_problem: Conv2dProblem) -> None:
    _check(algorithm, edge_problem, threads=1)


#: Enough images for threads to take blocks of their own, so few that they share phases and
#: panels, groups, and more threads than there is work.
@each_algorithm
@pytest.mark.parametrize("text", ["mb9ic17ih14oc40kh3ph1b1", "g2ic34ih9iw26oc80kh3ph1pb0", "ic1ih3oc1kh3"])
def test_matches_the_oracle_on_two_threads(algorithm: Algorithm, text: str) -> None:
    _check(algorithm, Conv2dProblem.parse(text), threads=2)


def _check(algorithm: Algorithm, edge_problem: Conv2dProblem, threads: int) -> None:
    reason = algorithm.unsupported(edge_problem)
    src, wei, bia = integers(edge_problem)
    if reason is not None:
        with pytest.raises(UnsupportedProblem, match="does not support"):
            plan(edge_problem, wei, bia, algorithm=algorithm.name)
        return
    bound = plan(edge_problem, wei, bia, algorithm=algorithm.name, threads=threads)
    bound.poison()
    dst = np.full(edge_problem.output_shape, np.nan, edge_problem.dtype)
    assert bound(src, out=dst) is dst
    expected = conv2d_reference(edge_problem, src, wei, bia)
    if algorithm.exact_on_integers:
        np.testing.assert_array_equal(dst, expected)
    else:
        np.testing.assert_allclose(dst, expected, atol=1e-3 * max(1.0, np.abs(expected).max(initial=0)))


@each_algorithm
def test_same_bits_for_any_number_of_threads(algorithm: Algorithm) -> None:
    problem = Conv2dProblem.parse("mb2ic17ih23oc40kh3ph1b1")
    if algorithm.unsupported(problem) is not None:
        pytest.skip(f"{algorithm.name}: {algorithm.unsupported(problem)}")
    rng = np.random.default_rng(3)
    src, wei, bia = (
        rng.standard_normal(shape, np.float32) for shape in (problem.input_shape, problem.weight_shape, (problem.oc,))
    )
    one, two = (plan(problem, wei, bia, algorithm=algorithm.name, threads=threads)(src) for threads in (1, 2))
    assert one.tobytes() == two.tobytes()


def test_oracle_by_hand() -> None:
    """The judge itself, against the definition written as seven loops in Python integers."""
    p = Conv2dProblem.parse("g2ic4ih5iw6oc6kh3kw2sh2sw1ph1pw2pb0pr1dh1dw2b1")
    src, wei, bia = integers(p)
    assert bia is not None
    expected = np.empty(p.output_shape)
    for oc in range(p.oc):
        for oh in range(p.oh):
            for ow in range(p.ow):
                total = int(bia[oc])
                for ic in range(p.ic // p.g):
                    for kh in range(p.kh):
                        for kw in range(p.kw):
                            ih, iw = oh * p.sh + kh * p.dh - p.ph, ow * p.sw + kw * p.dw - p.pw
                            if 0 <= ih < p.ih and 0 <= iw < p.iw:
                                channel = oc // (p.oc // p.g) * (p.ic // p.g) + ic
                                total += int(wei[oc, ic, kh, kw]) * int(src[0, channel, ih, iw])
                expected[0, oc, oh, ow] = total
    np.testing.assert_array_equal(conv2d_reference(p, src, wei, bia), expected)


def test_unknown_algorithm_suggests_a_near_match() -> None:
    p = Conv2dProblem.parse("ic4ih8oc4kh3")
    with pytest.raises(UnknownAlgorithm, match="did you mean direct_"):
        plan(p, np.zeros(p.weight_shape, "f4"), algorithm="direct_naiv")
