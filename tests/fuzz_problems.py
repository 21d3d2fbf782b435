"""Problems that a fuzz draws, weighted to edges, and what each must come to."""

from __future__ import annotations

import shlex
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from kernels import Algorithm, Conv2dProblem, Epilogue, algorithms, conv2d_exact, conv2d_reference, error_unit, plan

#: Multiply-adds of a drawn problem, so that the oracle takes a millisecond.
_MOST_MACS = 400_000
#: Elements before and after a result that stay as they are.
_GUARD = 64
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


@st.composite
def problems(draw: st.DrawFn, few: bool = False) -> Conv2dProblem:
    """Each kind of kernel that a family takes, as often as the others; with ``few``, few of them to compile."""
    kinds = ("3x3", "5x5", "line", "1x1", "depthwise", "grouped", "any", "any")
    kind = draw(st.sampled_from(("3x3", "3x3", "line", "1x1", "depthwise") if few else kinds))
    g, icg, ocg = 1, draw(_extents(70)), draw(_extents(70))
    kh = kw = sh = sw = dh = dw = 1
    if kind in ("3x3", "5x5"):
        kh = kw = int(kind[0])
        dh = dw = draw(st.sampled_from((1, 1, 1, 2, 3)))
        sh = sw = draw(st.sampled_from((1, 1, 1, 2)))
    elif kind == "line":
        lines = (1, 7), (7, 1), (1, 3), (3, 1), (1, 5), (5, 1)
        kh, kw = draw(st.sampled_from(lines[:1] if few else lines))
    elif kind in ("depthwise", "grouped"):
        g = draw(st.sampled_from((2, 3, 4, 8, 16, 17)))
        icg, ocg = (
            (1, draw(st.sampled_from((1, 1, 2)))) if kind == "depthwise" else (draw(_extents(16)), draw(_extents(9)))
        )
        kh = kw = draw(st.sampled_from((3,) if few else (3, 3, 5, 7)))
        sh = sw = draw(st.sampled_from((1, 1, 2)))
    elif kind != "1x1":
        taps, steps = st.integers(1, 9), st.integers(1, 4)
        kh, kw, sh, sw, dh, dw = draw(st.tuples(taps, taps, steps, steps, steps, steps))
    spans = (kh - 1) * dh + 1, (kw - 1) * dw + 1
    sides = [draw(st.sampled_from((0, span // 2, span // 2)) | st.integers(0, span)) for span in (*spans, *spans)]
    ph, pw, pb, pr = sides if draw(st.booleans()) else (spans[0] // 2, spans[1] // 2) * 2
    ih, iw = (
        max(draw(_extents(40)), span - before - after)
        for span, before, after in zip(spans, (ph, pw), (pb, pr), strict=True)
    )
    mb = draw(st.sampled_from((1, 1, 2, 3)))
    p = Conv2dProblem(
        mb=mb, g=g, ic=g * icg, ih=ih, iw=iw, oc=g * ocg, kh=kh, kw=kw, sh=sh, sw=sw, ph=ph, pw=pw, pb=pb, pr=pr,
        dh=dh, dw=dw, bias=draw(st.booleans()), dtype=draw(st.sampled_from(("float32", "float32", "float64"))),
    )  # fmt: skip
    # Channels are what is least missed.
    while p.macs_nominal > _MOST_MACS and max(p.ic, p.oc) > p.g:
        ic, oc = (-(-n // p.g // 2) * p.g if n == max(p.ic, p.oc) else n for n in (p.ic, p.oc))
        p = p.replace(ic=ic, oc=oc)
    return p


@st.composite
def cases(draw: st.DrawFn, few: bool = False) -> Case:
    """A problem, an epilogue, a number of threads and a seed."""
    relu, residual = draw(st.booleans()), draw(st.booleans())
    slope = draw(st.sampled_from((0.0, _SLOPE))) if relu else 0.0
    epilogue = Epilogue(residual, relu, slope, residual and draw(st.booleans()))
    return Case(draw(problems(few)), epilogue, draw(st.sampled_from((1, 1, 2))), draw(st.integers(0, 2**16)))


def takers(problem: Conv2dProblem) -> list[Algorithm]:
    """The algorithms that take a problem."""
    return [each for each in algorithms() if each.unsupported(problem) is None]


def fault(case: Case, algorithm: Algorithm) -> str:
    """Why an algorithm is wrong on a case; empty if it is not.

    On whole numbers, with the epilogue: exact, or after rounding. On normal values: within its promise, relative to
    what the result is expected to be: of few outputs all may be small by chance, or lie on padding. Inputs and what
    stands beside the result are not written to, and each number of threads gives the same bits.
    """
    p = case.problem
    rng = np.random.default_rng(case.seed)
    shapes = p.input_shape, p.weight_shape, (p.oc,), p.output_shape
    integers = [rng.integers(-3, 4, shape).astype(p.dtype) for shape in shapes]
    src, wei, bia, residual = integers
    given = bia if p.bias else None
    result = _guarded(case, algorithm, src, wei, given, residual)
    if isinstance(result, str):
        return result
    expected = _ended(conv2d_reference(p, src, wei, given), residual, case.epilogue)
    found = result if algorithm.exact_on_integers else np.rint(result / _SLOPE) * _SLOPE
    wrong = int(np.count_nonzero(found != expected))
    if wrong:
        return f"{wrong} of {expected.size} elements differ from the exact integers"
    if any(not np.array_equal(a, b) for a, b in zip(integers, _again(case, shapes), strict=True)):
        return "an input was written to"
    return _imprecise(p, algorithm, rng, case.threads)


def _again(case: Case, shapes: Any) -> list[np.ndarray]:
    rng = np.random.default_rng(case.seed)
    return [rng.integers(-3, 4, shape).astype(case.problem.dtype) for shape in shapes]


def _guarded(
    case: Case, algorithm: Algorithm, src: np.ndarray, wei: np.ndarray, bia: np.ndarray | None, residual: np.ndarray
) -> np.ndarray | str:
    """The result, with guards around it, on the case's threads; or what is wrong with how it was written."""
    p = case.problem
    found = []
    for threads in {1, case.threads}:
        bound = plan(p, wei, bia, epilogue=case.epilogue, algorithm=algorithm.name, threads=threads)
        bound.poison()
        size = int(np.prod(p.output_shape))
        room = np.full(size + 2 * _GUARD, np.nan, p.dtype)
        dst = room[_GUARD : _GUARD + size].reshape(p.output_shape)
        bound(src, out=dst, residual=residual if case.epilogue.residual else None)
        if not np.isnan(np.concatenate([room[:_GUARD], room[-_GUARD:]])).all():
            return "elements beside the result were written to"
        if not np.isfinite(dst).all():
            return f"{int(np.count_nonzero(~np.isfinite(dst)))} of {size} elements are not finite"
        found.append(dst)
    if len(found) == 2 and found[0].tobytes() != found[1].tobytes():
        return "one and two threads give different bits"
    return found[0]


def _ended(sums: np.ndarray, residual: np.ndarray, epilogue: Epilogue) -> np.ndarray:
    if epilogue.residual and not epilogue.residual_last:
        sums = sums + residual
    if epilogue.relu:
        sums = np.where(sums < 0, sums * epilogue.slope, sums)
    return sums + residual if epilogue.residual_last else sums


def _imprecise(p: Conv2dProblem, algorithm: Algorithm, rng: np.random.Generator, threads: int) -> str:
    src, wei = (rng.standard_normal(shape).astype(p.dtype) for shape in (p.input_shape, p.weight_shape))
    bia = rng.standard_normal(p.oc).astype(p.dtype) if p.bias else None
    result = plan(p, wei, bia, algorithm=algorithm.name, threads=threads)(src).astype(np.float64)
    if p.dtype == "float64":
        high, low = conv2d_exact(p, src, wei, bia)
        difference = (result - high) - low
    else:
        difference = result - conv2d_reference(p, src, wei, bia)
    # What the result is expected to be of independent values and without padding.
    size = float(np.sqrt(p.macs_nominal * np.mean(src.astype(np.float64) ** 2) * np.mean(wei.astype(np.float64) ** 2)))
    error, most = float(np.linalg.norm(difference)), algorithm.error_factor * error_unit(p) * size
    return "" if error <= most else f"it errs by {error:.3g}, expected at most {most:.3g}"
