"""What comes in as an array, without copies, and where a result may go."""

from __future__ import annotations

import array
from typing import Any

import numpy as np
import pytest

from kernels import ArgumentError, DtypeError, ShapeError, conv2d
from kernels.arguments import as_array

_SRC = np.arange(2 * 3 * 6 * 5, dtype=np.float32).reshape(2, 3, 6, 5) % 7
_WEI = np.arange(4 * 3 * 3 * 3, dtype=np.float32).reshape(4, 3, 3, 3) % 5
_BIA = np.arange(4, dtype=np.float32)


def _convolve(src: Any = _SRC, wei: Any = _WEI, **others: Any) -> np.ndarray:
    return conv2d(src, wei, _BIA, algorithm="direct_naive", threads=1, **others)


class _ByArray:
    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return _SRC


class _ByDlpack:
    def __dlpack__(self, **_: Any) -> Any:
        return _SRC.__dlpack__()

    def __dlpack_device__(self) -> Any:
        return _SRC.__dlpack_device__()


class _Elsewhere(_ByDlpack):
    def __dlpack_device__(self) -> Any:
        return 2, 0

    def __dlpack__(self, **_: Any) -> Any:
        raise BufferError("the array lies on a device")


@pytest.mark.parametrize("given", [_ByArray(), _ByDlpack(), memoryview(_SRC), _SRC[:, :, :, :]])
def test_an_array_of_others_is_read_where_it_lies(given: Any) -> None:
    read = as_array("input", given)
    assert read.ctypes.data == _SRC.ctypes.data and read.shape == _SRC.shape
    np.testing.assert_array_equal(_convolve(given), _convolve())


def test_a_buffer_without_shape_is_one_long_row() -> None:
    with pytest.raises(ShapeError, match=r"but got input of size: \[3\]"):
        _convolve(array.array("f", [1, 2, 3]))


def test_views_of_any_stride_and_byte_order_are_taken() -> None:
    wide = np.zeros((2, 3, 12, 10), np.float32)
    wide[:, :, ::2, ::2] = _SRC
    for given in (wide[:, :, ::2, ::2], np.asfortranarray(_SRC), _SRC[::-1][::-1], _SRC.astype(">f4")):
        np.testing.assert_array_equal(_convolve(given), _convolve())


@pytest.mark.parametrize("given", [[[1.0]], 1.0, None, "text", np.float32(1), object(), _Elsewhere()])
@pytest.mark.parametrize("name", ["src", "wei"])
def test_what_is_no_array_is_refused(given: Any, name: str) -> None:
    with pytest.raises(ArgumentError, match=r"conv2d.*(input|weight) (is of type|cannot be read)") as caught:
        _convolve(**{name: given})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("unbatched", [False, True])
def test_out_is_written_and_returned(unbatched: bool) -> None:
    src = _SRC[0] if unbatched else _SRC
    out = np.full((4, 4, 3) if unbatched else (2, 4, 4, 3), np.nan, np.float32)
    assert _convolve(src, out=out) is out
    np.testing.assert_array_equal(out, _convolve(src))


def test_out_of_an_empty_batch_is_returned() -> None:
    out = np.empty((0, 4, 4, 3), np.float32)
    assert _convolve(_SRC[:0], out=out) is out


@pytest.mark.parametrize(
    ("out", "error", "said"),
    [
        (np.empty((2, 4, 4, 4), np.float32), ShapeError, r"out has shape .2, 4, 4, 4., expected .2, 4, 4, 3."),
        (np.empty((2, 4, 4, 3)), DtypeError, "out has dtype float64, expected float32"),
        (np.empty((2, 4, 3, 4), np.float32).swapaxes(2, 3), ShapeError, "out is not a writeable C-contiguous array"),
        (np.empty((2, 4, 4, 3), np.float32).tolist(), ArgumentError, "out is of type list"),
    ],
)
def test_out_that_does_not_fit_is_refused(out: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        _convolve(out=out)


@pytest.mark.parametrize("name", ["input", "weight"])
@pytest.mark.parametrize("padding_mode", ["zeros", "circular"])
def test_out_that_overlaps_is_refused(name: str, padding_mode: str) -> None:
    memory = np.zeros(1000, np.float32)
    out = memory[: 2 * 4 * 4 * 3].reshape(2, 4, 4, 3)
    shape, given = (_SRC.shape, "src") if name == "input" else (_WEI.shape, "wei")
    inside = memory[5 : 5 + int(np.prod(shape))].reshape(shape)
    with pytest.raises(ShapeError, match=f"out overlaps {name}, expected separate memory"):
        _convolve(out=out, padding_mode=padding_mode, **{given: inside})
