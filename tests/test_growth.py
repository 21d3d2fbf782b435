"""Nothing grows with the number of shapes; ``python tests/growth.py 10000`` takes minutes and says how much."""

from __future__ import annotations

import sys

import pytest
from growth import growth

from kernels.one_call import CALLS


@pytest.mark.skipif(sys.platform != "linux", reason="no /proc")
@pytest.mark.parametrize("way", ["conv2d", "layer"])
def test_shapes_leave_little(way: str) -> None:
    # What 400 shapes more leave, after those that fill the caches.
    growth(300, way)
    assert growth(400, way) < 16 * 2**20
    assert len(CALLS) <= 256
