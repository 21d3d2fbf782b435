"""Plans that are bound to arrays: the same results as by calls, of whatever the arrays hold then."""

from __future__ import annotations

import gc
import sys
import threading
import types
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from kernels import Conv2dProblem, Epilogue, Plan, plan

#: A single launch; two, one of which pads; parts put together; several steps between which threads meet.
_PROBLEMS = (
    ("ic8ih9oc6kh3ph1", "direct_tiled"),
    ("ic3ih9oc20kh7ph9", "direct_tiled"),
    ("bwd_d:ic4ih9oc6kh3sh2ph1", "im2col_gemm"),
    ("ic16ih12oc16kh3ph1", "winograd_f2x3"),
)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("text", "name"), _PROBLEMS)
def test_a_bound_plan_computes_what_the_arrays_hold(text: str, name: str, threads: int) -> None:
    p, rng = Conv2dProblem.parse(text), np.random.default_rng(0)
    wei = rng.standard_normal(p.weight_shape, np.float32)
    bound = plan(p, wei, algorithm=name, threads=threads)
    shape = p.operand_shapes[0]
    src, other = rng.standard_normal(shape, np.float32), rng.standard_normal(shape, np.float32)
    out = np.full(p.result_shape, np.nan, np.float32)
    call = bound.bind(src, out)
    assert np.isnan(out).all()
    assert call() is out
    np.testing.assert_array_equal(out, bound(src))
    # A call between has arrays of its own.
    expected = bound(other)
    src[...] = other
    np.testing.assert_array_equal(call(), expected)


def test_what_cannot_stay_where_it_is_is_refused() -> None:
    p = Conv2dProblem.parse("ic4ih6oc4kh3ph1")
    bound = plan(p, np.ones(p.weight_shape, np.float32), threads=1)
    src, out = np.ones(p.input_shape, np.float32), np.empty(p.output_shape, np.float32)
    with pytest.raises(ValueError, match="input is no C-contiguous NumPy array, expected one: it is read where it is"):
        bound.bind(src.swapaxes(2, 3), out)
    with pytest.raises(ValueError, match="out overlaps input, expected separate memory"):
        bound.bind(out, out)
    with pytest.raises(ValueError, match="input has dtype float64, expected float32"):
        bound.bind(src.astype(np.float64), out)
    with pytest.raises(ValueError, match="residual is given, expected none"):
        bound.bind(src, out, residual=out)


def test_a_residual_is_read_at_every_call() -> None:
    p = Conv2dProblem.parse("ic4ih6oc4kh3ph1")
    bound = plan(p, np.zeros(p.weight_shape, np.float32), epilogue=Epilogue(residual=True), threads=1)
    src, out = np.ones(p.input_shape, np.float32), np.empty(p.output_shape, np.float32)
    residual = np.ones_like(out)
    call = bound.bind(src, out, residual=residual)
    assert (call() == 1).all()
    residual[...] = 2
    assert (call() == 2).all()


def test_an_empty_batch_binds() -> None:
    p = Conv2dProblem.parse("mb0ic4ih6oc4kh3")
    bound = plan(p, np.zeros(p.weight_shape, np.float32), threads=1)
    out = np.empty(p.output_shape, np.float32)
    assert bound.bind(np.empty(p.input_shape, np.float32), out)() is out


_SHORT, _LONG = "ic4ih8oc6kh3ph1", "ic32ih28oc32kh3ph1"


def _made(text: str, name: str = "direct_tiled") -> tuple[Plan, np.ndarray, np.ndarray]:
    """A plan, an input and a result that is not computed yet."""
    p, rng = Conv2dProblem.parse(text), np.random.default_rng(0)
    made = plan(p, rng.standard_normal(p.weight_shape, np.float32), algorithm=name, threads=1)
    return made, rng.standard_normal(p.input_shape, np.float32), np.full(p.output_shape, np.nan, np.float32)


def test_a_short_call_is_one_of_a_builtin_and_a_long_one_lets_other_threads_run() -> None:
    made, src, out = _made(_SHORT)
    assert isinstance(made.bind(src, out), types.BuiltinFunctionType)
    made, src, out = _made(_LONG)
    assert not isinstance(made.bind(src, out), types.BuiltinFunctionType)


@pytest.mark.parametrize("text", [_SHORT, _LONG])
def test_a_bound_call_keeps_what_it_needs_and_no_more(text: str) -> None:
    made, src, out = _made(text)
    expected, before = made(src), sys.getrefcount(out)
    call = made.bind(src, out)
    held = sys.getrefcount(out)
    for _ in range(100):
        call()
    assert sys.getrefcount(out) == held
    # Nobody else has the plan and the input: what they held would be written to by others.
    del made, src
    gc.collect()
    rest = [np.full(4096, np.nan, np.float32) for _ in range(100)]
    out.fill(np.nan)
    np.testing.assert_array_equal(call(), expected)
    del call, rest
    gc.collect()
    assert sys.getrefcount(out) == before


@pytest.mark.parametrize("text", [_SHORT, _LONG])
def test_threads_that_share_a_plan_wait_for_each_other(text: str) -> None:
    # Winograd keeps all that it transforms in the scratch of the plan.
    made, src, _ = _made(text, "winograd_f2x3")
    sources = [src * i for i in range(1, 5)]
    expected, start = [made(each) for each in sources], threading.Barrier(4)

    def work(i: int) -> bool:
        out = np.empty_like(expected[i])
        calls = made.bind(sources[i], out), lambda: made(sources[i], out)
        start.wait()
        return all((calls[turn % 2]() == expected[i]).all() for turn in range(300))

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(work, range(4)))
    finally:
        sys.setswitchinterval(before)


def test_where_python_has_no_such_lock_a_short_call_is_as_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kernels.machine.parallel.IS_SUPPORTED", False)
    made, src, out = _made(_SHORT)
    call = made.bind(src, out)
    assert not isinstance(call, types.BuiltinFunctionType)
    assert call() is out
    np.testing.assert_array_equal(out, made(src))
