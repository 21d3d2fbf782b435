"""What stays in memory after convolutions of many shapes: ``python tests/growth.py 10000``, which records it."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import numpy as np
from recorded import record

from kernels import Conv2d, conv2d

#: Most that may stay, and shapes that compile what there is to compile before anything is counted.
MOST_BYTES, WARM = 64 * 2**20, 200
_WAYS = ("conv2d", "layer")


def resident() -> int:
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def growth(shapes: int, way: str) -> int:
    """Bytes by which the process grows over so many different shapes through ``conv2d`` or one layer."""
    rng = np.random.default_rng(0)
    layer = Conv2d(8, 8, 3, padding=1, rng=0, threads=1)
    source = rng.standard_normal(8 * 130 * 130).astype("f4")
    weight = rng.standard_normal((8, 8, 3, 3)).astype("f4")

    def call(i: int) -> None:
        # No two alike, between 8x8 and 128x128.
        ih, iw = 8 + i % 120, 8 + i // 120
        src = source[: 8 * ih * iw].reshape(1, 8, ih, iw)
        result = layer(src) if way == "layer" else conv2d(src, weight, padding=1, threads=1)
        assert result.shape == (1, 8, ih, iw)

    for i in range(WARM):
        call(i * 71)
    gc.collect()
    before = resident()
    for i in range(shapes):
        call(i)
    gc.collect()
    return resident() - before


def main() -> None:
    """Print the growth of both ways, and write it down; exit code 1 if one is too much."""
    shapes = int(sys.argv[1])
    found = {way: growth(shapes, way) for way in _WAYS}
    most = MOST_BYTES / 2**20
    for way, nbytes in found.items():
        print(f"{shapes} shapes through {way}: {nbytes / 2**20:+.1f} MiB, expected at most {most:.0f}")
    if max(found.values()) > MOST_BYTES:
        raise SystemExit(1)
    text = (
        f"What a process's resident memory grows by over so many different shapes, after {WARM} that fill its caches; "
        f"at most {most:.0f} MiB is promised. `make growth`."
    )
    rows = [[way, shapes, f"{nbytes / 2**20:+.1f}"] for way, nbytes in found.items()]
    record("Memory", text, ["through", "shapes", "growth, MiB"], rows)


if __name__ == "__main__":
    main()
