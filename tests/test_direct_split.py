"""How `direct_tiled` cuts its work: what threads share out, and how many pages a tile reads from."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import integers

from kernels import Conv2dProblem, conv2d_reference, plan
from kernels.algorithms.direct import blocking, loops
from kernels.algorithms.direct.blocking import pixel_tile, strip_blocks
from kernels.machine.cpu import lanes_of


def _done(text: str, threads: int) -> tuple[list[int], float]:
    """Of each thread, the vectors of its tiles as the loops number items; and what the split says of the longest."""
    z, row, split = loops._sizes(Conv2dProblem.parse(text), threads)
    vectors = -(-z.OCG // row.shape.lanes)
    items = z.G * z.SHARES * z.STRIPS
    done = [0] * threads
    for thread in range(threads):
        for item in range(thread * items // threads, (thread + 1) * items // threads):
            strip, share = item % z.STRIPS, item // z.STRIPS % z.SHARES
            blocks = range(share * z.BLOCKS // z.SHARES, (share + 1) * z.BLOCKS // z.SHARES)
            wide = sum(min(row.shape.NV, vectors - block * row.shape.NV) for block in blocks)
            done[thread] += wide * (min(z.TILES, z.OH * z.ACROSS - strip * z.TILES))
    return done, split.longest


@pytest.mark.parametrize("threads", [2, 3, 4])
@pytest.mark.parametrize(
    "text", ["ic256ih35oc48kh1", "ic3ih227oc48kh5sh2sw3dh2dw3", "ic64ih73oc80kh1", "g2ic64ih28oc96kh3ph1"]
)
def test_no_thread_has_much_more_to_do_though_the_last_block_is_narrower(text: str, threads: int) -> None:
    done, longest = _done(text, threads)
    assert max(done) * threads <= 1.12 * sum(done), done
    assert longest == pytest.approx(max(done) * threads / sum(done))


def test_weights_that_no_l2_holds_are_shared_out_by_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocking, "cache_bytes", lambda level: 2 ** (15 if level == 1 else 20))
    loops._sizes.cache_clear()
    done, _ = _done("ic2048ih8oc384kh1", 2)
    z, _, _ = loops._sizes(Conv2dProblem.parse("ic2048ih8oc384kh1"), 2)
    assert z.SHARES == z.BLOCKS > 1 and max(done) * 2 <= 1.1 * sum(done)
    loops._sizes.cache_clear()


@pytest.mark.parametrize("text", ["ic40ih9oc72kh3ph1", "mb0ic4ih6oc40kh3", "ic24ih1iw1oc40kh1"])
@pytest.mark.parametrize("threads", [2, 5])
def test_shared_strips_are_right(text: str, threads: int) -> None:
    p = Conv2dProblem.parse(text)
    src, wei, _ = integers(p)
    bound = plan(p, wei, algorithm="direct_tiled", threads=min(threads, 2))
    bound.poison()
    np.testing.assert_array_equal(bound(src), conv2d_reference(p, src, wei))
    assert loops._sizes(p, threads)[2].longest >= 1


@pytest.mark.parametrize("plane", [12544, 3136, 196])
def test_short_tiles_read_from_no_more_pages_than_a_tlb_holds(plane: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocking, "vector_registers", lambda: 16)
    p = Conv2dProblem.parse("ic512ih1oc64kh1").replace(iw=plane // 4)
    shape = pixel_tile(p.ow, p.oc, lanes_of(p.dtype))
    assert shape.MR < 7
    channels, _ = strip_blocks.__wrapped__(p, shape)
    assert channels * min(plane, 4096) <= 48 * 4096
    # All the same no smaller than it must be.
    assert channels >= 32
