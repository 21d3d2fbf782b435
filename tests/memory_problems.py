"""Problems at the edges of vectors, tiles and padding: what the guard pages are put around.

A kind is one edge; it names the values that its extents are drawn from, and everything that it does
not name is drawn from `_ANYTHING`. The generator is deterministic: the same problems in every run.
"""

from __future__ import annotations

import functools
import itertools
import random
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pytest
from conftest import EDGES, GRADIENT_EDGES

from kernels import Algorithm, Conv2dProblem, ProblemError, plan, plan_backward_weights
from kernels.machine.microkernel import Microkernel
from kernels.machine.parallel import Launch

__all__ = ["KINDS", "NARROW", "matrix", "sample", "spread"]

#: Output widths below, at and above vectors of 4, 8 and 16 and tiles of 6, 8, 14, 16 and 28 pixels.
_WIDTHS = (1, 2, 3, 5, 7, 8, 13, 14, 15, 16, 17, 19, 28, 29, 31, 33, 35)
#: Channels around multiples of 16 and 32.
_CHANNELS = (1, 3, 8, 15, 16, 17, 31, 32, 33, 47, 48, 49, 64, 65, 70)
_FEW = (1, 2, 3, 4, 5, 7)
#: Largest source map of a drawn problem, so that hundreds of them take seconds.
_LARGEST_MAP = 40

Choices = Mapping[str, tuple[int, ...]]

#: ``ow`` and ``oh`` stand for the source extents that give them; ``rest`` is how many columns and
#: rows of the source no tap reads; ``icg`` and ``ocg`` are channels a group.
_ANYTHING: Choices = {
    "mb": (1, 1, 2, 3), "g": (1,), "icg": _FEW, "ocg": _CHANNELS, "oh": _FEW, "ow": _WIDTHS, "rest": (0, 0, 1),
    "kh": (3,), "kw": (3,), "sh": (1,), "sw": (1,), "dh": (1,), "dw": (1,),
    "ph": (0, 1), "pw": (0, 1), "pb": (0, 1), "pr": (0, 1), "b": (0, 1), "f": (32,),
}  # fmt: skip

#: Kind -> how many are drawn, and what from.
KINDS: Mapping[str, tuple[int, Choices]] = {
    "width": (60, {"ph": (1,), "pw": (1,), "pb": (1,), "pr": (1,), "rest": (0,)}),
    "height": (40, {"oh": _WIDTHS, "ow": _FEW}),
    "channels": (70, {"icg": _CHANNELS, "ow": (5, 7, 8, 14)}),
    "pointwise": (40, {"kh": (1,), "kw": (1,), "icg": _CHANNELS, "ph": (0,), "pw": (0,), "pb": (0,), "pr": (0,)}),
    "pointwise, padded or strided": (16, {"kh": (1,), "kw": (1,), "sh": (1, 2, 3), "sw": (1, 2, 3), "rest": (0, 1, 2)}),
    "stride": (50, {"sh": (1, 2, 3), "sw": (2, 3), "rest": (0, 1, 2), "kh": (2, 3, 5), "kw": (1, 3, 4)}),
    "dilation": (30, {"dh": (1, 2, 3), "dw": (1, 2, 5), "sh": (1, 2), "sw": (1, 2)}),
    "asymmetric padding": (40, {"ph": (0, 2), "pw": (0, 3), "pb": (0, 1, 3), "pr": (0, 2)}),
    "padding wider than the kernel": (30, {"ph": (3, 4), "pw": (3, 5), "pb": (3,), "pr": (4,), "kh": (1, 2, 3)}),
    "grouped": (40, {"g": (2, 3, 4), "icg": (1, 4, 5, 16, 17), "ocg": (1, 4, 15, 16, 17), "sw": (1, 1, 2)}),
    "depthwise": (200, {"g": (2, 3, 16, 17), "icg": (1,), "ocg": (1,), "kh": (3, 5), "kw": (3, 5), "sw": (1, 2)}),
    "depthwise with a multiplier": (80, {"g": (2, 5), "icg": (1,), "ocg": (2, 3), "sh": (1, 2), "sw": (1, 2)}),
    "one row": (12, {"oh": (1,), "kh": (1,), "kw": (3, 7), "ph": (0,), "pb": (0,), "pw": (0, 3), "pr": (0, 3)}),
    "one column": (12, {"ow": (1,), "kw": (1,), "kh": (3, 7), "pw": (0,), "pr": (0,), "oh": _WIDTHS}),
    "5x5": (24, {"kh": (5,), "kw": (5,), "ph": (0, 2), "pw": (0, 2), "icg": (1, 16, 17)}),
    "one-dimensional along a row": (24, {"kh": (1,), "kw": (3, 5, 7), "ph": (0,), "pb": (0,), "pw": (0, 3)}),
    "one-dimensional down a column": (24, {"kw": (1,), "kh": (3, 5, 7), "pw": (0,), "pr": (0,), "oh": _WIDTHS}),
    "3x3 of stride 2": (40, {
        "kh": (3,), "kw": (3,), "sh": (1, 2, 2), "sw": (2,), "icg": (4, 16, 17), "ocg": (1, 16, 33), "rest": (0, 1),
        "oh": (1, 2, 3, 4, 5, 7, 9), "ph": (0, 1, 2), "pr": (0, 1, 3),
    }),
    "5x5 of stride 2": (20, {
        "kh": (5,), "kw": (5,), "sh": (2,), "sw": (1, 2), "icg": (4, 17), "ph": (0, 2), "pw": (0, 2), "rest": (0, 1),
    }),
    "sub-grids": (60, {
        "dh": (1, 2, 3, 5), "dw": (1, 2, 4, 7), "kh": (3, 5), "kw": (3, 5), "icg": (4, 16, 17), "ocg": (1, 16, 33),
        "oh": (1, 2, 3, 5, 8, 13), "ph": (0, 1, 4), "pw": (0, 2, 5), "pb": (0, 3), "pr": (0, 6),
    }),
    "two taps": (24, {"kh": (1, 2), "kw": (2,), "icg": (4, 16, 17), "ocg": (1, 16, 33), "oh": _WIDTHS, "ow": _WIDTHS}),
    "large kernel": (14, {"kh": (7, 11, 17), "kw": (7, 9, 31), "ph": (0, 3), "pw": (0, 4, 15), "ocg": (1, 3, 17)}),
    "float64": (50, {"f": (64,), "ocg": (1, 7, 8, 9, 16, 17, 33), "icg": (1, 8, 9, 17)}),
}  # fmt: skip

#: Problems that an algorithm is asked for in full, of those that it does not refuse.
_FULL = 304
#: How many microkernels those may need beside the edges', since compiling is nearly all that they cost, and after how
#: many draws in vain more.
_COMPILES, _PATIENCE = 48, 300
#: The first of GRADIENT_EDGES that an algorithm does not refuse, so many are compiled for by test_gradients.
_FIRST = 5
#: Problems of a sample, and of how many that were drawn one is looked at.
_SAMPLE, _SPREAD = {"fwd": 16, "bwd_d": 8, "bwd_w": 8}, 5
#: What a sample compiles for, by number of threads: what other tests compile anyway.
_COMPILED: Mapping[int, tuple[str, ...]] = {
    1: (*EDGES, "ic16ih12oc18kh2"),
    2: ("mb9ic17ih14oc40kh3ph1b1", "g2ic34ih9iw26oc80kh3ph1pb0", "g16ic16ih10oc16kh3ph1", "ic16ih12oc18kh2"),
}


#: Every one compiles: the first that an algorithm does not refuse. A batch with a bias, depthwise, 5x5, one row, a
#: stride.
NARROW = (
    "mb2ic17ih14oc40kh3ph1b1",
    "g16ic16ih10oc16kh3ph1",
    "ic17ih12iw19oc20kh5ph2",
    "ic16ih1iw17oc16kh1kw7pw3ph0",
    "ic16ih12oc18kh2",
    "g5ic5ih15iw41oc5kh3sh2ph1b1",
)


@functools.cache
def _drawn() -> tuple[str, ...]:
    """As many problems of each kind as `KINDS` says, the edges of conftest first; no text stands twice."""
    found = dict.fromkeys(str(Conv2dProblem.parse(text)) for text in EDGES)
    for kind, (count, choices) in KINDS.items():
        draw = random.Random(kind)
        wanted = len(found) + count
        while len(found) < wanted:
            problem = _draw(draw, {**_ANYTHING, **choices})
            if problem is not None:
                found[str(problem)] = None
    return tuple(found)


@functools.cache
def matrix(algorithm: Algorithm, direction: str) -> tuple[str, ...]:
    """The problems of a direction that an algorithm is asked for in full: 304 that it does not refuse, of every kind.

    Kinds take turns. From some number of microkernels on, problems are taken that need no other.
    """
    edges = EDGES if direction == "fwd" else (*EDGES, *GRADIENT_EDGES)
    found = [text for text in _directed(edges, direction) if _pieces(algorithm, text) is not None]
    compiled = _pieces_of(algorithm, found)
    draws = {kind: random.Random(f"{kind} {algorithm.name}") for kind in KINDS}
    most, vain = len(compiled) + _COMPILES, 0
    for kind in itertools.cycle(KINDS):
        problem = _draw(draws[kind], {**_ANYTHING, **KINDS[kind][1]})
        text = "" if problem is None else str(problem.replace(direction=direction))
        pieces = None if problem is None else _pieces(algorithm, text)
        if pieces is None or text in found:
            continue
        if pieces <= compiled or len(compiled) < most:
            found.append(text)
            compiled, vain = compiled | pieces, 0
        else:
            most, vain = (most + _COMPILES, 0) if vain == _PATIENCE else (most, vain + 1)
        if len(found) == _FULL:
            break
    return tuple(found)


def spread(texts: Sequence[str], count: int) -> tuple[str, ...]:
    """So many of the texts, evenly spread."""
    return tuple(texts[i * len(texts) // count] for i in range(count))


def sample(algorithm: Algorithm, direction: str, threads: int) -> tuple[str, ...]:
    """Problems of a direction that ``algorithm`` does not refuse, spread over the matrix.

    Compiling is nearly all of what a case costs, so these are problems that need no microkernel but
    those that a few problems of other tests need too.
    """
    own = _directed(_COMPILED[threads], direction)
    if direction != "fwd":
        taken = (text for text in _directed(GRADIENT_EDGES, direction) if _pieces(algorithm, text) is not None)
        own = tuple(itertools.islice(taken, _FIRST))
    compiled = _pieces_of(algorithm, (*own, *_directed(_COMPILED[threads], "fwd")))
    some = (*own, *_directed((*EDGES, *_drawn()[len(EDGES) :: _SPREAD]), direction))
    pieces = {text: _pieces(algorithm, text) for text in some}
    cheap = [text for text, needed in pieces.items() if needed is not None and needed <= compiled]
    return tuple(cheap[:: max(1, len(cheap) // _SAMPLE[direction])])


def _directed(texts: Iterable[str], direction: str) -> tuple[str, ...]:
    """Texts of forward convolutions as those of another direction, in their standard form."""
    return tuple(str(Conv2dProblem.parse(text).replace(direction=direction)) for text in texts)


def _pieces_of(algorithm: Algorithm, texts: Iterable[str]) -> frozenset[str]:
    """The microkernels that these problems need together."""
    return frozenset().union(*(_pieces(algorithm, text) or () for text in texts))


@functools.cache
def _pieces(algorithm: Algorithm, text: str) -> frozenset[str] | None:
    """The microkernels that a problem needs, with what each is specialised by; None where it is refused."""
    p = Conv2dProblem.parse(text)
    if algorithm.unsupported(p) is not None:
        return None
    needed: list[str] = []

    def recorded(self: Microkernel, spec: object) -> int:
        needed.append(f"{self.__name__} {spec!r}")
        return 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Microkernel, "address", recorded)
        patch.setattr(Launch, "__call__", lambda self, *arrays: None)
        if p.direction == "bwd_w":
            plan_backward_weights(p, algorithm=algorithm.name, threads=1)
        else:
            bia = np.zeros(p.bias_shape, p.dtype) if p.bias else None
            plan(p, np.zeros(p.weight_shape, p.dtype), bia, algorithm=algorithm.name, threads=1)
    return frozenset(needed)


def _draw(draw: random.Random, choices: Choices) -> Conv2dProblem | None:
    """One problem, or None where the numbers drawn describe none, or a large one."""
    e = {key: draw.choice(values) for key, values in choices.items()}
    ih = (e["oh"] - 1) * e["sh"] + (e["kh"] - 1) * e["dh"] + 1 - e["ph"] - e["pb"] + min(e["rest"], e["sh"] - 1)
    iw = (e["ow"] - 1) * e["sw"] + (e["kw"] - 1) * e["dw"] + 1 - e["pw"] - e["pr"] + min(e["rest"], e["sw"] - 1)
    if max(ih, iw) > _LARGEST_MAP:
        return None
    same = {key: e[key] for key in ("mb", "g", "kh", "kw", "sh", "sw", "ph", "pw", "pb", "pr", "dh", "dw")}
    ic, oc = e["g"] * e["icg"], e["g"] * e["ocg"]
    try:
        return Conv2dProblem(ic=ic, oc=oc, ih=ih, iw=iw, bias=bool(e["b"]), dtype=f"float{e['f']}", **same)
    except ProblemError:
        return None
