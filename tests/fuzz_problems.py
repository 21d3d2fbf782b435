"""Problems that a fuzz draws, weighted to edges, and what each must come to."""

from __future__ import annotations

import functools
import random
import shlex
from typing import Any, NamedTuple

import numba
import numpy as np
from hypothesis import strategies as st

from kernels import (
    Algorithm,
    Conv2dProblem,
    Epilogue,
    algorithms,
    conv2d,
    conv2d_exact,
    conv2d_input,
    conv2d_reference,
    conv2d_weight,
    error_unit,
    plan,
    plan_backward_weights,
)
from kernels.epilogue import NO_EPILOGUE

#: Multiply-adds of a drawn problem, so that the oracle takes a millisecond; of a deep or wide one, some.
_MOST_MACS, _MOST_MACS_OF_LARGE = 400_000, 4_000_000
#: Elements before and after an array that are NaN, and stay so; odd, so that vectors lie across lines.
_GUARD = 61
#: What a leaky ReLU multiplies by: exact in binary.
_SLOPE = 0.25


class Case(NamedTuple):
    """A problem, how it ends, on how many threads, and what its arrays are drawn by."""

    problem: Conv2dProblem
    epilogue: Epilogue
    threads: int
    seed: int

    def __repr__(self) -> str:
        """What can be pasted."""
        p = self.problem
        return f"Case(Conv2dProblem.parse({str(p)!r}), {self.epilogue!r}, threads={self.threads}, seed={self.seed})"


def command(case: Case, algorithm: str) -> str:
    """The command line that tries the problem again."""
    words = "convmark", "verify", "--problem", str(case.problem), "--algorithm", algorithm
    return shlex.join((*words, "--threads", str(case.threads)))


def _extents(most: int) -> st.SearchStrategy[int]:
    """Small ones, and those beside the widths of vectors and tiles."""
    edges = [each for base in (8, 16, 24, 32, 48, 64) for each in (base - 1, base, base + 1) if each <= most]
    return st.integers(1, min(most, 8)) | st.sampled_from([*edges, most]) | st.integers(1, most)


#: Channels beyond one block of sums, and widths beyond one strip of tiles.
_DEEP = (100, 127, 128, 129, 192, 255, 256, 257, 300, 384, 511, 512, 513, 700)
_WIDE = (100, 127, 128, 129, 200, 255, 256, 257, 400, 513)
_SHAPES = ("small", "small", "small", "deep in", "deep out", "wide", "tall", "batch")


class Kernel(NamedTuple):
    """What convolutions have in common that share compiled code; extents are not in it."""

    kind: str
    taps: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    dtype: str
    direction: str
    epilogue: Epilogue


_KINDS = ("3x3", "5x5", "line", "1x1", "depthwise", "large", "grouped", "any", "2x2", "7x7", "strided")
_LINES = (1, 7), (7, 1), (1, 3), (3, 1), (1, 5), (5, 1), (1, 2), (2, 1)


def kernel_of(number: int, few: bool = False) -> Kernel:
    """The kernel that a number stands for, of each kind as often; with ``few``, few of them to compile."""
    rng = random.Random(number)
    kind = _KINDS[:6][number % 6] if few else _KINDS[number % len(_KINDS)]
    taps, strides, dilations = (1, 1), (1, 1), (1, 1)
    if kind in ("2x2", "3x3", "5x5", "7x7"):
        taps = (int(kind[0]),) * 2
        if not few:
            dilations, strides = (rng.choice((1, 1, 1, 2, 3)),) * 2, (rng.choice((1, 1, 1, 2)),) * 2
    elif kind == "line":
        taps = _LINES[0] if few else rng.choice(_LINES)
    elif kind in ("depthwise", "grouped"):
        taps = (3 if few else rng.choice((3, 3, 5, 7)),) * 2
        strides = (1 if few else rng.choice((1, 1, 2)),) * 2
    elif kind == "large":
        taps = (9, 9) if few else (rng.choice((9, 13, 15, 20)), rng.choice((9, 13, 15, 20)))
    elif kind == "strided":
        taps, strides = (rng.randint(1, 7), rng.randint(1, 15)), (rng.randint(1, 4), rng.randint(2, 9))
        dilations = (1, rng.choice((1, 1, 2, 4)))
    elif kind == "any":
        taps, strides, dilations = ((rng.randint(1, most), rng.randint(1, most)) for most in (9, 4, 4))
    direction = "fwd" if few else rng.choice(("fwd", "fwd", "bwd_d", "bwd_w"))
    relu, residual = rng.random() < 0.5, rng.random() < 0.5
    slope = rng.choice((0.0, _SLOPE)) if relu else 0.0
    ended = Epilogue(residual, relu, slope, residual and rng.random() < 0.5)
    dtype = rng.choice(("float32", "float32", "float64"))
    return Kernel(kind, taps, strides, dilations, dtype, direction, ended if direction == "fwd" else NO_EPILOGUE)


@st.composite
def problems(draw: st.DrawFn, kernel: Kernel) -> Conv2dProblem:
    """Problems of a kernel, of any extents."""
    (kh, kw), (sh, sw), (dh, dw) = kernel.taps, kernel.strides, kernel.dilations
    shape = draw(st.sampled_from(_SHAPES))
    g, icg, ocg, most = 1, draw(_extents(70)), draw(_extents(70)), 40
    if kernel.kind in ("depthwise", "grouped", "large", "strided"):
        g = draw(st.sampled_from((2, 3, 4, 8, 16, 17, 31, 32, 33, 64)))
        icg, ocg = draw(_extents(16)), draw(_extents(9))
    if kernel.kind in ("depthwise", "large"):
        icg, ocg, most = 1, draw(st.sampled_from((1, 1, 2))), 24 if kernel.kind == "large" else 40
    elif shape in ("deep in", "deep out"):
        few, many, most = draw(_extents(17)), max(1, draw(st.sampled_from(_DEEP)) // g), 7
        icg, ocg = (many, few) if shape == "deep in" else (few, many)
    spans = (kh - 1) * dh + 1, (kw - 1) * dw + 1
    sides = [draw(st.sampled_from((0, span // 2, span // 2)) | st.integers(0, span)) for span in (*spans, *spans)]
    ph, pw, pb, pr = sides if draw(st.booleans()) else (spans[0] // 2, spans[1] // 2) * 2
    ih, iw = (
        max(draw(_extents(9 if shape == "batch" else most)), span - before - after)
        for span, before, after in zip(spans, (ph, pw), (pb, pr), strict=True)
    )
    if shape == "wide":
        ih, iw = min(ih, max(spans[0], 4)), draw(st.sampled_from(_WIDE))
    if shape == "tall":
        ih, iw = draw(st.sampled_from(_WIDE)), min(iw, max(spans[1], 4))
    mb = draw(st.sampled_from((5, 8, 9, 17, 33) if shape == "batch" else (1, 1, 2, 3)))
    most_macs = _MOST_MACS if shape == "small" else _MOST_MACS_OF_LARGE
    p = Conv2dProblem(
        mb=mb, g=g, ic=g * icg, ih=ih, iw=iw, oc=g * ocg, kh=kh, kw=kw, sh=sh, sw=sw,
        ph=ph, pw=pw, pb=pb, pr=pr, dh=dh, dw=dw, bias=draw(st.booleans()), dtype=kernel.dtype,
        direction=kernel.direction,
    )  # fmt: skip
    # Channels are what is least missed, then groups.
    while p.macs_nominal > most_macs and max(p.ic, p.oc) > p.g:
        ic, oc = (-(-n // p.g // 2) * p.g if n == max(p.ic, p.oc) else n for n in (p.ic, p.oc))
        p = p.replace(ic=ic, oc=oc)
    if p.macs_nominal > most_macs and p.g > 2:
        p = p.replace(g=2, ic=2, oc=2)
    return p


@st.composite
def cases(draw: st.DrawFn, kernel: Kernel | None = None) -> Case:
    """A problem of a kernel, or of few of them, a number of threads and a seed."""
    own = kernel_of(draw(st.integers(0, 5)), few=True) if kernel is None else kernel
    threads = min(draw(st.sampled_from((1, 1, 1, 1, 2, 2, 3, 5))), numba.config.NUMBA_NUM_THREADS)
    return Case(draw(problems(own)), own.epilogue, threads, draw(st.integers(0, 2**16)))


def takers(problem: Conv2dProblem) -> list[Algorithm]:
    """The algorithms that take a problem."""
    return [each for each in algorithms() if each.unsupported(problem) is None]


class _Arrays(NamedTuple):
    """Both operands, biases if there are some, what the epilogue adds, and what it must come to: a sum of parts."""

    first: np.ndarray
    second: np.ndarray
    bia: np.ndarray | None
    residual: np.ndarray
    expected: tuple[np.ndarray, ...]


@functools.lru_cache(maxsize=2)
def _arrays(case: Case, is_whole: bool) -> _Arrays:
    """Whole or normal numbers; found once for all algorithms, so that none may write to them."""
    p, rng = case.problem, np.random.default_rng((case.seed, is_whole))
    shapes = *p.operand_shapes, p.bias_shape, p.result_shape
    drawn = [rng.integers(-3, 4, each) if is_whole else rng.standard_normal(each) for each in shapes]
    first, second, bia, residual = (_beside(each.astype(p.dtype))[0] for each in drawn)
    given = bia if p.bias and p.direction != "bwd_w" else None
    if is_whole:
        expected: tuple[np.ndarray, ...] = (
            _ended(conv2d_reference(p, first, second, given), residual, case.epilogue),
        )  # fmt: skip
    elif p.dtype == "float64":
        expected = conv2d_exact(p, first, second, given)
    else:
        expected = (conv2d_reference(p, first, second, given),)
    return _Arrays(first, second, given, residual, expected)


def fault(case: Case, algorithm: Algorithm) -> str:
    """Why an algorithm is wrong on a case; empty if it is not.

    On whole numbers, with the epilogue: exact, or after rounding. On normal values: within its promise, relative to
    what the result is expected to be: of few outputs all may be small by chance, or lie on padding. Inputs and what
    stands beside arrays are not written to, and each number of threads gives the same bits. Normal values go through
    functions of a single call where there is one for the problem, after others of its shape.
    """
    whole, normal = _arrays(case, True), _arrays(case, False)
    before = [each.copy() for each in whole[:2]]
    result = _guarded(case, algorithm, whole)
    if isinstance(result, str):
        return result
    found = result if algorithm.exact_on_integers else np.rint(result / _SLOPE) * _SLOPE
    wrong = int(np.count_nonzero(found != whole.expected[0]))
    if wrong:
        return f"{wrong} of {found.size} elements differ from the exact integers"
    if any(not np.array_equal(a, b) for a, b in zip(before, whole[:2], strict=True)):
        return "an input was written to"
    if _is_single(case.problem):
        _single(case, algorithm.name, whole)
        result = _single(case, algorithm.name, normal)
    else:
        run, _ = _bound(case, algorithm.name, normal, NO_EPILOGUE, case.threads)
        result = run(None)
    return _imprecise(case.problem, algorithm, normal, result)


def convolutions(case: Case) -> int:
    """How many `fault` looks at: of whole numbers on each number of threads, and of normal ones."""
    return len({1, case.threads}) + 1


def _bound(case: Case, algorithm: str, arrays: _Arrays, epilogue: Epilogue, threads: int) -> Any:
    """``run(out)``, and the plan."""
    p, asked = case.problem, {"algorithm": algorithm, "threads": threads}
    if p.direction == "bwd_w":
        gradient = plan_backward_weights(p, **asked)
        return (lambda out: gradient(arrays.first, arrays.second, out)), gradient
    bound = plan(p, arrays.second, arrays.bia, epilogue=epilogue, **asked)
    added = arrays.residual if epilogue.residual else None
    return (lambda out: bound(arrays.first, out, residual=added)), bound


def _is_single(p: Conv2dProblem) -> bool:
    """Whether functions of a single call compute the problem: the same padding on both sides, no bias of gradients."""
    return (p.ph, p.pw) == (p.pb, p.pr) and (p.direction == "fwd" or not p.bias)


def _single(case: Case, algorithm: str, arrays: _Arrays) -> np.ndarray:
    """The problem's result by a function that is given everything at each call."""
    p = case.problem
    words = {
        "stride": (p.sh, p.sw), "padding": (p.ph, p.pw), "dilation": (p.dh, p.dw), "groups": p.g,
        "algorithm": algorithm, "threads": case.threads,
    }  # fmt: skip
    if p.direction == "fwd":
        return conv2d(arrays.first, arrays.second, arrays.bia, **words)
    if p.direction == "bwd_d":
        return conv2d_input(p.input_shape, arrays.second, arrays.first, **words)
    return conv2d_weight(arrays.first, p.weight_shape, arrays.second, **words)


def _beside(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A copy with NaN before and after it, and all of that."""
    room = np.full(array.size + 2 * _GUARD, np.nan, array.dtype)
    copy = room[_GUARD : _GUARD + array.size].reshape(array.shape)
    copy[...] = array
    return copy, room


def _guarded(case: Case, algorithm: Algorithm, arrays: _Arrays) -> np.ndarray | str:
    """The result, with guards around it, on the case's threads; or what is wrong with how it was written."""
    found = []
    for threads in {1, case.threads}:
        run, bound = _bound(case, algorithm.name, arrays, case.epilogue, threads)
        bound.poison()
        dst, room = _beside(np.full(case.problem.result_shape, np.nan, case.problem.dtype))
        run(dst)
        if not np.isnan(np.concatenate([room[:_GUARD], room[-_GUARD:]])).all():
            return "elements beside the result were written to"
        if not np.isfinite(dst).all():
            return f"{int(np.count_nonzero(~np.isfinite(dst)))} of {dst.size} elements are not finite"
        found.append(dst)
    if len(found) == 2 and found[0].tobytes() != found[1].tobytes():
        return "two numbers of threads give different bits"
    return found[0]


def _ended(sums: np.ndarray, residual: np.ndarray, epilogue: Epilogue) -> np.ndarray:
    if epilogue.residual and not epilogue.residual_last:
        sums = sums + residual
    if epilogue.relu:
        sums = np.where(sums < 0, sums * epilogue.slope, sums)
    return sums + residual if epilogue.residual_last else sums


def _imprecise(p: Conv2dProblem, algorithm: Algorithm, arrays: _Arrays, result: np.ndarray) -> str:
    difference = result.astype(np.float64).reshape(p.result_shape)
    for part in arrays.expected:
        difference = difference - part
    # What the result is expected to be of independent values and without padding.
    means = [np.mean(each.astype(np.float64) ** 2) for each in (arrays.first, arrays.second)]
    size = float(np.sqrt(p.macs_nominal * means[0] * means[1]))
    error, most = float(np.linalg.norm(difference)), algorithm.error_factor * error_unit(p) * size
    return "" if error <= most else f"it errs by {error:.3g}, expected at most {most:.3g}"
