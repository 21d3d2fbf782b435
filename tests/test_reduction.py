"""What a clipped tile leaves out: exactly the pixels whose tap lies on padding or past the row."""

from __future__ import annotations

import numpy as np
import pytest

from kernels import Conv2dProblem, conv2d_reference, plan
from kernels.machine.reduction import clip_table
from kernels.machine.tile_shape import TileShape


@pytest.mark.parametrize(
    "text",
    ["ic2ih9oc20kh3ph1", "ic2ih17oc40kh1kw7pw3", "ic1ih11oc8kh3ph4dh4", "ic3ih30oc64kh7sh2ph3pr2", "ic1ih4oc70kh1ph3"],
)
def test_clips_hold_exactly_the_pixels_inside(text: str) -> None:
    p, shape = Conv2dProblem.parse(text), TileShape(5, 3, 16)
    clips, table = clip_table(p, shape)
    blocks = -(-p.oc // shape.NR)
    for side in range(2) if blocks > 1 else (1,):
        vectors = shape.NV if side == 0 else -(-(p.oc - (blocks - 1) * shape.NR) // shape.lanes)
        for tile in range(-(-p.ow // shape.MR)):
            for kw in range(p.kw):
                inside = [
                    m
                    for m in range(shape.MR)
                    if tile * shape.MR + m < p.ow and 0 <= (tile * shape.MR + m) * p.sw + kw * p.dw - p.pw < p.iw
                ]
                number = table[side, tile, kw]
                if inside:
                    clip = clips[number]
                    assert [*range(clip.begin, clip.end)] == inside
                    assert vectors == clip.NV
                else:
                    assert number == -1


def test_a_plan_that_was_called_takes_other_arrays() -> None:
    """The compiled entry is found once; a read-only input, then others, and scratch poisoned between."""
    p = Conv2dProblem.parse("ic3ih9oc20kh3ph1b1")
    rng = np.random.default_rng(2)
    wei, bia = rng.integers(-4, 5, p.weight_shape).astype("f4"), rng.integers(-4, 5, p.oc).astype("f4")
    for name in ("direct_tiled", "im2col_gemm"):
        bound = plan(p, wei, bia, algorithm=name, threads=1)
        for writeable in (False, True, False):
            src = rng.integers(-4, 5, p.input_shape).astype("f4")
            src.setflags(write=writeable)
            bound.poison()
            np.testing.assert_array_equal(bound(src), conv2d_reference(p, src, wei, bia))
