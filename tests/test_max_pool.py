"""Max-pool: numbers, NaN, and no memory beside its arrays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from block_oracle import max_pool

import kernels
from kernels import ShapeError
from kernels.blocks.max_pool import MaxPool

#: Kernel, stride and padding.
_WINDOWS = ((2, 2, 0), (3, 2, 1), (5, 3, 2), (3, 1, 1), (4, 1, 2), (4, 2, 1), (1, 2, 0), (3, 4, 1), (5, 5, 0))
#: Shapes below and above a vector, whole vectors, and one row.
_SHAPES = ((2, 5, 3), (1, 9, 7), (3, 11, 37), (2, 6, 64))


def _planes(shape: tuple[int, ...], dtype: str, padding: int) -> np.ndarray:
    """Negative numbers, so that zeros would show; NaN and infinities."""
    src = -np.abs(np.random.default_rng(2).normal(size=(2, *shape))).astype(dtype) - 1
    src[0, 0, 1, 2] = np.nan
    src[1, 0] = -np.inf
    src[0, -1, 3, 0] = np.inf
    return src


@pytest.mark.parametrize("window", _WINDOWS, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_pool_is_the_greatest_of_each_window(window: tuple[int, int, int], dtype: str) -> None:
    for shape in _SHAPES:
        if min(shape[1:]) + 2 * window[2] < window[0]:
            continue
        src = _planes(shape, dtype, window[2])
        expected = max_pool(src, *window)
        pool = MaxPool(shape, *window, dtype, 1)
        assert (len(src), *pool.output_shape) == expected.shape
        found = np.full(expected.shape, 5, dtype)
        pool(src, found)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("shape", [(3, 11, 37), (1, 9, 7), (5, 7, 3)], ids=str)
def test_two_threads_give_the_same(shape: tuple[int, int, int]) -> None:
    src = _planes(shape, "float32", 1)
    expected = max_pool(src, 3, 2, 1)
    found = np.full(expected.shape, 5, np.float32)
    MaxPool(shape, 3, 2, 1, "float32", 2)(src, found)
    np.testing.assert_array_equal(found, expected)


def test_a_pool_is_refused_in_torchs_words() -> None:
    torch = pytest.importorskip("torch")
    for shape, window in (((2, 1, 5), (2, 2, 0)), ((2, 8, 8), (2, 2, 2)), ((3, 2, 2), (5, 1, 1))):
        with pytest.raises(RuntimeError) as theirs:
            torch.nn.functional.max_pool2d(torch.zeros(1, *shape), *window)
        with pytest.raises(ShapeError) as ours:
            MaxPool(shape, *window, "float32", 1)
        assert str(ours.value) == str(theirs.value)


_GUARDED = """
import itertools
import numpy as np
from block_oracle import max_pool
from guarded import PLACEMENTS, Guard
from kernels.blocks.max_pool.loops import MaxPool, _planes
for place, shape, window in itertools.product(PLACEMENTS, {shapes!r}, {windows!r}):
    if min(shape[1:]) + 2 * window[2] >= window[0]:
        values = np.random.default_rng(2).normal(size=(1, *shape)).astype("f4")
        guard, pool = Guard(place), MaxPool(shape, *window, "float32", 1)
        dst = guard.empty("dst", (1, *pool.output_shape), "f4")
        row = guard.empty("row", pool._row.shape, "f4")
        pool._launch.record[_planes.fields.index("row")] = row.ctypes.data
        pool(guard.copy("src", values), dst)
        assert guard.overwritten() is None, guard.overwritten()
        np.testing.assert_array_equal(dst, max_pool(values, *window))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="guard pages are made by Linux's mprotect")
def test_a_pool_touches_no_memory_beside_its_arrays() -> None:
    here = Path(__file__).parent
    paths = f"import sys; sys.path[:0] = {[str(here), str(Path(kernels.__file__).parent.parent)]!r}\n"
    program = paths + _GUARDED.format(shapes=_SHAPES, windows=_WINDOWS)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-200:] + done.stderr[-2000:]
