"""Backward data by the algorithms of forward convolutions.

The gradient of an input is a convolution of the gradient of the output. At stride 1 its weights are the forward ones,
flipped, with input and output channels exchanged. At stride s each element of the input meets every s-th tap only:
inputs whose rows have the same remainder by the stride, and whose columns have, are a dense convolution with a part of
the taps, and no zero is inserted. The results of these parts are put together in the end. A dilation d leaves a part
every (s / gcd(s, d))-th tap, dilated by d / gcd(s, d).

Source: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning" (2016), section 4; Shi et al.,
"Is the deconvolution layer the same as a convolutional layer?" (2016), for the parts.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from kernels.contract import Algorithm, Packing, Run, Scratch, Setup
from kernels.costs.amounts import LINE_BYTES, Amounts
from kernels.epilogue import NO_EPILOGUE
from kernels.machine.interleave import Residue, interleaving
from kernels.machine.workspace import carve, workspace_bytes
from kernels.problem import Conv2dProblem

__all__ = ["Part", "parts_of", "with_directions"]

#: Most parts that a convolution is cut into; each is planned by itself.
_MOST_PARTS = 4096
#: Vectors of results that a stencil stores while a cache line is put together, and what begins a row. Measured on Zen 4
#: over four depthwise layers: 25 to 40 cycles a line.
_LINE_VECTORS, _ROW_VECTORS = 14, 20


class _Axis(NamedTuple):
    """Rows, or columns, of the input that have the same remainder.

    Attributes
    ----------
    remainder : int
    extent : int
        How many there are.
    tap, taps, step : int
        The first tap that they meet, how many, and how far one is from the next.
    dilation : int
        Of those taps, over the gradient.
    begin, end : int
        Rows of the gradient that count.
    before, after : int
        Zeros around these.
    """

    remainder: int
    extent: int
    tap: int
    taps: int
    step: int
    dilation: int
    begin: int
    end: int
    before: int
    after: int


class Part(NamedTuple):
    """A part of a gradient that is one dense convolution.

    Attributes
    ----------
    problem : Conv2dProblem
        Forward, of the rows and columns of the gradient that count.
    rows, columns : _Axis
    """

    problem: Conv2dProblem
    rows: _Axis
    columns: _Axis

    def source(self, grad: np.ndarray) -> np.ndarray:
        """The rows and columns of the gradient that count."""
        return grad[..., self.rows.begin : self.rows.end, self.columns.begin : self.columns.end]

    def weights(self, p: Conv2dProblem, wei: np.ndarray) -> np.ndarray:
        """The part's weights: taps flipped, channels exchanged within their groups."""
        down, across = (slice(each.tap, None, each.step) for each in (self.rows, self.columns))
        grouped = wei.reshape(p.g, p.oc // p.g, p.ic // p.g, p.kh, p.kw)[..., down, across]
        taps = grouped[..., ::-1, ::-1].transpose(0, 2, 1, 3, 4)
        return np.ascontiguousarray(taps.reshape(self.problem.weight_shape))


def _axes(extent: int, out: int, kernel: int, stride: int, dilation: int, before: int) -> list[_Axis]:
    """Rows of the input by their remainder; those that no tap meets are left out.

    Row i stands at i + before among the padded rows, which output o reads by tap k if that is o * stride + k *
    dilation.
    """
    common = math.gcd(stride, dilation)
    step, spread = stride // common, dilation // common
    found = []
    for tap in range(min(step, kernel)):
        remainder = (tap * dilation - before) % stride
        if remainder >= extent:
            continue
        count, taps = -(-(extent - remainder) // stride), -(-(kernel - tap) // step)
        # The output that the first row meets by the first tap, and the first that it meets at all.
        last = (remainder + before - tap * dilation) // stride
        first = last - (taps - 1) * spread
        begin, end = max(0, first), min(out, last + count)
        if begin < end:
            zeros = begin - first, last + count - end
            found.append(_Axis(remainder, count, tap, taps, step, spread, begin, end, *zeros))
    return found


@functools.lru_cache(maxsize=256)
def parts_of(p: Conv2dProblem) -> tuple[tuple[Part, ...], ...]:
    """The dense convolutions that a gradient of the input consists of, by remainders of rows and, within, columns.

    Parameters
    ----------
    p : Conv2dProblem
        Backward data.
    """
    rows = _axes(p.ih, p.oh, p.kh, p.sh, p.dh, p.ph)
    columns = _axes(p.iw, p.ow, p.kw, p.sw, p.dw, p.pw)
    if not columns:
        return ()
    return tuple(tuple(Part(_dense(p, down, across), down, across) for across in columns) for down in rows)


def _dense(p: Conv2dProblem, down: _Axis, across: _Axis) -> Conv2dProblem:
    return Conv2dProblem(
        mb=p.mb, ic=p.oc, ih=down.end - down.begin, iw=across.end - across.begin, oc=p.ic, g=p.g,
        kh=down.taps, kw=across.taps, ph=down.before, pb=down.after, pw=across.before, pr=across.after,
        dh=down.dilation, dw=across.dilation, bias=p.bias, dtype=p.dtype,
    )  # fmt: skip


def _all(p: Conv2dProblem) -> list[Part]:
    return [part for row in parts_of(p) for part in row]


def _is_whole(p: Conv2dProblem) -> bool:
    """Whether the gradient is one convolution, whose result is all of it."""
    return p.sh == p.sw == 1 and bool(_all(p))


def _is_cropped(p: Conv2dProblem, part: Part) -> bool:
    """Whether some of the gradient counts nowhere: a copy of the rest is convolved then."""
    return (part.problem.ih, part.problem.iw) != (p.oh, p.ow)


def _is_one(p: Conv2dProblem) -> bool:
    """Whether backward data is nothing but one convolution, of all of the gradient."""
    return _is_whole(p) and not _is_cropped(p, _all(p)[0])


def with_directions(own: Algorithm, find: Callable[[str], Algorithm]) -> Algorithm:
    """An algorithm that refuses other directions than its own, and computes backward data by parts beside forward ones.

    Parameters
    ----------
    own : Algorithm
        Its functions know forward convolutions, or one of the other directions alone.
    find : callable
        The algorithm of a name.
    """
    by_parts = "fwd" in own.directions
    backward = _BackwardData(own, find)

    def unsupported(p: Conv2dProblem) -> str | None:
        if p.direction not in own.directions:
            return f"direction is {p.direction}, expected {' or '.join(own.directions)}"
        return backward.unsupported(p) if by_parts and p.direction == "bwd_d" else own.unsupported(p)

    if not by_parts:
        return dataclasses.replace(own, unsupported=unsupported)

    chosen = {
        name: _by_direction(getattr(own, name), getattr(backward, name))
        for name in ("packing", "scratch", "amounts", "packing_elements")
    }

    def bind(setup: Setup) -> Run:
        return (backward.bind if setup.problem.direction == "bwd_d" else own.bind)(setup)

    return dataclasses.replace(own, unsupported=unsupported, bind=bind, **chosen)


def _by_direction(forward: Any, backward: Any) -> Any:
    """A function of a problem: one for backward data, the other for all else."""

    @functools.wraps(forward)
    def function(problem: Conv2dProblem, *others: int) -> Any:
        return (backward if problem.direction == "bwd_d" else forward)(problem, *others)

    return function


class _BackwardData:
    """What `Algorithm` has, for backward data, of what a forward algorithm has."""

    def __init__(self, own: Algorithm, find: Callable[[str], Algorithm]) -> None:
        self._own, self._find = own, find

    def unsupported(self, p: Conv2dProblem) -> str | None:
        """Why the first part that is refused is; a companion takes those, but not all of them."""
        count = min(p.kh, p.sh) * min(p.kw, p.sw)
        if count > _MOST_PARTS:
            return f"strides and taps make {count} parts, expected at most {_MOST_PARTS}"
        reasons = [self._own.unsupported(part.problem) for part in _all(p)]
        if self._own.companion and None in reasons:
            reasons = [self._of(part).unsupported(part.problem) for part in _all(p)]
        return next((reason for reason in reasons if reason is not None), None)

    def _of(self, part: Part) -> Algorithm:
        """The algorithm that computes a part."""
        own = self._own
        return own if not own.companion or own.unsupported(part.problem) is None else self._find(own.companion)

    def packing(self, p: Conv2dProblem, threads: int) -> Packing:
        """Each part's packing after the other, between how many arrays each has and the biases.

        Biases are those of elements that no part has.
        """
        parts = _all(p)
        packings = [self._of(part).packing(part.problem, threads) for part in parts]
        fill = np.zeros(p.ic)

        def weights(wei: np.ndarray) -> None:
            for part, packing in zip(parts, packings, strict=True):
                packing.weights(part.weights(p, wei))

        def biases(bia: np.ndarray) -> None:
            np.copyto(fill, bia)
            for packing in packings:
                packing.biases(bia)

        counts = np.array([len(packing.packed) for packing in packings], np.intp)
        return Packing((counts, *(array for packing in packings for array in packing.packed), fill), weights, biases)

    def packing_elements(self, p: Conv2dProblem) -> float:
        """Those of all parts; each weight is copied before."""
        return math.prod(p.weight_shape) + sum(self._of(part).packing_elements(part.problem) for part in _all(p))

    def scratch(self, p: Conv2dProblem, threads: int) -> Scratch:
        """Parts are computed one after the other, in the same scratch; their results stand side by side."""
        parts = _all(p)
        shapes = [self._of(part).scratch(part.problem, threads) for part in parts]
        if _is_one(p):
            return shapes[0]
        own = max((workspace_bytes(each, p.dtype) for each in shapes), default=0) // p.itemsize
        results = 0 if _is_whole(p) else sum(math.prod(part.problem.output_shape) for part in parts)
        cropped = max((math.prod(each.problem.input_shape) for each in parts if _is_cropped(p, each)), default=0)
        return {"parts": (own,), "results": (results,), "cropped": (cropped,)}

    def amounts(self, p: Conv2dProblem, threads: int) -> Amounts | None:
        """Those of all parts, and of putting their results together."""
        parts = _all(p)
        counted = [self._of(part).amounts(part.problem, threads) for part in parts]
        found = [each for each in counted if each is not None]
        if not found or len(found) < len(parts):
            return None
        first, *others = found
        meetings = sum(each.meetings for each in found)
        if not _is_whole(p):
            rows = p.mb * p.ic * p.ih
            vectors = rows * (_ROW_VECTORS + _LINE_VECTORS * p.iw * p.itemsize / LINE_BYTES)
            others.append(Amounts("stencil", {"result vectors": vectors}))
            meetings += 1
        return first._replace(meetings=meetings, beside=tuple(others))

    def bind(self, setup: Setup) -> Run:
        """A run of each part, and what puts their results together."""
        p, parts = setup.problem, _all(setup.problem)
        counts, *packed = setup.packed[:-1]
        if _is_one(p):
            return self._own.bind(dataclasses.replace(setup, problem=parts[0].problem, packed=tuple(packed)))
        whole = _is_whole(p)
        runs, places, at, taken = [], [], 0, 0
        results = setup.scratch["results"]
        for part, count in zip(parts, counts, strict=True):
            inner, algorithm = part.problem, self._of(part)
            scratch = carve(setup.scratch["parts"].view(np.uint8), algorithm.scratch(inner, setup.threads), p.dtype)
            bound = Setup(inner, tuple(packed[taken : taken + count]), NO_EPILOGUE, scratch, setup.threads)
            taken += count
            size = math.prod(inner.output_shape)
            dst = None if whole else results[at : at + size].reshape(inner.output_shape)
            cropped = None
            if _is_cropped(p, part):
                cropped = setup.scratch["cropped"][: math.prod(inner.input_shape)].reshape(inner.input_shape)
            runs.append((part, algorithm.bind(bound), cropped, dst))
            places.append(Residue(at, inner.oh, inner.ow))
            at += size
        together = None if whole else _together(setup, places)

        def run(src: np.ndarray, dst: np.ndarray, residual: np.ndarray) -> None:
            for part, convolve, cropped, own in runs:
                given = src
                if cropped is not None:
                    np.copyto(cropped, part.source(src))
                    given = cropped
                to = dst if own is None else own
                convolve(given, to, to)
            if together is not None:
                together(results, dst, dst)

        return run


def _together(setup: Setup, places: list[Residue]) -> Run:
    """What puts the results of all parts together."""
    p, by_rows = setup.problem, parts_of(setup.problem)
    down, across = np.full(min(p.sh, p.ih), -1), np.full(min(p.sw, p.iw), -1)
    for i, row in enumerate(by_rows):
        down[row[0].rows.remainder] = i
        for j, part in enumerate(row):
            across[part.columns.remainder] = j
    width = len(by_rows[0]) if by_rows else 0
    residues = [places[i : i + width] for i in range(0, len(places), max(1, width))]
    return interleaving(p.dtype, p.input_shape, (p.sh, p.sw), (down, across), residues, setup.packed[-1], setup.threads)
