"""What the tiles of a row leave out: exactly the pixels whose tap lies on padding."""

from __future__ import annotations

import numpy as np
import pytest

from kernels import Conv2dProblem, conv2d_reference, plan
from kernels.algorithms.direct.blocking import as_read, clip_numbers, row_tiles


@pytest.mark.parametrize(
    "text",
    ["ic2ih9oc20kh3ph1", "ic2ih17oc40kh1kw7pw3", "ic1ih31oc8kh3ph3dh3", "ic3ih30oc64kh7sh2ph3pr2", "ic1ih40oc70kh1ph3"],
)
def test_clips_hold_exactly_the_pixels_inside(text: str) -> None:
    p = Conv2dProblem.parse(text)
    read, reach = as_read(p)
    assert read is p
    tiles, numbers = row_tiles(p), clip_numbers(p, reach)
    for tile, (start, width) in enumerate(
        zip(tiles.starts(np.arange(tiles.ACROSS)), tiles.widths(np.arange(tiles.ACROSS)), strict=True)
    ):
        for kw in range(p.kw):
            inside = [m for m in range(width) if 0 <= (start + m) * p.sw + kw * p.dw - p.pw < p.iw]
            number = numbers[tile, kw]
            if number < 0:
                assert not inside
            else:
                begin, cut = (number, 0) if number <= reach else (0, number - reach)
                assert inside == [*range(begin, width - cut)]


@pytest.mark.parametrize("pixels", range(1, 70))
def test_tiles_of_a_row_are_of_two_widths_and_cover_it(pixels: int) -> None:
    tiles = row_tiles(Conv2dProblem.parse(f"ic1ih1iw{pixels}oc64kh1"))
    widths = tiles.widths(np.arange(tiles.ACROSS))
    assert widths.sum() == pixels
    assert set(widths) <= {tiles.shape.MR, tiles.shape.MR - 1} - {0}
    np.testing.assert_array_equal(tiles.starts(np.arange(tiles.ACROSS)), np.cumsum(widths) - widths)


@pytest.mark.parametrize("text", ["ic1ih9oc8kh3ph4dh4", "ic2ih33oc2kh31ph15", "ic1ih4oc4kh3ph2"])
def test_what_cuts_more_than_a_microkernel_does_is_read_from_a_padded_copy(text: str) -> None:
    p = Conv2dProblem.parse(text)
    read, reach = as_read(p)
    assert (read.ih, read.iw) == p.padded_shape and reach == 0


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
