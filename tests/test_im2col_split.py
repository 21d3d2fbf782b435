"""How `im2col_gemm` shares blocks of output channels out among threads that have few panels of pixels each."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import integers

from kernels import Conv2dProblem, conv2d_reference, plan
from kernels.algorithms.im2col import loops
from kernels.algorithms.im2col.blocking import channel_tile, split_of
from kernels.machine.cpu import lanes_of
from kernels.machine.tile_shape import TileShape

_SHAPE = TileShape(8, 3, 16)


def _work(pixels: int, blocks: int, shares: int, threads: int) -> tuple[list[int], list[list[int]]]:
    """Of each thread: its tiles, in vectors, and the panels that it copies, one by one."""
    panels = -(-pixels // _SHAPE.NR)
    tiles, copies = [], []
    for thread in range(threads):
        items = range(thread * panels * shares // threads, (thread + 1) * panels * shares // threads)
        done, copied = 0, []
        for share, panel in (divmod(item, panels) for item in items):
            vectors = -(-min(_SHAPE.NR, pixels - panel * _SHAPE.NR) // _SHAPE.lanes)
            done += vectors * ((share + 1) * blocks // shares - share * blocks // shares)
            copied.append(panel)
        tiles.append(done)
        copies.append(copied)
    return tiles, copies


@pytest.mark.parametrize(("pixels", "blocks"), [(49, 64), (64, 24), (64, 22), (100, 16), (196, 8), (289, 20)])
@pytest.mark.parametrize("threads", [2, 3, 4, 8])
def test_no_thread_has_much_more_to_do_than_another(pixels: int, blocks: int, threads: int) -> None:
    split = split_of(_SHAPE, pixels, 1, blocks, False, threads)
    tiles, _ = _work(pixels, blocks, split.shares, threads)
    assert max(tiles) * threads <= 1.35 * sum(tiles)
    assert split.longest == pytest.approx(max(tiles) * threads / sum(tiles), rel=0.1)


@pytest.mark.parametrize("pixels", [49, 64])
def test_no_thread_copies_a_panel_twice_where_that_evens_nothing(pixels: int) -> None:
    split = split_of(_SHAPE, pixels, 1, 24, True, 2)
    _, copies = _work(pixels, 24, split.shares, 2)
    assert all(len(set(each)) == len(each) for each in copies), copies


@pytest.mark.parametrize("pixels", ["a part of a vector", "a panel and one"])
@pytest.mark.parametrize("text", ["ic30ih1oc70kh1", "mb3ic41ih1oc33kh1", "ic15ih1oc40kh3ph1"])
def test_blocks_of_channels_that_threads_share_are_right(
    monkeypatch: pytest.MonkeyPatch, text: str, pixels: str
) -> None:
    # Some blocks of input channels, so that sums are put by, whatever L2 this machine has.
    monkeypatch.setattr(loops, "column_blocks", lambda p, shape: 7)
    loops._sizes.cache_clear()
    p = Conv2dProblem.parse(text)
    panel = channel_tile(p.oc, 10**6, lanes_of(p.dtype)).NR
    p = p.replace(iw=3 if pixels == "a part of a vector" else panel + 1)
    sizes, _, split = loops._sizes(p, 2)
    assert split.shares > 1 and sizes.KC < sizes.ICG
    src, wei, _ = integers(p)
    bound = plan(p, wei, algorithm="im2col_gemm", threads=2)
    bound.poison()
    np.testing.assert_array_equal(bound(src), conv2d_reference(p, src, wei))
    loops._sizes.cache_clear()


def test_one_thread_and_many_panels_share_nothing_out() -> None:
    for text, threads in (("ic64ih8oc64kh1", 1), ("ic64ih112oc64kh1", 2), ("mb64ic64ih8oc64kh1", 4)):
        sizes, _, split = loops._sizes(Conv2dProblem.parse(text), threads)
        assert sizes.SHARES == split.shares == 1
