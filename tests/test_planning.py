"""Choosing takes the same time whatever the extents, and what no array can be is refused in a sentence."""

from __future__ import annotations

import time

import numpy as np
import pytest

from kernels import Conv2dProblem, ProblemError, UnsupportedProblem, algorithms, choose, compile_counts, plan
from kernels.algorithms.cook_toom import with_negatives
from kernels.algorithms.transform.geometry import block_of, blocks_alike
from kernels.algorithms.transform.tiling import sizes_of
from kernels.algorithms.winograd import _HALF, _transform

_LARGE = (
    "ic1ih1iw1000000oc1kh1kw31",
    "ic1ih1iw2000000oc1kh1kw1000000",
    "ic1ih1iw1000000000oc1kh1kw1000000000",
    "ic8ih10oc8kh3ph100000000",
    "ic8ih10oc8kh3pw100000000",
    "ic64ih1000000oc64kh3",
    "ic64ih1000000oc64kh1000",
    "g64ic64ih1000000oc64kh3",
    "ic1000000ih3oc3kh3",
    "ic4ih3oc1000000kh3",
    "mb100000000ic4ih9oc4kh3",
    "ic4ih200000oc4kh3dh50000",
    "ic1ih1iw4000000000oc1kh1kw3sw100000",
    "g1000000ic4000000ih9oc4000000kh3",
)


@pytest.mark.parametrize("text", _LARGE)
def test_choosing_is_bounded(text: str) -> None:
    choose(Conv2dProblem.parse("ic8ih9oc8kh3"), 2)
    start = time.process_time()
    choose(Conv2dProblem.parse(text), 2)
    # Some hundredths; it was seconds to for ever.
    assert time.process_time() - start < 1


@pytest.mark.parametrize("text", ["mb7g2ic32ih{}oc32kh3ph1", "mb3ic16ih{}oc16kh3ph2dh2", "mb5ic16ih{}oc16kh3sh2"])
def test_blocks_are_counted_as_they_are_one_by_one(text: str) -> None:
    for ih in (9, 14, 29, 30, 61, 150):
        p = Conv2dProblem.parse(text.format(ih))
        points = with_negatives(1, 2, _HALF)
        t = _transform(6, (points, points), (3, 3), (1, 1), (p.dh, p.dw))
        for threads in (1, 2, 3):
            z, _ = sizes_of(p, t, threads)
            one_by_one: dict[object, int] = {}
            for item in range(z.ITEMS):
                kind = block_of(z, item)._replace(image=0, group=0, first=0)
                one_by_one[kind] = one_by_one.get(kind, 0) + 1
            at_once: dict[object, int] = {}
            for block, count in blocks_alike(z):
                kind = block._replace(image=0, group=0, first=0)
                at_once[kind] = at_once.get(kind, 0) + count
            assert at_once == one_by_one, (str(p), threads)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ic1ih1oc1kh1" + "mb" + "9" * 22, "mb has 22 digits in a problem text, expected at most 19"),
        ("ic1ih1oc1kh1mb" + "9" * 5000, "mb has 5000 digits"),
        ("ic1ih4000000000iw4000000000oc1kh1", r"the padded input of shape \(1, 1, 4000000000, 4000000000\) takes 64"),
        ("ic1ih9oc1kh1ph3000000000pw3000000000", "the padded input of shape"),
        ("ic8ih9oc4000000000kh1mb4000000000", r"output of shape .* takes \d+ bytes, expected less than 2\*\*63"),
        ("ic9999999999999999999ih1oc1kh1", r"ic is more than 2\*\*63 - 1, expected an extent of an array"),
    ],
)  # fmt: skip
def test_what_cannot_be_indexed_is_refused_with_the_figure(text: str, said: str) -> None:
    with pytest.raises(ProblemError, match=said):
        Conv2dProblem.parse(text)


def test_what_cannot_be_allocated_is_refused_with_the_figure() -> None:
    p = Conv2dProblem.parse("ic1ih1iw2000000oc1kh1kw1000000")
    named = {each.name: each for each in algorithms()}
    with pytest.raises(UnsupportedProblem, match=r"tables of taps take \d+\.\d GiB, expected at most 1 GiB"):
        named["direct_tiled"].require(p)
    wei = np.broadcast_to(np.float32(1), (2**28, 2**28, 1, 1))
    with pytest.raises(MemoryError, match=r"Unable to allocate 256. PiB for an array"):
        plan(Conv2dProblem.parse(f"ic{2**28}ih1oc{2**28}kh1"), wei, algorithm="direct_naive", threads=1)


def test_other_long_strides_compile_nothing() -> None:
    def compute(step: int) -> set[str]:
        p = Conv2dProblem(ic=2, ih=1, iw=4 * step + 1, oc=1, kh=1, kw=1, sw=step)
        src, wei = np.arange(2 * p.iw, dtype="f4").reshape(p.input_shape) % 7, np.array([2, -1], "f4")
        expected = 2 * src[0, 0, 0, ::step] - src[0, 1, 0, ::step]
        takers = [each for each in algorithms("fwd") if each.unsupported(p) is None]
        for each in takers:
            result = plan(p, wei.reshape(p.weight_shape), algorithm=each.name, threads=1)(src)
            np.testing.assert_array_equal(np.rint(result).ravel(), expected, err_msg=each.name)
        return {each.name for each in takers}

    taken = compute(1001)
    counts = compile_counts()
    assert compute(16001) == taken >= {"direct_naive", "direct_tiled", "im2col_gemm"}
    assert (compile_counts().pieces, compile_counts().loaded) == (counts.pieces, counts.loaded)
